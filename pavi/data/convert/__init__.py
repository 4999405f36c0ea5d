"""Stores made from files of other kinds: npy, zarr, HDF5 and CIFTI dense series.

python -m pavi.data.convert SOURCE... OUT
"""

from pavi.data.convert.conversion import convert
from pavi.data.convert.sources import Source, open_source

__all__ = ["Source", "convert", "open_source"]
