r"""Choosing rows step after step: independently, or so that all have come before one comes again.

Of `N` rows, `n` are wanted at every step. Independent draws visit a row in `T` steps
:math:`T n / N` times on average, and often enough half as many times or twice: encodings that are
free parameters then learn at different speeds, and the slowest decides how far a fit is from the
posterior. *Random reshuffling* visits all alike. An epoch has :math:`m = \lfloor N / n \rfloor`
steps and a permutation :math:`\pi` of its own, drawn uniformly; step `i` of it takes

.. math:: \{\pi(in), \pi(in + 1), \dots, \pi(in + n - 1)\}.

The images of any `n` places are a uniform draw of `n` of `N` rows without replacement. So every
single batch has the law of an independent one, with the same inclusion probabilities of whatever
it brings along, and every gradient is unbiased, given what the fit knew when the epoch began. What
changes is that batches of one epoch exclude each other. The :math:`N - mn < n` rows at the end of
a permutation sit the epoch out, others each time.

A permutation of many rows is not written down: a Feistel network of eight rounds computes where
any place goes, and walks on while that is no row (format-preserving encryption). Its keys are
drawn once an epoch; it is a bijection whatever they are, and looks random without being drawn
uniformly.

References:
    Mishchenko, Khaled, Richtarik (2020), Random Reshuffling: Simple Analysis with Vast
    Improvements. Black and Rogaway (2002), Ciphers with Arbitrary Finite Domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final, runtime_checkable

import numpy as np

# Rows whose permutation is written down: some 10 ms, once an epoch.
WRITTEN = 2**20
ROUNDS = 8
MIX = np.uint64(0x9E3779B97F4A7C15)


@runtime_checkable
class Choice(Protocol):
    """How some of many are chosen for one batch."""

    def choose(
        self, plate: str, total: int, size: int, *, offsets: int = 1
    ) -> tuple[int, np.ndarray]:
        """A number below `offsets`, and `size` of the first `total` numbers in any order.

        Args:
            plate: The plate that this is for.
            total: How many there are.
            size: How many are wanted.
            offsets: How many offsets there are; uniform, and independent of what is chosen.
        """
        ...


@final
class Independent:
    """Chooses anew for every batch.

    Args:
        rng: Where the choices come from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(
        self, plate: str, total: int, size: int, *, offsets: int = 1
    ) -> tuple[int, np.ndarray]:
        """See `Choice`."""
        offset = int(self._rng.integers(offsets)) if offsets > 1 else 0
        return offset, self._rng.choice(total, size, replace=False, shuffle=False)


@final
class Epochs:
    """Chooses so that nothing comes again within an epoch; a function of the key and the step.

    Args:
        key: What seeds the epochs: streams with other keys have other epochs.
    """

    def __init__(self, key: Sequence[int]) -> None:
        self._key = tuple(key)
        # Of every plate the last epoch.
        self._kept: dict[str, tuple[tuple[int, ...], _Epoch]] = {}

    def at(self, step: int) -> Choice:
        """The choices of a step."""
        return _Step(self, step)

    def epoch(self, plate: str, total: int, number: int, *, offsets: int) -> _Epoch:
        """Of a plate the epoch with a number."""
        name = (total, number, offsets)
        if (kept := self._kept.get(plate)) is not None and kept[0] == name:
            return kept[1]
        rng = np.random.default_rng([*self._key, number, *plate.encode()])
        epoch = _Epoch(total, rng, offsets=offsets)
        self._kept[plate] = name, epoch
        return epoch


@final
class _Step:
    """A step of all epochs."""

    def __init__(self, epochs: Epochs, step: int) -> None:
        self._epochs, self._step = epochs, step

    def choose(
        self, plate: str, total: int, size: int, *, offsets: int = 1
    ) -> tuple[int, np.ndarray]:
        """See `Choice`."""
        number, place = divmod(self._step, total // size)
        epoch = self._epochs.epoch(plate, total, number, offsets=offsets)
        return epoch.offset, epoch[place * size : (place + 1) * size]


@final
class _Epoch:
    """A permutation and an offset."""

    def __init__(self, total: int, rng: np.random.Generator, *, offsets: int) -> None:
        self.offset = int(rng.integers(offsets)) if offsets > 1 else 0
        self._total = total
        self._written = self._keys = None
        if total <= WRITTEN:
            self._written = rng.permutation(total)
        else:
            self._keys = rng.integers(2**64, size=ROUNDS, dtype=np.uint64)

    def __getitem__(self, places: slice) -> np.ndarray:
        """What some places are mapped to."""
        if self._keys is not None:
            return feistel(np.arange(places.start, places.stop), self._total, self._keys)
        assert self._written is not None
        return self._written[places]


def feistel(places: np.ndarray, total: int, keys: np.ndarray) -> np.ndarray:
    """Where a permutation of the first `total` numbers takes some of them.

    Args:
        places: The numbers.
        total: How many there are.
        keys: One 64-bit key for each round.
    """
    half = np.uint64((max(total - 1, 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << int(half)) - 1)
    found = places.astype(np.uint64)
    walking = np.arange(len(found))
    while len(walking):
        left, right = found[walking] >> half, found[walking] & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right + key) & mask)
        found[walking] = (left << half) | right
        walking = walking[found[walking] >= total]
    return found.astype(np.int64)


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every bit of the result depends on every bit of the value."""
    values = (values + MIX) * MIX
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
