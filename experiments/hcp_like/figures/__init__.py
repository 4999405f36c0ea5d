"""The figures of the cohort and of what is fitted to it, as functions of arrays."""
