"""Every model of the library, at small sizes; each law on models runs on every entry."""

from __future__ import annotations

from pavi.models import (
    gaussian_mixture,
    gaussian_random_effects,
    hierarchical_variance,
    linear_mixed_model,
    multi_session_parcellation,
    non_conjugate,
    shared_label_parcellation,
)

GROUPS = {"group": 3, "obs": 4}
BRAINS = {"subject": 2, "session": 3, "vertex": 4}
CROSSED = {"student": 4, "lecturer": 3, "obs": 12}
MODELS = {
    "gre": (gaussian_random_effects(), GROUPS),
    "nc": (non_conjugate(), {"obs": 5}),
    "gm": (gaussian_mixture(), GROUPS),
    "hv": (hierarchical_variance(), GROUPS),
    "ms_hbm": (multi_session_parcellation(), BRAINS),
    "ms_hbm of 3": (multi_session_parcellation(networks=3), BRAINS),
    "shared labels": (
        shared_label_parcellation(networks=3, dim=4, sessions=2),
        {"subject": 2, "vertex": 4},
    ),
    "nested gaussian": (
        linear_mixed_model({"lea": None, "school": "lea"}, covariates=2),
        {"lea": 2, "school": 4, "obs": 9},
    ),
    "crossed bernoulli": (
        linear_mixed_model(["student", "lecturer"], covariates=1, likelihood="bernoulli"),
        CROSSED,
    ),
    "crossed poisson": (
        linear_mixed_model(["student", "lecturer"], likelihood="poisson"),
        CROSSED,
    ),
}
