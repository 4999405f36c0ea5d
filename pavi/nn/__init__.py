"""Networks that know nothing of models, plates or flows."""

from pavi.nn.attention import AttentionBlock
from pavi.nn.skip_block import SkipBlock, even

__all__ = ["AttentionBlock", "SkipBlock", "even"]
