"""Values that stay where they lie, on disk, and are read a plate-batch at a time."""

from pavi.data.stores.base import DamagedStoreError, Store
from pavi.data.stores.memmap import MemmapStore
from pavi.data.stores.subset import StoreSubset
from pavi.data.stores.writer import StoreWriter
from pavi.data.stores.zarr_store import ZarrStore

__all__ = [
    "DamagedStoreError",
    "MemmapStore",
    "Store",
    "StoreSubset",
    "StoreWriter",
    "ZarrStore",
]
