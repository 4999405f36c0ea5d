"""SIGKILL to a parcellation: in its start, in its fit, and while its posterior is streamed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.faults.ambush import Ambush, after_it, before_it, die
from benchmarks.faults.fault import Fault
from benchmarks.faults.kills import killed_after, killed_at
from benchmarks.faults.programs import EVERY, PARCELLATION, PARCELLATION_STEPS, PASSES, SUBJECTS
from experiments.parcellation.run_files import RunFiles
from experiments.run_folder import RunFolder
from pavi.data.stores import StoreWriter
from pavi.data.stores.manifest import Manifest
from pavi.training import RowAdam

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Of the files of tensors, in the order in which a run writes them: those of the passes, the
# weights, the ELBO of the subjects so far, that of all of them, and the group.
ELBO, GROUP = PASSES + 2, PASSES + 4
UPDATES = 2  # in a step, of the weights of sites without plates and of networks


def streams(rng: random.Random) -> Iterator[Fault]:
    """At every stage of a run, and by the clock after each of its checkpoints."""
    for checkpoint in range(PARCELLATION_STEPS // EVERY + 1):
        # After the last one the posterior is streamed.
        seconds = rng.uniform(0, 0.3)
        name = f"parcellation: kill -9 {seconds:.3f} s after checkpoint {checkpoint}"
        yield Fault(name, partial(killed_after, PARCELLATION, checkpoint, seconds), PARCELLATION)
    for name, ambush in _instants(rng):
        strike = partial(killed_at, PARCELLATION, ambush)
        yield Fault(f"parcellation: kill -9 {name}", strike, PARCELLATION)


def _instants(rng: random.Random) -> list[tuple[str, Ambush]]:
    step = rng.randint(1, PARCELLATION_STEPS)
    half, whole = rng.randint(1, SUBJECTS), rng.randint(1, SUBJECTS)
    return [
        ("between the passes of its start", Ambush(RunFiles, "write_start", 1, after_it)),
        (f"in step {step}", Ambush(RowAdam, "_update_weights", UPDATES * step, after_it)),
        ("before the weights", Ambush(RunFiles, "write_tensors", PASSES + 1, before_it)),
        ("making the store of labels", Ambush(Manifest, "write", 1, before_it)),
        (f"in subject {half} of the posterior", Ambush(StoreWriter, "write", half, _in_part)),
        (f"after subject {whole} of the posterior", Ambush(StoreWriter, "write", whole, after_it)),
        ("before the manifest of the posterior", Ambush(Manifest, "write", 2, before_it)),
        ("after the manifest of the posterior", Ambush(Manifest, "write", 2, after_it)),
        ("before the ELBO of subjects", Ambush(RunFiles, "write_tensors", ELBO, before_it)),
        ("before the group", Ambush(RunFiles, "write_tensors", GROUP, before_it)),
        ("before the metrics", Ambush(RunFolder, "write_metrics", 1, before_it)),
    ]


def _in_part(write: Callable[..., Any], *given: Any) -> None:
    """Die with half of a subject in the file."""
    pwrite = os.pwrite

    def half(file: int, content: Buffer, offset: int) -> int:
        view = memoryview(content)
        pwrite(file, view[: len(view) // 2], offset)
        die()
        return 0

    os.pwrite = half
    write(*given)
