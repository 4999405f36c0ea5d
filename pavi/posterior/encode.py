"""The encodings of all rows, exact, from data that are read a part at a time."""

from __future__ import annotations

import torch
from rich.progress import track
from torch import Tensor

from pavi.data import PlateData, Shard
from pavi.data.chunks import Chunks
from pavi.encodings import Encoder
from pavi.encodings.sweep import IncompleteSumError, Sweep
from pavi.training.ranks import sum_over_ranks

# Numbers that an encoder holds for each number of the data, for the size of a part.
NUMBERS = 32


@torch.no_grad()
def encode(
    encoder: Encoder,
    data: PlateData,
    *,
    budget: int = 2**24,
    progress: bool = False,
    shard: Shard | None = None,
) -> dict[str, Tensor]:
    """Compute the encodings of every latent site, `(*plates, dim)`.

    Args:
        encoder: The encoder.
        data: All data, or those of the shard.
        budget: How many numbers a part may hold.
        progress: Whether to show a bar, one per pass over the data.
        shard: The rows that this rank has, if others have the rest: encodings are those from the
            data of all ranks, each of which must call this.
    """
    shared = shard is not None and shard.ranks > 1
    plate = shard.plate if shard is not None and shared else None
    chunks = Chunks(data, draws=NUMBERS, budget=budget, plate=plate)
    sites = data.model.latents
    if len(chunks) == 1 and not shared:
        return encoder(data.batch())
    sweep = Sweep(chunks.split, over_ranks=sum_over_ranks if shared else None)
    while True:
        parts: dict[str, list[Tensor]] = {site: [] for site in sites}
        batches = chunks.batches(seed=0)
        for batch in track(batches, "encodings", total=len(chunks), disable=not progress):
            sweep.begin()
            try:
                found = encoder(batch, sweep)
            except IncompleteSumError:
                continue
            for site in sites:
                parts[site].append(found[site])
        if not sweep.advance():
            break
    return {site: chunks.join(site, values) for site, values in parts.items()}
