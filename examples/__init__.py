"""Real data, one short script each: a model, a fit, a figure and a check against NUTS."""
