"""`python -m pavi` is the `pavi` command."""

from __future__ import annotations

import sys

from pavi.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
