"""Lightning's notes that say nothing about a run, kept off the screen."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

EXPECTED = (
    # Advice for loaders that read files; a plate-batch is sliced from tensors in this process.
    "The '.*' does not have many workers",
    # Lightning 2.6 looks into torch's private pytree in a way torch >= 2.9 deprecates.
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
    # A resumed run.
    "Checkpoint directory .* exists and is not empty",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's notes on hardware and warnings that are expected here."""
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in EXPECTED:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(before)
