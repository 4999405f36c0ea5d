"""Where the nodes and plates of a plate diagram go: geometry alone, nothing is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

if TYPE_CHECKING:
    from pavi.core.model import HierarchicalModel

# Lengths are in inches, as on paper. Nodes sit on a grid of rows and of narrow columns.
ROW, COLUMN, HEIGHT = 1.0, 0.15, 0.46  # the last is that of a node
GAP = 0.18  # between things that have nothing to do with each other
PAD, STRIP = 0.12, 0.21  # from a plate to the next one around it; below, where its label stands
WRONG = 1000.0  # the cost of a broken rule; all the ugliness of a good layout costs some 50
CHAINS, HOT, COLD = 64, 30.0, 0.02  # of the annealing; its heat compares with a cost

_Grid = Int[np.ndarray, "2 chains sites"]  # rows and columns
_Cost = Float[np.ndarray, " chains"]
# How far boxes reach to the left, to the right, down and up: a box around others has the maxima.
_Reach = Float[np.ndarray, "4 chains ..."]
_Nodes = Float[np.ndarray, "4 chains sites"]
_Plates = Float[np.ndarray, "4 chains plates"]
_Flags = Bool[np.ndarray, "chains ..."]


class Box(NamedTuple):
    """An upright rectangle."""

    left: float
    right: float
    bottom: float
    top: float


@final
@dataclass(frozen=True)
class Layout:
    """The boxes of a diagram, by name.

    Args:
        nodes: Of every site.
        plates: Of every plate that holds a site.
        labels: Of the names of these plates, each in a lower corner.
    """

    nodes: dict[str, Box]
    plates: dict[str, Box]
    labels: dict[str, Box]


def arrange(
    model: HierarchicalModel, *, widths: Mapping[str, float], label_widths: Mapping[str, float]
) -> Layout:
    """Find a layout with children below their parents and in each plate its own sites only.

    Simulated annealing looks for one with few crossings and short, steep arrows. Its chains start
    with every site at its topological depth; its random numbers are its own and always the same.

    Args:
        model: The model.
        widths: Of the node of every site.
        label_widths: Of the label of every plate.

    Raises:
        ValueError: If none is found: rectangles cannot cross in every way that plates can.
    """
    score = _Score(model, widths, label_widths)
    grid = _anneal(score)
    nodes = score.nodes(grid)
    plates = score.plates(nodes)
    if score.broken(grid, nodes, plates).item():
        raise ValueError(
            f"found no rectangles for the plates {score.plate_names[::-1]} that hold their own "
            "sites only, because they cross in too many ways; describe() lists what is on each."
        )
    corner = score.clashes(plates)[0].argmin(0)
    labels = score.labels(plates)[:, :, corner, np.arange(len(corner))]
    return Layout(
        _boxes(score.site_names, nodes),
        _boxes(score.plate_names, plates),
        _boxes(score.plate_names, labels),
    )


def _boxes(names: list[str], reach: _Reach) -> dict[str, Box]:
    sides = (reach[:, 0].T * [-1, 1, -1, 1]).tolist()
    return {name: Box(*box) for name, box in zip(names, sides, strict=True)}


def _near(one: _Reach, other: _Reach, gap: float = 0.0) -> _Flags:
    return (one + other[[1, 0, 3, 2]] > -gap).all(0)


def _cross(
    one: Complex[np.ndarray, "*shape"], other: Complex[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    return (one.conj() * other).imag


@final
class _Score:
    """What is wrong with layouts and how ugly they are, for many of them at once."""

    def __init__(
        self, model: HierarchicalModel, widths: Mapping[str, float], labels: Mapping[str, float]
    ) -> None:
        self.site_names = list(model.sites)
        closures = [model.plates.closure(tuple(site.plates)) for site in model.sites.values()]
        held = {plate: [plate in closure for closure in closures] for plate in model.plates}
        # Inner before outer: fewer sites first; of equals, the finer or later plate.
        drawn = [plate for plate in reversed(held) if any(held[plate])]
        self.plate_names = sorted(drawn, key=lambda plate: sum(held[plate]))
        self.member = np.array([held[plate] for plate in self.plate_names], bool)
        self.member = self.member.reshape(-1, len(closures))
        common = self.member.astype(int) @ self.member.T
        self.shared = common > 0
        self.inside = common == self.member.sum(1)[:, None]
        self.width = np.array([widths[name] for name in self.site_names])
        self.label = np.array([labels[name] for name in self.plate_names])

        place = {name: index for index, name in enumerate(self.site_names)}
        arrows = [(place[p], place[name]) for name, s in model.sites.items() for p in s.parents]
        self.parent, self.child = np.array(arrows, int).reshape(-1, 2).T
        self.depth = np.zeros(len(place), int)
        for parent, child in arrows:  # in topological order
            self.depth[child] = max(self.depth[child], self.depth[parent] + 1)
        ends = np.eye(len(place), dtype=int)
        self.ends = ends[self.parent] + ends[self.child]
        one, two = np.triu_indices(len(arrows), 1)
        meet = self.ends[one] * self.ends[two]
        fork = (self.parent[one] == self.parent[two]) | (self.child[one] == self.child[two])
        self.forks = one[fork], two[fork]
        self.strangers = one[~meet.any(-1)], two[~meet.any(-1)]
        self.pairs = np.triu_indices(len(place), 1)

    def cost(self, grid: _Grid) -> _Cost:
        """The cost of every layout."""
        nodes = self.nodes(grid)
        plates = self.plates(nodes)
        ugliness = self.arrows(nodes, plates) + self.space(nodes, plates)
        return WRONG * self.broken(grid, nodes, plates) + ugliness

    def nodes(self, grid: _Grid) -> _Nodes:
        """The boxes of the sites."""
        x, y, half = grid[1] * COLUMN, grid[0] * -ROW, self.width / 2
        return np.stack([half - x, half + x, HEIGHT / 2 - y, HEIGHT / 2 + y])

    def plates(self, nodes: _Nodes) -> _Plates:
        """The boxes of the plates; where two meet, no side of one lies on the other's."""
        margin = np.array([PAD, PAD, STRIP, PAD])[:, None]
        boxes = np.empty((4, nodes.shape[1], len(self.member)))
        level = np.zeros(len(self.member))
        for i, member in enumerate(self.member):
            level[i] = 1 + max(level[:i][self.shared[i, :i]], default=0)
            boxes[..., i] = nodes[..., member].max(-1) + level[i] * margin
            for j in np.flatnonzero(self.inside[:i, i]):
                boxes[..., i] = np.maximum(boxes[..., i], boxes[..., j] + margin)
            lack = self.label[i] - boxes[0, :, i] - boxes[1, :, i]
            boxes[:2, :, i] += np.maximum(lack, 0) / 2
        return boxes

    def labels(self, plates: _Plates) -> Float[np.ndarray, "4 chains 2 plates"]:
        """The boxes of the labels in the right and in the left corner."""
        left, right, down, _ = plates
        up = STRIP - down
        in_right = np.stack([self.label - right, right, down, up])
        return np.stack([in_right, np.stack([left, self.label - left, down, up])], 2)

    def clashes(self, plates: _Plates) -> Int[np.ndarray, "chains 2 plates"]:
        """How many plates a label lies on, besides its own and those around that."""
        on = _near(self.labels(plates)[..., None], plates[:, :, None, None])
        return (on & ~self.inside & ~self.inside.T).sum(-1)

    def broken(self, grid: _Grid, nodes: _Nodes, plates: _Plates) -> Int[np.ndarray, " chains"]:
        """How many rules a layout breaks."""
        one, two = self.pairs
        upward = np.maximum(1 + grid[0][:, self.parent] - grid[0][:, self.child], 0)
        overlap = _near(nodes[..., one], nodes[..., two], GAP)
        foreign = _near(plates[..., None], nodes[:, :, None], GAP) & ~self.member
        meeting = _near(plates[..., None], plates[:, :, None], GAP) & ~self.shared
        return upward.sum(1) + overlap.sum(1) + foreign.sum((1, 2)) + meeting.sum((1, 2))

    def space(self, nodes: _Nodes, plates: _Plates) -> _Cost:
        """What the boxes add to the ugliness of a layout."""
        size = np.concatenate([nodes, plates], -1).max(-1)
        rank = np.arange(len(self.width)) - (len(self.width) - 1) / 2
        disorder = -(nodes[1] * rank).sum(1)  # the more, the less the sites are in their order
        misplaced = self.clashes(plates).min(1).sum(1)
        extent = np.array([0.5, 0.5, 1.5, 1.5]) @ size + 0.3 * plates.sum((0, 2))
        return extent + 30 * misplaced + 0.03 * disorder

    def arrows(self, nodes: _Nodes, plates: _Plates) -> _Cost:
        """What the arrows add to the ugliness of a layout."""
        centre = (nodes[1] - nodes[0] + 1j * (nodes[3] - nodes[2])) / 2
        start = centre[:, self.parent]
        arrow = centre[:, self.child] - start
        # Long, flat or just not upright.
        aside, drop = np.abs(arrow.real), -arrow.imag
        cost = aside + drop + aside**2 / np.maximum(drop, 0.5) / 2 + 8 * np.minimum(aside, 0.3)
        cost = cost.sum(1)
        # Crossing.
        one, two = self.strangers
        way = start[:, two] - start[:, one]
        area = _cross(arrow[:, one], arrow[:, two])
        area = np.where(area == 0, np.inf, area)
        s, t = _cross(way, arrow[:, two]) / area, _cross(way, arrow[:, one]) / area
        cost += 6 * ((s > 0) & (s < 1) & (t > 0) & (t < 1)).sum(1)
        # Hard to tell apart where they meet.
        way = arrow / np.maximum(np.abs(arrow), 1e-9)
        one, two = self.forks
        cost += 50 * np.maximum((way[:, one].conj() * way[:, two]).real - 0.94, 0).sum(1)
        # Through a node, where the ellipse of the node and some room is the unit circle.
        sx, sy = self.width / 2 + 0.15, HEIGHT / 2 + 0.15
        offset = start[..., None] - centre[:, None]
        offset = offset.real / sx + 1j * (offset.imag / sy)
        way = arrow.real[..., None] / sx + 1j * (arrow.imag[..., None] / sy)
        along = -(offset.conj() * way).real / np.maximum(np.abs(way) ** 2, 1e-9)
        distance = np.abs(offset + np.clip(along, 0, 1) * way)
        cost += (np.where(distance < 1, 40 - 20 * distance, 0) * (self.ends == 0)).sum((1, 2))
        # Through a plate at neither end.
        enter, leave = np.array(0.0), np.array(1.0)
        for near, far, a, d in ((0, 1, start.real, arrow.real), (2, 3, start.imag, arrow.imag)):
            d = np.where(d == 0, 1e-9, d)[..., None]
            s = (-plates[near][:, None] - a[..., None]) / d
            t = (plates[far][:, None] - a[..., None]) / d
            enter = np.maximum(enter, np.minimum(s, t))
            leave = np.minimum(leave, np.maximum(s, t))
        return cost + 6 * ((enter < leave) & ~self.member.T[self.child]).sum((1, 2))


