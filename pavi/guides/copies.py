"""Copies of a guide that share its flows and all that was learned, and look rows up elsewhere.

A guide is what it has learned, which all rows share, and an encoder, which knows rows. So a guide
of other rows, of fixed encodings or of one data set among several is a copy with another encoder;
training either trains both.
"""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from pavi.encodings import Encoder

Copied = TypeVar("Copied", bound=nn.Module)


def with_encoder(guide: Copied, encoder: Encoder) -> Copied:
    """The guide with another encoder, all else shared.

    Args:
        guide: A guide with an `encoder`.
        encoder: That of the copy.
    """
    twin = copy.copy(guide)
    twin._modules = {**guide._modules, "encoder": encoder}
    return twin


def sharing(twin: Copied, guide: Copied) -> Copied:
    """A guide of another model, made to share the flows of a guide and what it holds of the prior.

    Args:
        twin: The guide of the other model, whose sites are those of `guide`.
        guide: The guide whose `flows` and own buffers it gets.
    """
    twin.flows = guide.flows
    for name, buffer in guide.named_buffers(recurse=False):
        setattr(twin, name, buffer)
    return twin
