"""Encodings: what tells one ground variable from its siblings."""

from pavi.encodings.base import Encoder, Encodings
from pavi.encodings.deep_set import DeepSetEncodings
from pavi.encodings.free import FreeEncodings
from pavi.encodings.hybrid import HybridEncodings

__all__ = ["DeepSetEncodings", "Encoder", "Encodings", "FreeEncodings", "HybridEncodings"]
