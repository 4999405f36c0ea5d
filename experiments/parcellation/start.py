r"""Where the fit of a cohort starts: k-means on the group average, then EM over all subjects.

The label of a vertex is mostly that of the group, so the average fingerprint of a vertex over
some subjects is nearly free of noise, and k-means on these averages finds the networks. Then, for
every subject, with `f` the frequencies of the labels of a vertex over the population,

.. math::
    r_{snl} &\propto f_{nl} \prod_t N(x_{stn}; c_{stl}, \kappa^2 I), \qquad
    N_{sl} = \sum_n r_{snl} \\
    c_{stl} &= \Big(\sum_n r_{snl}\, x_{stn} + \tfrac{\kappa^2}{s^2} c_l\Big) \Big/
        \Big(N_{sl} + \tfrac{\kappa^2}{s^2}\Big)

in turns, from the group's centroids `c`; after a pass over the cohort `f` is the mean of `r` over
subjects, and `c`, :math:`\kappa` and the spreads of centroids follow by moments. One pass reads
every number once. What is kept is a summary of every subject from *all* its vertices, the
unshrunken means with one vertex at the group's centroid added. Encodings are computed from these:
a step of training sees a few hundred of 59,412 vertices, and pooled from them a centroid would be
known fifteen times worse than it is.

**Over ranks** that each have some of the subjects, the sums over subjects are added up: `f`, the
distances that :math:`\kappa` comes from, and the average that k-means takes. They are kept in
double precision, so that the start, in single precision, does not depend on the number of ranks.
Every rank then does the rest, k-means with it, from the same sums. Summaries of subjects are small
(3.6 kB a subject beside 30 MB of fingerprints), and every rank gets those of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import track
from scipy.cluster.vq import ClusterError, kmeans2
from torch import Tensor

from experiments.checks import check_positive
from experiments.parcellation.ranks import ALONE, Ranks

# One subject's fingerprints, (session, vertex, dim).
Read = Callable[[int], Tensor]
# The share of a vertex' own label in the first frequencies.
SURE = 0.8
# A centroid of a subject lies within about this many of the first guess' noise of the group's.
FIRST_SPREAD = 0.3


@dataclass
class StartConfig:
    """How the start is found.

    Args:
        subjects: How many are averaged for k-means.
        restarts: Of k-means, of which the tightest clustering counts.
        passes: Of EM over all subjects.
        turns: Of both steps within a subject, in a pass.
    """

    subjects: int = 50
    restarts: int = 10
    passes: int = 2
    turns: int = 2

    def __post_init__(self) -> None:
        check_positive("start", vars(self), "subjects", "restarts", "passes", "turns")


@final
@dataclass(frozen=True)
class Start:
    """What is known before the fit.

    Args:
        centroids: Of the group, `(network, dim)`.
        profiles: Centroids of every subject and session, `(subject, session, network, dim)`.
        counts: Vertices of every network, `(subject, network)`.
        frequencies: Of the labels of every vertex, `(vertex, network)`.
        kappa: The noise around centroids.
        eps: The spread of subjects' centroids, `(network,)`.
        sigma: That of sessions' around them, `(network,)`.
    """

    centroids: Float[Tensor, "network dim"]
    profiles: Float[Tensor, "subject session network dim"]
    counts: Float[Tensor, "subject network"]
    frequencies: Float[Tensor, "vertex network"]
    kappa: Float[Tensor, ""]
    eps: Float[Tensor, " network"]
    sigma: Float[Tensor, " network"]


@torch.no_grad()
def find_start(
    read: Read,
    subjects: int,
    *,
    networks: int,
    config: StartConfig,
    seed: int = 0,
    after: Start | None = None,
    done: int = 0,
    ranks: Ranks = ALONE,
) -> Iterator[Start]:
    """The start after the first pass of EM, and after every further one.

    Args:
        read: Gives the fingerprints of a subject.
        subjects: Their number.
        networks: The number of networks.
        config: How it is found.
        seed: Of k-means.
        after: What an earlier run found, to go on from.
        done: In how many passes.
        ranks: Who else reads some of the subjects, and does this with them.
    """
    if after is None:
        labels, centroids, kappa = group_clusters(
            read, subjects, networks=networks, config=config, seed=seed, ranks=ranks
        )
        frequencies = torch.full((len(labels), networks), (1 - SURE) / networks)
        frequencies[torch.arange(len(labels)), labels] += SURE
        spread = FIRST_SPREAD * kappa
    for _ in range(done, config.passes):
        if after is not None:
            centroids, frequencies, kappa = after.centroids, after.frequencies, after.kappa
            spread = (after.eps.square() + after.sigma.square()).sqrt()
        after = em_pass(
            read,
            subjects,
            centroids=centroids,
            frequencies=frequencies,
            kappa=kappa,
            spread=spread,
            turns=config.turns,
            ranks=ranks,
        )
        yield after


@torch.no_grad()
def group_clusters(
    read: Read,
    subjects: int,
    *,
    networks: int,
    config: StartConfig,
    seed: int,
    ranks: Ranks = ALONE,
) -> tuple[Tensor, Tensor, Tensor]:
    """K-means on the average fingerprints of vertices.

    Returns:
        The cluster of every vertex, the centres, and the noise of a single measurement.
    """
    chosen = np.linspace(0, subjects - 1, min(subjects, config.subjects)).round().astype(int)
    mine = ranks.subjects(subjects)
    total = torch.zeros(read(mine[0]).shape[1:], dtype=torch.float64)
    squares = torch.zeros((), dtype=torch.float64)
    own = [int(subject) for subject in chosen if subject in mine]
    for subject in track(own, "group average", transient=True, disable=not ranks.first):
        x = read(subject)
        total += x.mean(0)
        squares += x.double().square().mean()
    squares = ranks.sum(squares)
    # In single precision, beyond which the order of the sum would show.
    average = (ranks.sum(total) / len(chosen)).float().double().numpy()
    if (different := len(np.unique(average, axis=0))) < networks:
        raise ValueError(
            f"the group averages of {len(average)} vertices take {different} different values, "
            f"which are too few for {networks} networks; is the store filled?"
        )
    best = np.inf
    for restart in range(config.restarts):
        try:
            centres, found = kmeans2(
                average, networks, minit="++", missing="raise", rng=seed + restart
            )
        except ClusterError:  # a cluster lost all of its vertices
            continue
        distortion = float(np.square(average - centres[found]).sum())
        if distortion < best:
            best, kept = distortion, (centres, found)
    if not np.isfinite(best):
        raise ValueError(
            f"k-means lost clusters in all of {config.restarts} restarts on the averages of "
            f"{len(chosen)} subjects; average more (start.subjects), allow more (start.restarts) "
            f"or ask for fewer networks than {networks}."
        )
    centres, found = kept
    explained = float(np.square(centres[found]).mean())
    kappa = (squares / len(chosen) - explained).clamp(min=1e-12).sqrt()
    return torch.from_numpy(found).long(), torch.from_numpy(centres).float(), kappa.float()


@torch.no_grad()
def em_pass(
    read: Read,
    subjects: int,
    *,
    centroids: Float[Tensor, "network dim"],
    frequencies: Float[Tensor, "vertex network"],
    kappa: Float[Tensor, ""],
    spread: Tensor,
    turns: int,
    ranks: Ranks = ALONE,
) -> Start:
    """One pass of EM over all subjects; see the head of this file."""
    log_prior = frequencies.log()
    pull = (kappa / spread).square().expand(len(centroids)).unsqueeze(-1)
    # Made before the loop: what is kept from it lies between the large arrays that come and go
    # with every subject, and would keep the heap from being used again.
    mine = ranks.subjects(subjects)
    first = read(mine[0])
    profiles = torch.zeros(subjects, len(first), *centroids.shape)
    counts = torch.zeros(subjects, len(centroids))
    labels = torch.zeros_like(frequencies, dtype=torch.float64)
    distance, numbers = torch.zeros((), dtype=torch.float64), first.numel() * subjects
    for subject in track(mine, "EM over subjects", transient=True, disable=not ranks.first):
        x = read(subject)
        own = centroids.expand(len(x), *centroids.shape)
        for _ in range(turns):
            r = responsibilities(x, own, log_prior, kappa)
            size = r.sum(0)
            sums = r.T @ x  # (session, network, dim)
            own = (sums + pull * centroids) / (size.unsqueeze(-1) + pull)
        profiles[subject] = (sums + centroids) / (size.unsqueeze(-1) + 1.0)
        counts[subject] = size
        # sum_n r |x - c|^2 from the sums at hand.
        distance += x.flatten().dot(x.flatten()).double()
        distance += (-2 * (sums * own).sum() + (size[:, None] * own.square()).sum()).double()
        labels += r
    kappa = (ranks.sum(distance) / numbers).sqrt().float()
    frequencies = ((ranks.sum(labels) + 0.5 / len(centroids)) / (subjects + 0.5)).float()
    # Each row is that of its rank and zeros.
    return moments(ranks.sum(profiles), ranks.sum(counts), frequencies, kappa)


def responsibilities(
    x: Float[Tensor, "session vertex dim"],
    centroids: Float[Tensor, "session network dim"],
    log_prior: Float[Tensor, "vertex network"],
    kappa: Float[Tensor, ""],
) -> Float[Tensor, "vertex network"]:
    """The probabilities of the labels of one subject's vertices."""
    scaled = centroids / kappa.square()
    evidence = (x @ scaled.mT).sum(0) - 0.5 * (scaled * centroids).sum((0, -1))
    return (log_prior + evidence).softmax(-1)


def moments(profiles: Tensor, counts: Tensor, frequencies: Tensor, kappa: Tensor) -> Start:
    """The group's centroids and the spreads around them, from those of subjects and sessions."""
    sessions = profiles.shape[1]
    error = (kappa.square() / counts.clamp(min=1.0)).mean(0)
    means = profiles.mean(1)
    centroids = means.mean(0)
    least = 1e-4 * kappa.square()
    sigma2 = torch.full_like(error, float(least))
    if sessions > 1:
        within = profiles.var(1).mean((0, -1)) - error
        sigma2 = torch.maximum(within, least)
    eps2 = (means.var(0).mean(-1) if len(means) > 1 else sigma2) - (sigma2 + error) / sessions
    return Start(
        centroids=centroids,
        profiles=profiles,
        counts=counts,
        frequencies=frequencies,
        kappa=kappa,
        eps=torch.maximum(eps2, least).sqrt(),
        sigma=sigma2.sqrt(),
    )
