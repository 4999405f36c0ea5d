"""Encoders of sites whose flows say how long an encoding must be."""

from __future__ import annotations

from collections.abc import Mapping

from pavi.core import HierarchicalModel
from pavi.encodings.base import Encoder, Encodings, FlexibleEncodings


def build_encoder(
    encodings: Encodings,
    model: HierarchicalModel,
    cardinalities: Mapping[str, int],
    *,
    lengths: Mapping[str, int],
) -> Encoder:
    """The encoder of a choice, with encodings of these lengths for some sites.

    Args:
        encodings: The choice.
        model: The template.
        cardinalities: The number of rows of each plate.
        lengths: Per site whose encoding holds the coefficients of its flow, how many these are.

    Raises:
        ValueError: If there are any and all encodings must be of one length.
    """
    if not lengths:
        return encodings.build(model, cardinalities)
    if not isinstance(encodings, FlexibleEncodings):
        raise ValueError(
            f"the flows of sites {list(lengths)} hold the coefficients of a row in its encoding, "
            f"which must be free: FreeEncodings(). Got {encodings}; to compute encodings from "
            "data take a flow with shared weights, such as AffineFlow() or BranchFlow()."
        )
    return encodings.build(model, cardinalities, lengths=lengths)
