"""The one place that imports zuko.

Importing it switches argument validation off in all of `torch.distributions`, for everybody in
the process; here the switch is put back to where it was.
"""

from __future__ import annotations

import importlib

from torch.distributions import Distribution

_VALIDATES = Distribution._validate_args
zuko = importlib.import_module("zuko")
Distribution.set_default_validate_args(_VALIDATES)
