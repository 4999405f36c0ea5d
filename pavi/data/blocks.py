r"""Drawing the rows of a plate in contiguous runs, which a disk reads in one go.

Of :math:`N` rows, :math:`kB` are wanted, as `k` runs of `B`. The plate is taken as a circle. A
grid of :math:`m = \lfloor N / B \rfloor` blocks is laid on it from an offset `o`, drawn uniformly
from :math:`0, \dots, N - 1`: block `j` holds the rows :math:`(o + jB + i) \bmod N`, :math:`i < B`.
The :math:`N - mB < B` rows before the offset lie in none. Then `k` of the `m` blocks are drawn
uniformly without replacement.

Inclusion probability. The place of row `n` behind the offset, :math:`(n - o) \bmod N`, is uniform
on :math:`0, \dots, N - 1`. The row lies in a block if this is less than `mB`, and whichever block
that is, it is drawn with probability :math:`k / m`, so that

.. math:: \pi_n = \frac{mB}{N} \cdot \frac{k}{m} = \frac{kB}{N},

exactly, for every row and any `N`: the weight :math:`N / n` of a uniform draw of `n = kB` rows.

What differs from such a draw is which rows come *together*: neighbours nearly always do. Estimates
stay unbiased, and their variance grows as far as neighbours resemble each other. A plate that is
permuted once, when its data are written, has no such neighbours; and since the offset moves, no
two rows are tied for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pavi.data.epochs import Choice
    from pavi.data.plate_data import PlateData


def draw_blocks(plate: str, total: int, size: int, block: int, choice: Choice) -> np.ndarray:
    """Rows of a plate in runs, ascending; each row with probability `size / total`.

    Args:
        plate: The plate.
        total: The rows of the plate.
        size: How many to draw, a multiple of `block`.
        block: The length of a run; with 1 there is no offset.
        choice: Of the offset and the blocks.
    """
    offsets = total if block > 1 else 1
    offset, drawn = choice.choose(plate, total // block, size // block, offsets=offsets)
    first = offset + block * drawn
    return np.sort((first[:, None] + np.arange(block)).ravel() % total)


def check_blocks(blocks: Mapping[str, int], sizes: Mapping[str, int], data: PlateData) -> None:
    """See that blocks are of plates that can come in runs.

    Args:
        blocks: Per plate, the length of a run.
        sizes: Per plate, the rows to draw.
        data: The data.

    Raises:
        ValueError: If a plate is not drawn, not dense, or the rows to draw are not a multiple.
    """
    for plate, block in blocks.items():
        if plate not in data.cardinalities:
            raise ValueError(
                f"blocks name the unknown plate {plate!r}; plates are {list(data.cardinalities)}."
            )
        if within := data.model.plates[plate].within:
            raise ValueError(
                f"blocks of plate {plate!r}: it lies within {list(within)}, and only the rows of "
                "a plate that lies within no other can be drawn in runs."
            )
        if plate not in sizes:
            raise ValueError(
                f"blocks of plate {plate!r}, of which all rows are taken; draw some, as by "
                f"batch={{{plate!r}: {4 * block}}}. Drawn are {dict(sizes)}."
            )
        if not isinstance(block, Integral) or block < 1 or sizes[plate] % block:
            raise ValueError(
                f"blocks of plate {plate!r} must be a positive number of rows that divides the "
                f"{sizes[plate]} to draw, got {block!r}."
            )
