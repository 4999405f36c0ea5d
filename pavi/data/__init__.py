"""Data on plates, and the drawing of plate-batches."""

from pavi.data.default_batch import default_batch
from pavi.data.module import PlateBatches, PlateDataModule
from pavi.data.plate_data import PlateData
from pavi.data.sampler import PlateSampler
from pavi.data.shard import Shard
from pavi.data.simulated import SimulatedBatches
from pavi.data.simulated_module import SimulatedDataModule
from pavi.data.starting_batch import starting_batch
from pavi.data.stratified import default_shard_batch

__all__ = [
    "PlateBatches",
    "PlateData",
    "PlateDataModule",
    "PlateSampler",
    "Shard",
    "SimulatedBatches",
    "SimulatedDataModule",
    "default_batch",
    "default_shard_batch",
    "starting_batch",
]
