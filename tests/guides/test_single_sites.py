"""A site without plates has nothing to share between rows: its coefficients learn apart."""

from __future__ import annotations

import pytest
import torch

import pavi
from pavi.models import gaussian_random_effects

FLOWS = {
    "affine": pavi.AffineFlow(),
    "full": pavi.AffineFlow(full=True),
    "MAF": pavi.MAFFlow(hidden=(4,)),
    "coupling": pavi.CouplingFlow(hidden=(4,)),
}
ENCODINGS = {"free": pavi.FreeEncodings(), "deep set": pavi.DeepSetEncodings()}


def head_of(flow):
    return getattr(flow, "affine", flow).head.weight.detach()


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
@pytest.mark.parametrize("encodings", ENCODINGS.values(), ids=ENCODINGS)
def test_a_coefficient_learns_from_its_own_coordinate_only(flow, encodings):
    model = gaussian_random_effects()
    sizes = {"group": 4, "obs": 5}
    data = pavi.PlateData.from_arrays(model.simulate(sizes, seed=0).arrays, model)
    guide = pavi.PlateAmortizedGuide(model, sizes, encodings=encodings, flow=flow)
    before = {name: head_of(part).clone() for name, part in guide.flows.items()}
    moved = pavi.fit(model, data, guide=guide, steps=5, progress=False).guide
    changed = {name: head_of(part) != before[name] for name, part in moved.flows.items()}
    own = before["mu"] != 0
    assert own.any()
    assert not own.all()
    assert torch.equal(changed["mu"], own)
    assert changed["mu_g"][before["mu_g"] == 0].any()
