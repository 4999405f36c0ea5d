"""Real data sets with their models."""
