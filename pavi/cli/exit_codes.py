"""The exit codes of the `pavi` command; a fit that a signal ended has that of `FitStopped`."""

from __future__ import annotations

SUCCESS, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130
