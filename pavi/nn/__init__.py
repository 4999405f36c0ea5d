"""Networks that know nothing of models, plates or flows."""

from pavi.nn.attention import AttentionBlock, per_head, soft_exp
from pavi.nn.skip_block import SkipBlock, even

__all__ = ["AttentionBlock", "SkipBlock", "even", "per_head", "soft_exp"]
