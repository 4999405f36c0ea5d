"""The encodings that the command line can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pavi.encodings import (
    DeepSetEncodings,
    Encodings,
    FreeEncodings,
    HybridEncodings,
    SetTransformerEncodings,
)

ENCODINGS: Mapping[str, Callable[[], Encodings]] = {
    "free": FreeEncodings,
    "deep-set": DeepSetEncodings,
    "set-transformer": SetTransformerEncodings,
    "hybrid": HybridEncodings,
}
