"""How to fit, as the command line is told it."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from pavi.cli import names
from pavi.core import HierarchicalModel
from pavi.encodings import (
    DeepSetEncodings,
    Encodings,
    FreeEncodings,
    HybridEncodings,
    SetTransformerEncodings,
)
from pavi.flows import AffineFlow, CouplingFlow, Flow, MAFFlow, NSFFlow
from pavi.training import Optimization

ENCODINGS: Mapping[str, Callable[[], Encodings]] = dict(
    zip(
        names.ENCODINGS,
        (FreeEncodings, DeepSetEncodings, SetTransformerEncodings, HybridEncodings),
        strict=True,
    )
)
FLOWS: Mapping[str, Callable[[], Flow]] = dict(
    zip(names.FLOWS, (AffineFlow, MAFFlow, NSFFlow, CouplingFlow), strict=True)
)


@final
@dataclass(frozen=True)
class FitOptions:
    """What `pavi.fit` is given besides the model and the data.

    Args:
        encodings: A name.
        flow: The name of the flow of all sites.
        flows: Per site, that of another.
        batch: Rows per plate; the default of `pavi.fit` if None.
        rates: Learning rates by their names in `Optimization`, where they are not the default.
        steps: The number of steps.
        seed: Of all random numbers.
    """

    encodings: str
    flow: str
    flows: Mapping[str, str]
    batch: Mapping[str, int] | None
    rates: Mapping[str, float]
    steps: int
    seed: int

    @classmethod
    def read(cls, given: Namespace, model: HierarchicalModel) -> FitOptions:
        """Read the arguments of `pavi fit`.

        Raises:
            ValueError: If one names what the model or pavi does not have.
        """
        flow, flows = _flows(given.flow, model)
        rates = {"learning_rate": given.learning_rate, "table_rate": given.table_rate}
        rates = {name: rate for name, rate in rates.items() if rate is not None}
        for name, rate in rates.items():
            if not 0 < rate < math.inf:
                option = f"--{name.replace('_', '-')}"
                raise ValueError(f"{option} must be positive and finite, got {rate:g}.")
        batch = _batch(given.batch, model) if given.batch else None
        return cls(given.encodings, flow, flows, batch, rates, given.steps, given.seed)

    def build_encodings(self) -> Encodings:
        """The encodings."""
        return ENCODINGS[self.encodings]()

    def build_flow(self) -> Flow:
        """The flow of all sites."""
        return FLOWS[self.flow]()

    def build_flows(self) -> dict[str, Flow]:
        """Those of single sites."""
        return {site: FLOWS[name]() for site, name in self.flows.items()}

    def build_optimization(self) -> Optimization:
        """How parameters are optimised."""
        return Optimization(
            learning_rate=self.rates.get("learning_rate", Optimization.learning_rate),
            table_rate=self.rates.get("table_rate"),
        )

    def told(self) -> dict[str, str | int]:
        """Plain values, which tell this fit from others."""
        flows = [self.flow, *(f"{site}={name}" for site, name in self.flows.items())]
        batch = [f"{plate}={size}" for plate, size in (self.batch or {}).items()]
        rates = [f"{name.replace('_', ' ')} {rate:g}" for name, rate in self.rates.items()]
        return {
            "encodings": self.encodings,
            "flow": ", ".join(flows),
            "batch": ", ".join(batch) or "default",
            "rates": ", ".join(rates) or "default",
            "steps": self.steps,
            "seed": self.seed,
        }


def _flows(given: Sequence[str], model: HierarchicalModel) -> tuple[str, dict[str, str]]:
    """The flow of all sites, and of some."""
    everywhere, found = list[str](), dict[str, str]()
    for text in given:
        site, equals, name = text.rpartition("=")
        if name not in FLOWS:
            raise ValueError(
                f"--flow {text}: there is no flow {name!r}; flows are {list(FLOWS)}. Give one "
                "for all sites, as --flow maf, or for one, as --flow SITE=maf."
            )
        if equals and site not in model.latents:
            raise ValueError(
                f"--flow {text}: {site!r} is not a latent site; these are {list(model.latents)}."
            )
        if site in found or (not equals and everywhere):
            raise ValueError(f"--flow {text}: {site or 'all sites'} had a flow already; keep one.")
        if equals:
            found[site] = name
        else:
            everywhere.append(name)
    return (everywhere or [names.FLOWS[0]])[0], found


def _batch(given: Sequence[str], model: HierarchicalModel) -> dict[str, int]:
    """Rows per plate."""
    found = dict[str, int]()
    for text in given:
        plate, equals, rows = text.partition("=")
        if not equals or not rows.isdecimal() or int(rows) < 1:
            raise ValueError(
                f"--batch {text}: expected PLATE=ROWS with a positive number of rows, such as "
                f"{next(iter(model.plates), 'school')}=20; plates are {list(model.plates)}."
            )
        if plate not in model.plates:
            raise ValueError(
                f"--batch {text}: {plate!r} is not a plate; plates are {list(model.plates)}."
            )
        if plate in found:
            raise ValueError(f"--batch {text}: {plate} had a number of rows already; keep one.")
        found[plate] = int(rows)
    return found
