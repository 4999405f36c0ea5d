"""Networks that know nothing of models, plates or flows."""

from pavi.nn.skip_block import SkipBlock, even

__all__ = ["SkipBlock", "even"]
