"""Data on plates, and the drawing of plate-batches."""

from typing import TYPE_CHECKING

from pavi.data.default_batch import default_batch
from pavi.data.fingerprint import fingerprint
from pavi.data.plate_data import PlateData
from pavi.data.sampler import PlateSampler
from pavi.data.shard import Shard
from pavi.data.simulated import SimulatedBatches
from pavi.data.starting_batch import starting_batch
from pavi.data.stratified import default_shard_batch
from pavi.lazy import lazy

if TYPE_CHECKING:
    from pavi.data.module import PlateBatches, PlateDataModule
    from pavi.data.simulated_module import SimulatedDataModule

# These need Lightning.
__getattr__ = lazy(
    __name__,
    {
        "pavi.data.module": ("PlateBatches", "PlateDataModule"),
        "pavi.data.simulated_module": ("SimulatedDataModule",),
    },
)

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
    "fingerprint",
    "starting_batch",
]
