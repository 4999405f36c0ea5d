"""The template model: sites on plates, from which everything else derives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor
from torch.distributions import Distribution, biject_to
from torch.distributions.transforms import Transform

from pavi.core.alignment import Alignment
from pavi.core.batch import Links, PlateBatch
from pavi.core.description import describe
from pavi.core.diagram import draw
from pavi.core.distributions import cast, is_real, log_density, shaped, support_of
from pavi.core.plates import Plate, PlateGraph
from pavi.core.simulation import Simulation, simulate
from pavi.core.sites import Covariate, Latent, Observed, Site
from pavi.core.template_check import check_template

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


@final
class HierarchicalModel:
    r"""A hierarchical Bayesian model, written as a template.

    .. math:: p(\theta, x) = \prod_j \prod_n p(x_{j,n} \mid \mathrm{pa})
        \prod_i \prod_n p(\theta_{i,n} \mid \mathrm{pa}(\theta_{i,n}))

    The graph is the code: the argument names of a conditional are its parents. A site may use
    sites on its own plates and on any plate that those lie within. How many rows a plate has is a
    property of the data, never of the model.

    Args:
        plates: The plates, in any order.
        sites: Latent and observed sites and covariates, in any order.

    Raises:
        ValueError: If a plate or a parent is unknown, sites depend on each other in a circle, a
            site uses one outside its plates or has a name that cannot be used, or a conditional
            fails on tiny plates: it is run once on them, with distinct sizes, to see that it
            returns a distribution of the right shape, continuous and reparameterised where the
            site is latent.

    Example:
        >>> import pavi
        >>> from torch.distributions import HalfNormal, Normal
        >>> model = pavi.HierarchicalModel(
        ...     plates=[pavi.Plate("school"), pavi.Plate("pupil", within="school")],
        ...     sites={
        ...         "mu": pavi.Latent(lambda: Normal(0.0, 5.0)),
        ...         "tau": pavi.Latent(lambda: HalfNormal(2.0)),
        ...         "b": pavi.Latent(lambda mu, tau: Normal(mu, tau), plates="school"),
        ...         "y": pavi.Observed(lambda b: Normal(b, 1.0), plates="pupil"),
        ...     },
        ... )
        >>> model.latents
        ('mu', 'tau', 'b')
    """

    def __init__(self, plates: Sequence[Plate], sites: Mapping[str, Site]) -> None:
        self.plates = PlateGraph(plates)
        self.sites: dict[str, Site] = _ordered(sites)
        for name, site in self.sites.items():
            _check_name(name)
            self._check_plates(name, site)
        self._alignments = {
            (parent, name): self._alignment(parent, name)
            for name, site in self.sites.items()
            for parent in site.parents
        }
        self._constants: dict[tuple[str, torch.dtype, torch.device], Distribution] = {}
        self.latents = self._of_kind(Latent)
        self.observed = self._of_kind(Observed)
        self.covariates = self._of_kind(Covariate)
        self.supports = check_template(self)

    def conditional(
        self, site: str, values: Mapping[str, Tensor], batch: PlateBatch, *, draws: int
    ) -> Distribution:
        """The distribution of a site's rows in a batch, given its parents.

        Args:
            site: A latent or observed site.
            values: The latent sites drawn so far, `(draws, *plates, *event)`. Observed sites and
                covariates come from the batch unless they are given here.
            batch: The rows that take part.
            draws: The number of draws.

        Returns:
            A distribution with batch shape `(draws, *plates)` and the site's event shape.
        """
        spec = self.sites[site]
        assert not isinstance(spec, Covariate)
        if spec.parents:
            arguments = {p: self.aligned(p, site, values, batch) for p in spec.parents}
            distribution = spec.conditional(**arguments)
        else:
            key = (site, batch.like.dtype, batch.like.device)
            if key not in self._constants:
                self._constants[key] = cast(spec.conditional(), batch.like)
            distribution = self._constants[key]
        return shaped(distribution, (draws, *batch.shape(spec.plates)), spec.event_shape)

    def aligned(
        self, parent: str, site: str, values: Mapping[str, Tensor], batch: PlateBatch
    ) -> Tensor:
        """A parent's value as the conditional of `site` gets it."""
        value = values[parent] if parent in values else batch.values[parent].unsqueeze(0)
        return self._alignments[parent, site](value, batch)

    def transform(self, distribution: Distribution) -> Transform | None:
        """From unconstrained space to the support of a latent site; None for the identity."""
        support = support_of(distribution)
        return None if is_real(support) else biject_to(support)

    def log_factor(
        self, site: str, values: Mapping[str, Tensor], batch: PlateBatch, *, draws: int
    ) -> Tensor:
        """The log density of every row of one site, `(draws, *plates)`; zero where missing."""
        value = values[site] if site in values else batch.values[site].unsqueeze(0)
        factor = log_density(self.conditional(site, values, batch, draws=draws), value)
        if site in batch.present:
            factor = torch.where(batch.present[site], factor, 0.0)
        return factor

    def log_factors(self, values: Mapping[str, Tensor], batch: PlateBatch) -> dict[str, Tensor]:
        """The log density of every row of every site, unweighted and unsummed.

        Args:
            values: All latent sites, `(draws, *plates, *event)`.
            batch: The rows that take part.

        Returns:
            Per latent and observed site a tensor `(draws, *plates)`.
        """
        draws = next((len(values[name]) for name in self.latents), 1)
        return {
            name: self.log_factor(name, values, batch, draws=draws)
            for name in self.sites
            if name not in self.covariates
        }

    def simulate(
        self,
        cardinalities: Mapping[str, int],
        *,
        seed: int,
        covariates: Mapping[str, Tensor] | None = None,
        links: Links | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Simulation:
        """Draw latents and data from the model.

        Args:
            cardinalities: The number of rows of each plate.
            seed: The same seed gives the same simulation; torch's own state is left alone.
            covariates: Their values; standard normal where not given.
            links: Per indexed plate and plate directly above it, each row's parent. Where not
                given, every parent gets one row and the others fall at random.
            dtype: The floating-point type.

        Raises:
            ValueError: If a plate has no size, or fewer rows than one it lies within, or a size
                is that of an unknown plate.
        """
        return simulate(
            self, cardinalities, seed=seed, covariates=covariates, links=links, dtype=dtype
        )

    def describe(self, cardinalities: Mapping[str, int] | None = None) -> None:
        """Print the sites, their plates, parents, supports and numbers of ground variables.

        Args:
            cardinalities: The number of rows of each plate, if known.

        Raises:
            ValueError: If a cardinality is that of an unknown plate.
        """
        describe(self, cardinalities)

    def graph(
        self, path: Path | str | None = None, *, cardinalities: Mapping[str, int] | None = None
    ) -> Figure:
        """Draw the plate diagram.

        Args:
            path: Where to save it; the ending gives the format (`.svg`, `.png`, `.pdf`).
            cardinalities: The number of rows of each plate, if known, written into its corner.

        Raises:
            ImportError: Without matplotlib, which the extra `plot` brings.
        """
        return draw(self, path, cardinalities=cardinalities)

    def num_latents(self, cardinalities: Mapping[str, int]) -> int:
        """The number of latent dimensions of the grounded model, in the space of the values."""
        return sum(
            prod(cardinalities[p] for p in self.sites[name].plates)
            * prod(self.sites[name].event_shape)
            for name in self.latents
        )

    def _of_kind(self, kind: type[Site]) -> tuple[str, ...]:
        return tuple(name for name, site in self.sites.items() if isinstance(site, kind))

    def _check_plates(self, name: str, site: Site) -> None:
        for plate in site.plates:
            if plate not in self.plates:
                raise ValueError(
                    f"site {name!r} lies on plate {plate!r}, which does not exist; "
                    f"plates are {list(self.plates)}."
                )
        seen: dict[str, str] = {}
        for plate in site.plates:
            for reached in self.plates.closure([plate]):
                if reached in seen:
                    raise ValueError(
                        f"site {name!r} lies on plates {seen[reached]!r} and {plate!r}, which "
                        f"share {reached!r}; name the finer plate alone, or cross plates that "
                        "have nothing in common."
                    )
                seen[reached] = plate

    def _alignment(self, parent: str, name: str) -> Alignment:
        source, target = self.sites[parent], self.sites[name]
        try:
            return Alignment.between(
                self.plates,
                source.plates,
                target.plates,
                source_rank=len(source.event_shape),
                target_rank=len(target.event_shape),
            )
        except ValueError as error:
            raise ValueError(f"site {name!r} uses {parent!r}, which {error}.") from None


def _check_name(name: str) -> None:
    """Weights of a site are kept under its name, so the name must be free there."""
    if not name.isidentifier():
        raise ValueError(
            f"site {name!r}: a name must be a Python identifier, so that it can be an argument."
        )
    if hasattr(torch.nn.ModuleDict, name) or name == "training":
        raise ValueError(
            f"site {name!r} has the name of a method of torch's modules, under which its weights "
            f"cannot be kept; call it {name + '_'!r}, say."
        )


def _ordered(sites: Mapping[str, Site]) -> dict[str, Site]:
    """The sites with parents before children, otherwise in the order given."""
    for name, site in sites.items():
        if unknown := [parent for parent in site.parents if parent not in sites]:
            raise ValueError(
                f"site {name!r} has the parent {unknown[0]!r}, which does not exist; "
                f"sites are {list(sites)}."
            )
    sorter = TopologicalSorter({name: site.parents for name, site in sites.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ValueError(f"sites depend on each other in a circle: {circle}.") from None
    ordered: dict[str, Site] = {}
    while len(ordered) < len(sites):
        ready = next(
            name
            for name, site in sites.items()
            if name not in ordered and all(parent in ordered for parent in site.parents)
        )
        ordered[ready] = sites[ready]
    return ordered
