"""The memory that a process has taken."""

from __future__ import annotations

import resource
import sys


def peak_rss_gb() -> float:
    """The largest resident set of this process so far, in gigabytes of 10^9 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes; Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
