"""Encodings: what tells one ground variable from its siblings."""

from pavi.encodings.base import Encoder, Encodings
from pavi.encodings.free import FreeEncodings

__all__ = ["Encoder", "Encodings", "FreeEncodings"]
