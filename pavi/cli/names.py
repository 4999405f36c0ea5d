"""What the command line calls encodings and flows; apart from these, which take long to import."""

from __future__ import annotations

ENCODINGS = ("free", "deep-set", "set-transformer", "hybrid")
FLOWS = ("affine", "maf", "nsf", "coupling")
# The numbers of draws and inner draws that a check takes by default; a test compares them.
CHECK_DRAWS, CHECK_INNER = 1000, 4
