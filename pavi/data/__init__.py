"""Data on plates, and the drawing of plate-batches."""

from pavi.data.default_batch import default_batch
from pavi.data.module import PlateBatches, PlateDataModule
from pavi.data.plate_data import PlateData
from pavi.data.sampler import PlateSampler

__all__ = ["PlateBatches", "PlateData", "PlateDataModule", "PlateSampler", "default_batch"]
