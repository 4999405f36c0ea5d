r"""Importance weights of the globals alone, and of the rows of a level given all above them.

**Globals.** Let :math:`\phi` be the sites without plates, and let groups `g` with latents
:math:`\theta_g` and data :math:`x_g` be independent given :math:`\phi`. The guide draws
:math:`\phi \sim q(\phi)` and :math:`\theta_g \sim q(\theta_g \mid \phi)`. The joint weight

.. math:: \frac{p(\phi)}{q(\phi)} \prod_g \frac{p(\theta_g, x_g \mid \phi)}{q(\theta_g \mid \phi)}

judges all latents at once: over thousands of groups its tail is heavy even where every group is
nearly right. The globals' own marginal has the weight

.. math:: w(\phi) = \frac{p(\phi, x)}{q(\phi)} = \frac{p(\phi)}{q(\phi)} \prod_g Z_g(\phi), \qquad
    Z_g(\phi) = p(x_g \mid \phi) = E_{q(\theta_g \mid \phi)}\Big[
    \frac{p(\theta_g, x_g \mid \phi)}{q(\theta_g \mid \phi)}\Big].

For each :math:`\phi` the mean of `M` draws estimates every :math:`Z_g` without bias. They are
independent over groups given :math:`\phi`, so their product is unbiased as well and :math:`\hat
w(\phi)` is a weight of :math:`p(\phi \mid x)` exactly, for every `M`: it is the joint weight on a
space that holds the `M` draws too. What it has besides :math:`w(\phi)` is noise, whose log has by
the delta method the variance :math:`\sum_g \mathrm{var}(r_{g}) / (M Z_g^2)` for the ratios `r`.
Noise makes the tail heavier: k-hat of :math:`\hat w` errs high, and tends to that of `w` as `M`
grows. Draws of a group come in antithetic pairs, which take the part of `r` that is odd in the
noise away; the pair means then count as the draws. Groups within groups are integrated from the
finest up:

.. math:: Z_g(\phi) = E_{q(\theta_g \mid \phi)}\Big[\frac{p(\theta_g, x_g \mid \phi)}
    {q(\theta_g \mid \phi)} \prod_{h \in g} Z_h(\phi, \theta_g)\Big].

**Rows.** For one group, given :math:`\phi`, the target is :math:`p(\theta_g \mid \phi, x_g)`,
which has the weight :math:`r_g / Z_g(\phi)` by Bayes' rule, with all levels below `g` integrated.
:math:`Z_g(\phi)` is what the data say of :math:`\phi`, no fault of the group: even for an exact
guide `r_g` varies with :math:`\phi`. So for each of a few contexts :math:`\phi_c \sim q`, many
:math:`\theta_g` are drawn, their weights are divided by their mean, and each context is judged on
its own. Put together they would be a mixture of scales, one for each context, and k-hat knows no
scale: rows whose weights differ by a thousandth, in some contexts more than in others, had
k-hats of two.

Rows that are tied by a crossing have no weight of their own; see `pavi.diagnostics.stages`.

Reference:
    Andrieu and Roberts (2009), The pseudo-marginal approach, for weights with unbiased noise.
    Yao, Vehtari, Simpson and Gelman (2018), Yes, but did it work? Evaluating variational
    inference, ICML, for k-hat and calibration as judges of a guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.diagnostics.stages import Stage
from pavi.diagnostics.walk import Walk, pair_means, tiled
from pavi.guides.base import Draws, Guide


@final
@dataclass(frozen=True)
class GlobalWeights:
    """Weights of draws of the first stage.

    Args:
        log_weights: `(draws,)`, up to no constant: the mean weight is the evidence.
        noise: The standard deviation of the log weights that comes from the integration.
        values: Of the sites of the first stage, `(draws, *plates, *event)`.
    """

    log_weights: Tensor
    noise: float
    values: Mapping[str, Tensor]


@torch.no_grad()
def global_weights(
    guide: Guide,
    data: PlateData,
    root: Stage,
    chunks: Chunks,
    *,
    draws: int,
    inner: int,
    seed: int,
    block: int = 0,
) -> GlobalWeights:
    """Weights of the first stage, with all others integrated; see the module.

    Args:
        guide: The guide, with its model.
        data: All data.
        root: The first stage.
        chunks: The parts in which the data are read.
        draws: The number of draws.
        inner: For each draw of the stages above, the draws of a stage: even, at least four.
        seed: Of the noise.
        block: The number of these draws, where there are others of the same seed.
    """
    walk = Walk(guide, np.random.default_rng([seed, block]))
    whole = data.batch(sites=None if guide.whole else data.covariates)
    # Below the first stage, one whose rows are tied is drawn once for all parts, too.
    spine = [root, *(child for child in root.children if child.tied and not child.unit)]
    drawn = [walk.draw(root, whole, Draws(), draws)]
    for stage in spine[1:]:
        above = tiled(drawn[-1], inner)
        drawn.append(walk.draw(stage, whole, above, draws * inner, antithetic=True))
    totals = [
        walk.latent_part(stage, found, whole) for stage, found in zip(spine, drawn, strict=True)
    ]
    variance = torch.zeros((), dtype=torch.float64)
    for number, batch in enumerate(chunks.batches(seed=seed)):
        for depth, stage in enumerate(spine):
            fresh = [n for n in stage.observed if number == 0 or not chunks.shared(n)]
            totals[depth] = totals[depth] + walk.data_part(stage, drawn[depth], batch, fresh)
        for child in spine[-1].children:
            if number == 0 or chunks.split & set(child.unit):
                found, noise = walk.integral(child, batch, drawn[-1], inner)
                totals[-1] = totals[-1] + found.flatten(1).sum(1)
                variance = variance + noise.flatten(1).sum(1)
    if len(spine) > 1:
        found, variance = pair_means(totals[1].unflatten(0, (inner, draws)))
        totals = [totals[0] + found]
    return GlobalWeights(
        log_weights=totals[0],
        noise=float(variance.mean().sqrt()),
        values={site: drawn[0].values[site] for site in root.sites},
    )


def row_weights(
    guide: Guide,
    data: PlateData,
    path: tuple[Stage, ...],
    chunks: Chunks,
    *,
    contexts: int,
    draws: int,
    inner: int,
    seed: int,
) -> Iterator[Tensor]:
    """Normalised log weights of every row of the last stage of a path, part by part.

    Args:
        guide: The guide, with its model.
        data: All data.
        path: From the first stage down to the one that is asked for.
        chunks: The parts in which the data are read.
        contexts: Draws of all stages above.
        draws: Of the stage, for each context.
        inner: Draws of a stage below, for each draw above it: even, at least four.
        seed: Of the noise.

    Yields:
        Per part `(draws, contexts, *rows)`.
    """
    walk = Walk(guide, np.random.default_rng([seed, 1, len(path)]))
    shared = [stage for stage in path[:-1] if not chunks.split & set(stage.unit)]
    whole = data.batch(sites=None if guide.whole else data.covariates)
    above = walk.down(shared, whole, Draws(), contexts)
    for batch in chunks.batches(seed=seed):
        context = walk.down(path[len(shared) : -1], batch, above, contexts)
        yield walk.normalised(path[-1], batch, context, draws, inner)
        if not chunks.split & set(path[-1].unit):
            return  # Every part holds all of its rows.
