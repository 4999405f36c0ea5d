"""How long an all-reduce takes by the number of its bytes: `torchrun ... -m` this module.

The first rank prints a line of JSON.
"""

from __future__ import annotations

import json
import time
from statistics import median

import torch
import torch.distributed as dist

SIZES = [4**k for k in range(2, 13)]  # bytes, up to 16 MB
REPEATS, BATCH = 15, 20


def main() -> None:
    """Measure, and print the median microseconds of one by its bytes."""
    dist.init_process_group("gloo")
    found = {}
    for size in SIZES:
        values = torch.zeros(size // 4)
        times = []
        for _ in range(REPEATS):
            dist.barrier()
            start = time.perf_counter()
            for _ in range(BATCH):
                dist.all_reduce(values)
            times.append((time.perf_counter() - start) / BATCH)
        found[size] = 1e6 * median(times[3:])
    if dist.get_rank() == 0:
        print(json.dumps({"ranks": dist.get_world_size(), "microseconds": found}), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
