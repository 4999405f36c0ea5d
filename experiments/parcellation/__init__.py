"""Fits the parcellation of a cohort, out of core, and streams its posterior to disk."""
