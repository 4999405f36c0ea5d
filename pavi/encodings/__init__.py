"""Encodings: what tells one ground variable from its siblings."""

from pavi.encodings.base import Encoder, Encodings, FlexibleEncodings
from pavi.encodings.computed import ComputedEncodings
from pavi.encodings.deep_set import DeepSetEncodings
from pavi.encodings.free import FreeEncodings
from pavi.encodings.hybrid import HybridEncodings
from pavi.encodings.own_data import OwnDataEncodings
from pavi.encodings.set_transformer import SetTransformerEncodings

__all__ = [
    "ComputedEncodings",
    "DeepSetEncodings",
    "Encoder",
    "Encodings",
    "FlexibleEncodings",
    "FreeEncodings",
    "HybridEncodings",
    "OwnDataEncodings",
    "SetTransformerEncodings",
]
