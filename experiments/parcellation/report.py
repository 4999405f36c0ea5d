"""The figures of a parcellation."""


def write_figures(*a):
    pass
