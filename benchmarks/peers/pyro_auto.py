"""Pyro's time to a gap, with its automatic guides of independent Gaussians on full batches.

python -m benchmarks.peers.pyro_auto gre.npz --guide messenger

Runs in its own environment, from the root of the repository, and does not import pavi.
`auto_normal` is AutoNormal and `messenger` AutoNormalMessenger, both started at the prior's means;
draws are vectorised. Gaps are exact (`bounds.py`). Nothing is compiled; `before` is what came
before training, from the start of the interpreter on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any

BEGAN = time.perf_counter()

import pyro  # noqa: E402
import torch  # noqa: E402
from pyro.infer import SVI, Trace_ELBO  # noqa: E402
from pyro.infer.autoguide import (  # noqa: E402
    AutoNormal,
    AutoNormalMessenger,
    init_to_feasible,
    init_to_mean,
)

from benchmarks.peers.bounds import Bound, read_bound  # noqa: E402
from benchmarks.peers.course import Clock, course, stride  # noqa: E402
from benchmarks.peers.pyro_models import read_problem  # noqa: E402
from benchmarks.peers.search import (  # noqa: E402
    Setting,
    add_arguments,
    carry_out,
)

GUIDES = {"auto_normal": AutoNormal, "messenger": AutoNormalMessenger}


def fit(
    model: Callable[..., None],
    arrays: tuple[torch.Tensor, ...],
    bound: Bound,
    evidence: float,
    setting: Setting,
    *,
    guide: str,
    cap: float,
    clock: Clock,
) -> dict[str, Any]:
    """One fit; see `course`.

    Args:
        model: The model.
        arrays: Its arguments.
        bound: The ELBO of Gaussians on these data.
        evidence: Their log evidence.
        setting: What is tuned.
        guide: `auto_normal` or `messenger`.
        cap: Seconds of training.
        clock: Of training.
    """
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    pyro.enable_validation(False)
    family = GUIDES[guide](model, init_loc_fn=init_to_mean(fallback=init_to_feasible))
    family(*arrays)  # makes the parameters, without the axis of draws
    schedule = pyro.optim.LambdaLR(
        {
            "optimizer": torch.optim.Adam,
            "optim_args": {"lr": setting.rate},
            "lr_lambda": setting.decay,
        }
    )
    several = setting.draws > 1
    loss = Trace_ELBO(
        num_particles=setting.draws, vectorize_particles=several, max_plate_nesting=1
    )
    svi = SVI(model, family, schedule, loss)
    every = stride(bound.size)

    def advance() -> None:
        for _ in range(every):
            svi.step(*arrays)
            schedule.step()

    def gap() -> float:
        gaussians = {
            name: tuple(
                attrgetter(name)(part).detach().numpy() for part in (family.locs, family.scales)
            )
            for name in bound.latents
        }
        return (evidence - bound(gaussians)) / bound.size

    return course(
        advance, gap, steps=setting.steps, every=every, cap=cap, began=BEGAN, clock=clock
    )


def main() -> None:
    """Fit, or search, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="what benchmarks.peers.export wrote")
    parser.add_argument("--guide", choices=sorted(GUIDES), default="auto_normal")
    add_arguments(parser)
    arguments = parser.parse_args()
    model, arrays = read_problem(arguments.data)
    bound, evidence = read_bound(arguments.data)

    def trial(setting: Setting, clock: Clock, cap: float) -> dict[str, Any]:
        return fit(
            model,
            arrays,
            bound,
            evidence,
            setting,
            guide=arguments.guide,
            cap=cap,
            clock=clock,
        )

    print(json.dumps(carry_out(arguments, trial)))


if __name__ == "__main__":
    main()
