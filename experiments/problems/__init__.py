"""Real and simulated data sets with their models and references."""
