"""A process that carries out runs for the study that started it, one after the other.

The study sends runs through a pipe, and the worker sends back what went wrong, or None; what was
measured is in the folder of the run. Starting torch takes as long as many a run, so a worker
stays for all of them. It ends with the study, or when it is interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

from experiments.ends import INTERRUPTED
from experiments.studies.outcome import outcome
from pavi.training import exits_on_signals


def main(arguments: Sequence[str]) -> int:
    """Take runs until there are no more.

    Args:
        arguments: The descriptor of the pipe, and the command line of the study.

    Returns:
        The exit code: 0, or 130 if it was interrupted; 75 on SIGTERM.
    """
    pipe, *command = arguments
    with Connection(int(pipe)) as study, exits_on_signals():
        try:
            while True:
                study.send(outcome(study.recv(), command=command).error)
        except EOFError:
            return 0
        except KeyboardInterrupt:
            return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
