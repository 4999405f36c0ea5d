"""The part of a config that chooses the variational family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from experiments.checks import check_positive, check_used, defaults, filled
from experiments.choices import EncodingsName, FlowName, GuideName
from pavi import (
    AffineFlow,
    CouplingFlow,
    DeepSetEncodings,
    FreeEncodings,
    HierarchicalModel,
    HybridEncodings,
    MAFFlow,
    NSFFlow,
    PlateAmortizedGuide,
    SetTransformerEncodings,
)
from pavi.encodings import Encodings
from pavi.flows import Flow
from pavi.guides import (
    CascadingFlowsGuide,
    Guide,
    TotalFlowGuide,
    UIVIGuide,
    adavi,
    asvi,
    branch,
    mean_field,
    per_instance,
)
from pavi.guides.dependence import Dependence

# Fields that only some choices use are None under the others; these are their defaults.
ENCODINGS_FIELDS: Mapping[EncodingsName, Mapping[str, Any]] = {
    EncodingsName.FREE: defaults(FreeEncodings),
    EncodingsName.DEEP_SET: defaults(DeepSetEncodings),
    EncodingsName.SET_TRANSFORMER: defaults(SetTransformerEncodings),
    EncodingsName.HYBRID: {**defaults(DeepSetEncodings), "start": HybridEncodings.start},
}
FLOW_FIELDS: Mapping[FlowName, Mapping[str, Any]] = {
    FlowName.AFFINE: {},
    FlowName.AFFINE_FULL: {},
    FlowName.COUPLING: defaults(CouplingFlow),
    FlowName.MAF: {k: v for k, v in defaults(MAFFlow).items() if k != "full"},
    FlowName.NSF: defaults(NSFFlow),
}
GUIDE_FIELDS: Mapping[GuideName, Mapping[str, Any]] = {
    GuideName.PAVI: {},
    GuideName.MEAN_FIELD: {"full": False},
    GuideName.PER_INSTANCE: {},
    GuideName.ASVI: {"gate": 0.5},
    GuideName.BRANCH: {"width": 16, "full": True},
    GuideName.ADAVI: {"full": True},
    GuideName.CASCADING_FLOWS: {"auxiliary": 8, "gate": 0.5, "amortised": False},
    GuideName.UIVI: {"noise_dim": 3, "spread": 0.5},
    GuideName.TOTAL_FLOW: {},
}
GUIDES: Mapping[GuideName, Callable[..., Guide]] = {
    GuideName.PAVI: PlateAmortizedGuide,
    GuideName.MEAN_FIELD: mean_field,
    GuideName.PER_INSTANCE: per_instance,
    GuideName.ASVI: asvi,
    GuideName.BRANCH: branch,
    GuideName.ADAVI: adavi,
    GuideName.CASCADING_FLOWS: CascadingFlowsGuide,
    GuideName.UIVI: UIVIGuide,
    GuideName.TOTAL_FLOW: TotalFlowGuide,
}
# The sections that a guide reads; the others must be left as they are.
SECTIONS: Mapping[GuideName, tuple[str, ...]] = {
    GuideName.PAVI: ("encodings", "flow", "flows", "dependence"),
    GuideName.PER_INSTANCE: ("flow", "dependence"),
    GuideName.TOTAL_FLOW: ("flow",),
}


@dataclass
class FlowConfig:
    """The flow of a site.

    Args:
        name: Which; `affine_full` lets the dimensions of one value be correlated.
        transforms: Layers of `coupling`, `maf` and `nsf`.
        hidden: The widths of the hidden layers of each.
        bins: Of the splines of `nsf`.
    """

    name: FlowName = FlowName.AFFINE
    transforms: int | None = None
    hidden: list[int] | None = None
    bins: int | None = None

    def __post_init__(self) -> None:
        check_used("guide.flow", vars(self), FLOW_FIELDS[self.name])
        check_positive("guide.flow", vars(self), "transforms", "hidden", "bins")

    def build(self) -> Flow:
        """The flow."""
        values = filled(vars(self), FLOW_FIELDS[self.name])
        arguments: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        if self.name is FlowName.COUPLING:
            return CouplingFlow(**arguments)
        if self.name is FlowName.MAF:
            return MAFFlow(**arguments)
        if self.name is FlowName.NSF:
            return NSFFlow(**arguments)
        return AffineFlow(full=self.name is FlowName.AFFINE_FULL)


@dataclass
class EncodingsConfig:
    """Where encodings come from.

    Args:
        name: Free rows, computed from data, or the sum of both; `hybrid` computes by deep sets.
        dim: The length of an encoding.
        width: Of the states of an encoder.
        hidden: The width of its hidden layers.
        embedding: The number of learned features of an observation.
        heads: Of pooling.
        inducing: Summaries that rows attend to, of `set_transformer`.
        seeds: Queries that read a group off, of `set_transformer`.
        rounds: Of messages; one for nests and four for crossings if null.
        start: The part of a run after which the free rows of `hybrid` are trained.
    """

    name: EncodingsName = EncodingsName.FREE
    dim: int | None = None
    width: int | None = None
    hidden: int | None = None
    embedding: int | None = None
    heads: int | None = None
    inducing: int | None = None
    seeds: int | None = None
    rounds: int | None = None
    start: float | None = None

    def __post_init__(self) -> None:
        check_used("guide.encodings", vars(self), ENCODINGS_FIELDS[self.name])
        self.build()

    def build(self) -> Encodings:
        """The encodings."""
        values = filled(vars(self), ENCODINGS_FIELDS[self.name])
        if self.name is EncodingsName.FREE:
            return FreeEncodings(**values)
        if self.name is EncodingsName.DEEP_SET:
            return DeepSetEncodings(**values)
        if self.name is EncodingsName.SET_TRANSFORMER:
            return SetTransformerEncodings(**values)
        start = values.pop("start")
        return HybridEncodings(DeepSetEncodings(**values), start=start)


@dataclass
class GuideConfig:
    """The variational family.

    Args:
        name: Plate-amortized (`pavi`), or one of the baselines in `pavi.guides`.
        encodings: Where encodings come from; of `pavi`.
        flow: The flow of every site that `flows` does not name; of `pavi`, `per_instance` and
            `total_flow`.
        flows: Per site, another flow; of `pavi`.
        dependence: What a flow may see; of `pavi` and `per_instance`.
        full: Whether the dimensions of one value are correlated; of `mean_field`, `branch`,
            `adavi`.
        width: Of the hidden layer of `branch`.
        gate: Where gates start, 1 being the prior; of `asvi` and `cascading_flows`.
        auxiliary: The number of auxiliaries of `cascading_flows`.
        amortised: Whether the data shift them.
        noise_dim: The length of the noise of `uivi`.
        spread: Where its standard deviations start, in those of the prior.
    """

    name: GuideName = GuideName.PAVI
    encodings: EncodingsConfig = field(default_factory=EncodingsConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    flows: dict[str, FlowConfig] = field(default_factory=dict)
    dependence: Dependence = Dependence.FAITHFUL
    full: bool | None = None
    width: int | None = None
    gate: float | None = None
    auxiliary: int | None = None
    amortised: bool | None = None
    noise_dim: int | None = None
    spread: float | None = None

    def __post_init__(self) -> None:
        read = SECTIONS.get(self.name, ())
        idle = {
            "encodings": EncodingsConfig(),
            "flow": FlowConfig(),
            "flows": {},
            "dependence": Dependence.FAITHFUL,
        }
        for section, default in idle.items():
            if section not in read and getattr(self, section) != default:
                raise ValueError(
                    f"guide.{section} means nothing to guide.name={self.name}, which reads "
                    f"{[*read, *GUIDE_FIELDS[self.name]] or 'no further key'}."
                )
        options = {k: v for k, v in vars(self).items() if k not in idle}
        check_used("guide", options, GUIDE_FIELDS[self.name])
        check_positive("guide", options, "width", "auxiliary", "noise_dim", "spread")

    def complete(self) -> None:
        """Write down the defaults of what this guide reads."""
        vars(self).update(filled(vars(self), GUIDE_FIELDS[self.name]))
        read = SECTIONS.get(self.name, ())
        if "encodings" in read:
            encodings = self.encodings
            vars(encodings).update(filled(vars(encodings), ENCODINGS_FIELDS[encodings.name]))
        if "flow" in read:
            for flow in (self.flow, *self.flows.values()):
                vars(flow).update(filled(vars(flow), FLOW_FIELDS[flow.name]))

    def build(self, model: HierarchicalModel, cardinalities: Mapping[str, int]) -> Guide:
        """The guide; its initial weights come from torch's own generator."""
        return self.factory()(model, cardinalities)

    def factory(self) -> Callable[..., Guide]:
        """What makes the guide from a model and its cardinalities."""
        options = {name: getattr(self, name) for name in GUIDE_FIELDS[self.name]}
        if self.name is GuideName.PAVI:
            options = {
                "encodings": self.encodings.build(),
                "flow": self.flow.build(),
                "flows": {site: flow.build() for site, flow in self.flows.items()},
                "dependence": self.dependence,
            }
        elif self.name is GuideName.PER_INSTANCE:
            options = {"flow": self.flow.build(), "dependence": self.dependence}
        elif self.name is GuideName.TOTAL_FLOW:
            options = {"flow": self.flow.build()}
        elif self.name is GuideName.ASVI:
            options = {"start": self.gate}
        elif self.name is GuideName.BRANCH:
            options = {"hidden": self.width, "full": self.full}
        return partial(GUIDES[self.name], **options)