def _anneal(score: _Score) -> _Grid:
    """The best layout of all chains, alone."""
    rng = np.random.default_rng(0)
    sites = len(score.width)
    last_row = score.depth.max() + max(3, len(score.member))
    last_column = int(((score.width + 2 * GAP).sum() + score.label.sum()) / COLUMN)
    columns = rng.integers(last_column, size=(CHAINS, sites))
    grid = np.stack([np.broadcast_to(score.depth, columns.shape), columns])
    cost = score.cost(grid)
    one = np.eye(sites, dtype=int)
    groups = np.concatenate([one, one, score.ends, score.member])
    for step, heat in enumerate(np.geomspace(HOT, COLD, 200 + 8 * sites**2)):
        # Move a site, both ends of an arrow or a whole plate,
        rows = rng.choice([-1, 0, 0, 1], CHAINS)
        far = rng.normal(size=CHAINS) * rng.choice([1, 3, 10], CHAINS)
        move = np.stack([rows, np.rint(far).astype(int)])[..., None]
        new = grid + move * groups[rng.integers(len(groups), size=CHAINS)]
        new = np.clip(new, 0, [[[last_row]], [[last_column]]])
        # or, in some chains, let two sites change places.
        swap = np.flatnonzero(rng.random(CHAINS) < 0.2)
        i, j = rng.integers(sites, size=(2, len(swap)))
        new[:, swap] = grid[:, swap]
        new[:, swap, i], new[:, swap, j] = grid[:, swap, j], grid[:, swap, i]
        new_cost = score.cost(new)
        accept = rng.random(CHAINS) < np.exp(np.minimum((cost - new_cost) / heat, 0))
        grid[:, accept], cost[accept] = new[:, accept], new_cost[accept]
        if step % 50 == 49:  # the worst chains go on from the best
            order = cost.argsort()
            best, worst = order[: CHAINS // 8], order[-CHAINS // 8 :]
            grid[:, worst], cost[worst] = grid[:, best], cost[best]
    mirrored = np.stack([grid[0], last_column - grid[1]])
    grid = np.concatenate([grid, mirrored], 1)
    return grid[:, [score.cost(grid).argmin()]]
