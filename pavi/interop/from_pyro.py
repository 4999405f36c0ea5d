r"""A model written for Pyro as a template, by running it with given values.

One run finds sites, plates and data. What the distribution of a site depends on is read off the
gradients of its parameters. Its conditional then runs the Pyro model again with the values of the
parents in place, once for all draws by `torch.vmap`, and takes the parameters from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.distributions import Distribution

from pavi.core import Covariate, HierarchicalModel, Latent, Observed, Plate
from pavi.core.distributions import unvalidated
from pavi.data import PlateData
from pavi.interop.pyro_full_size import FullSize, at_rows, expanded
from pavi.interop.pyro_links import link
from pavi.interop.pyro_replay import PyroSite, Replay

SEEDS = (0, 1)


class FromPyro(NamedTuple):
    """A template with the data of the Pyro model's arguments."""

    model: HierarchicalModel
    data: PlateData


def from_pyro(
    model: Callable[..., Any], *arguments: Any, dtype: torch.dtype = torch.float32
) -> FromPyro:
    """Read a Pyro model with plates into a template and its data.

    Plates may be nested, crossed and subsampled; a site may look rows of another plate up by an
    index, `theta[..., group]`, which becomes a plate that lies within that one. Every plate gets
    a covariate `PLATE_row`, by which a conditional knows the rows of a batch. A conditional runs
    the whole Pyro model at full size, so a step costs what it costs in Pyro: for many groups,
    write the template natively.

    Args:
        model: The function. Given the values of its sites it may not be random.
        arguments: Its positional arguments, data included.
        dtype: The floating-point type of the data.

    Returns:
        The template and the data, `model, data = from_pyro(...)`.

    Raises:
        ImportError: Without Pyro, which the extra `pyro` brings.
        ValueError: If the model has what a template cannot say: loops over plates, masks,
            factors, `pyro.param`, discrete latents, control flow that depends on values, or a
            site whose distribution depends on others in a way that cannot be followed. The
            message names the site.

    Example:
        `model, data = from_pyro(eight_schools, sigma, y); posterior = pavi.fit(model, data)`
    """
    try:
        import pyro  # noqa: F401
    except ImportError:
        raise ImportError(
            "from_pyro() needs Pyro, which is optional: pip install 'pavi-torch[pyro]'"
        ) from None
    reading = _Reading(Replay(model, arguments))
    template = HierarchicalModel(reading.plates(), reading.sites())
    return FromPyro(template, reading.data(template, dtype))


