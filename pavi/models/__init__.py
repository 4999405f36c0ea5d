"""The models of the paper, with exact posteriors or evidences where there are any."""

from pavi.models.gaussian_mixture import gaussian_mixture
from pavi.models.gaussian_random_effects import gaussian_random_effects, gre_posterior
from pavi.models.hierarchical_variance import hierarchical_variance
from pavi.models.linear_mixed_model import linear_mixed_model
from pavi.models.multi_session_parcellation import multi_session_parcellation
from pavi.models.network_priors import label_probabilities
from pavi.models.non_conjugate import nc_log_evidence, non_conjugate
from pavi.models.shared_label_parcellation import shared_label_parcellation

__all__ = [
    "gaussian_mixture",
    "gaussian_random_effects",
    "gre_posterior",
    "hierarchical_variance",
    "label_probabilities",
    "linear_mixed_model",
    "multi_session_parcellation",
    "nc_log_evidence",
    "non_conjugate",
    "shared_label_parcellation",
]
