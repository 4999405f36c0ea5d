"""The models of the paper, with exact posteriors where there are any."""

from pavi.models.gaussian_random_effects import gaussian_random_effects, gre_posterior

__all__ = ["gaussian_random_effects", "gre_posterior"]