@final
class _Reading:
    """What runs of a Pyro model tell."""

    def __init__(self, replay: Replay) -> None:
        with torch.random.fork_rng(devices=[]):
            first, second = (_prior_run(replay, seed) for seed in SEEDS)
        self._sites = first
        self._whole = FullSize(replay, first)
        self._frames, self._full = self._whole.plates, self._whole.values
        self._check_names()
        self._observed = [name for name, site in first.items() if site.observed]
        self._latents = self._whole.latents
        other = {name: expanded(second[name]) for name in self._latents}
        self._parents = {name: self._dependence(name) for name in first}
        self._within: dict[str, dict[str, Tensor]] = {}
        for name, parents in self._parents.items():
            for parent in parents:
                self._find_links(name, parent)
        for name in first:
            self._check_dependence(name, other)

    def plates(self) -> list[Plate]:
        """The plates of the template."""
        return [Plate(name, within=tuple(self._within.get(name, ()))) for name in self._frames]

    def sites(self) -> dict[str, Latent | Observed | Covariate]:
        """The sites of the template."""
        found: dict[str, Latent | Observed | Covariate] = {}
        for name in self._frames:
            found[_row(name)] = Covariate(plates=name)
        for name, site in self._sites.items():
            kind = Observed if site.observed else Latent
            plates = tuple(plate.name for plate in site.plates)
            found[name] = kind(
                self._conditional(name), plates=plates, event_shape=site.event_shape
            )
        return found

    def data(self, template: HierarchicalModel, dtype: torch.dtype) -> PlateData:
        """The data of the template: observed values, and row numbers."""
        arrays = {
            _row(name): torch.arange(plate.size, dtype=dtype)
            for name, plate in self._frames.items()
        }
        for name in self._observed:
            site = self._sites[name]
            shape = [*(plate.size for plate in site.plates), *site.event_shape]
            arrays[name] = self._full[name].reshape(shape)
        return PlateData.from_arrays(arrays, template, links=self._within, dtype=dtype)

    def _check_names(self) -> None:
        for site in self._sites.values():
            for plate in site.plates:
                if plate != self._frames[plate.name]:
                    raise ValueError(
                        f"site {site.name!r}: plate {plate.name!r} has another size or axis than "
                        "elsewhere; give each of them a name of its own."
                    )
        taken = [_row(plate) for plate in self._frames if _row(plate) in self._sites]
        if taken:
            raise ValueError(
                f"site {taken[0]!r} has the name of a plate's row numbers; rename it."
            )

    def _dependence(self, name: str) -> tuple[str, ...]:
        """The latent sites that the parameters of a site depend on."""
        leaves = {n: self._full[n].clone().requires_grad_() for n in self._latents if n != name}
        parameters = [t for t in self._whole.parameters(name, leaves) if t.requires_grad]
        if not parameters:
            return ()
        total = torch.stack([t.sum() for t in parameters]).sum()
        found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        return tuple(n for n, g in zip(leaves, found, strict=True) if g is not None)

    def _find_links(self, name: str, parent: str) -> None:
        """Plates of a parent on which the site does not lie: which of their rows does it use?"""
        own = {plate.name for plate in self._sites[name].plates}
        outside = [p for p in self._sites[parent].plates if p.name not in own]
        if not outside:
            return
        if len(outside) > 1 or len(own) != 1 or len(self._sites[parent].plates) != 1:
            raise ValueError(
                f"site {name!r}, on plates {sorted(own)}, uses {parent!r}, which also lies on "
                f"{[p.name for p in outside]}; one index from one plate into another can be read."
            )
        (target,), source = own, outside[0]
        site = self._sites[parent]
        if source.drawn < source.size or self._frames[target].drawn < self._frames[target].size:
            raise ValueError(
                f"site {name!r} looks rows of {parent!r} up while a plate is subsampled; read the "
                "model with whole plates, as pavi draws batches itself."
            )
        found = link(
            lambda value: self._whole.parameters(name, {parent: value}),
            self._full[parent],
            axis=source.dim - len(site.event_shape) + self._full[parent].ndim,
        )
        if found is None:
            raise ValueError(
                f"site {name!r} uses {parent!r}, which lies on plate {source.name!r}, and not one "
                f"row of it for each row of {target!r}: a template has no sums over a plate that "
                "a site does not lie on."
            )
        before = self._within.setdefault(target, {}).setdefault(source.name, found)
        if not torch.equal(before, found):
            raise ValueError(
                f"site {name!r} looks up other rows of plate {source.name!r} than another site on "
                f"{target!r} does; a plate lies within another in one way."
            )

    def _check_dependence(self, name: str, other: Mapping[str, Tensor]) -> None:
        """With other values everywhere, the parents alone must explain the parameters."""
        parents = {parent: other[parent] for parent in self._parents[name]}
        expected = self._whole.parameters(name, {n: other[n] for n in self._latents})
        found = self._whole.parameters(name, parents)
        same = (
            torch.allclose(a, b, rtol=1e-5, atol=1e-7, equal_nan=True)
            for a, b in zip(found, expected, strict=True)
        )
        if not all(same):
            raise ValueError(
                f"site {name!r}: its distribution changes with values that its parameters have no "
                f"gradient with respect to (found parents: {list(parents)}). The model may be "
                "random beside its sites, round, detach or compare values, or index by them."
            )

    def _conditional(self, name: str) -> Callable[..., Distribution]:
        site, parents = self._sites[name], self._parents[name]
        plates = [plate.name for plate in site.plates]
        looked_up = sorted({p.name for n in parents for p in self._sites[n].plates} - set(plates))
        rows = [_row(plate) for plate in (*plates, *looked_up)]

        def conditional(**values: Tensor) -> Distribution:
            places = {
                plate: values[_row(plate)].flatten().long() % self._frames[plate].size
                for plate in (*plates, *looked_up)
            }
            given = {
                parent: self._spread(parent, values[parent], plates, places) for parent in parents
            }
            with unvalidated():
                tensors = self._batched(name, given)
                chosen = []
                for tensor in tensors:
                    for axis, plate in enumerate(plates):
                        if tensor.shape[1 + axis] > 1:
                            tensor = tensor.index_select(1 + axis, places[plate])
                    chosen.append(tensor)
                if values:  # Constants of the Pyro model are in single precision.
                    like = next(iter(values.values()))
                    chosen = [t.to(like) if t.is_floating_point() else t for t in chosen]
                return site.parts.build(chosen)

        names = [*parents, *rows]
        conditional.__signature__ = Signature(  # type: ignore[attr-defined]
            [Parameter(n, Parameter.KEYWORD_ONLY) for n in names]
        )
        return conditional

    def _spread(
        self, parent: str, value: Tensor, plates: Sequence[str], places: Mapping[str, Tensor]
    ) -> Tensor:
        """A parent's rows of a batch as Pyro has them, `(draws, *full size)`.

        Rows outside the batch keep the values of the first run; nothing that is kept uses them.
        """
        site = self._sites[parent]
        own = [plate.name for plate in site.plates]
        draws, through = len(value), plates
        if outside := [plate for plate in own if plate not in plates]:
            through = [outside[0]]
            own = [outside[0]]
        else:
            for axis in range(len(plates) - 1, -1, -1):
                if plates[axis] not in own:
                    value = value.select(1 + axis, 0)
            through = own
        value = value.reshape((draws, *value.shape[1 : 1 + len(own)], *site.event_shape))
        filler = self._full[parent].to(value)
        filler = filler.reshape((*(p.size for p in site.plates), *site.event_shape))
        for axis, plate in enumerate(through):
            value = at_rows(value, places[plate], self._frames[plate].size, axis=1 + axis)
        known = torch.ones((), dtype=torch.bool)
        for plate in through:
            mask = torch.zeros(self._frames[plate].size, dtype=torch.bool)
            mask[places[plate]] = True
            known = known.unsqueeze(-1) & mask
        known = known.reshape((*known.shape, *(1 for _ in site.event_shape)))
        return torch.where(known, value, filler).reshape((draws, *self._full[parent].shape))

    def _batched(self, name: str, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The parameters of a site for every draw, `(draws, *plates, *parameter)`."""
        if not given:
            return tuple(t.unsqueeze(0) for t in self._whole.parameters(name, {}))
        draws = max(len(value) for value in given.values())
        given = {n: v.expand(draws, *v.shape[1:]) for n, v in given.items()}
        try:
            found = torch.vmap(lambda values: self._whole.parameters(name, values))(given)
        except RuntimeError as error:
            if "vmap" not in str(error):
                raise
            raise ValueError(
                f"site {name!r}: what the Pyro model does depends on the values of "
                f"{list(given)}, by `if` or `.item()`, which a template cannot: {error}"
            ) from error
        return tuple(found)


def _prior_run(replay: Replay, seed: int) -> dict[str, PyroSite]:
    torch.default_generator.manual_seed(seed)
    return replay.run({}, rows={})


def _row(plate: str) -> str:
    return f"{plate}_row"
