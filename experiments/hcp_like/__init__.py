"""A synthetic cohort on the human cortex, as large as the paper's (E7)."""
