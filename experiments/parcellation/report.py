"""The figures of a parcellation."""
