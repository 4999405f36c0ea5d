"""Arguments of another kind than the hints say: in a process whose types are not checked."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import json
import pandas as pd, torch
from torch.distributions import Normal

import pavi
from pavi import HierarchicalModel, Latent, Observed, Plate
from pavi.interop import compare, reference_posterior

model = HierarchicalModel(
    [Plate("g")],
    {"b": Latent(lambda: Normal(0.0, 1.0), "g"), "y": Observed(lambda b: Normal(b, 1.0), "g")},
)
data = pavi.PlateData.from_arrays({"y": torch.zeros(2)}, model)
posterior = pavi.Posterior(pavi.PlateAmortizedGuide(model, data.cardinalities), data)
frame = pd.DataFrame({"g": ["u"], "y": [0.0]})


def said(ask):
    try:
        ask()
    except ValueError as error:
        return str(error)


print(json.dumps({
    "predict": said(lambda: posterior.predict(data=frame)),
    "extend": said(lambda: posterior.extend(frame)),
    "nuts": said(lambda: reference_posterior(model, frame)),
    "compare": said(lambda: compare(posterior, posterior)),
}))
"""


def test_they_are_told_with_what_to_do():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    a_frame = (
        "data must be a PlateData, got a DataFrame; make one with PlateData.from_frame(frame, "
    )
    assert told["predict"] == f"{a_frame}model, observed=False)."
    assert told["extend"] == f"{a_frame}model)."
    assert told["nuts"].startswith(a_frame)
    assert "must be a ReferencePosterior or Moments, got a Posterior; refer" in told["compare"]
