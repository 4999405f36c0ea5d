"""Subjects drawn by several processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice

from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.population import Population, population
from experiments.hcp_like.subject import Subject, draw

AHEAD = 2  # subjects per process that are drawn and not yet taken
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def drawn(
    config: CohortConfig, subjects: Sequence[int], *, jobs: int
) -> Iterator[tuple[int, Subject]]:
    """Draw subjects, in whatever order they are ready.

    Args:
        config: Of the cohort.
        subjects: Their numbers.
        jobs: The number of processes; with one, it is this one.

    Yields:
        The number of a subject, and the subject.
    """
    if jobs == 1:
        for subject in subjects:
            yield _draw(config, subject)
        return
    context = multiprocessing.get_context("spawn")
    with (
        _one_thread_each(),
        ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool,
    ):
        waiting = iter(subjects)
        running: set[Future[tuple[int, Subject]]] = set()
        try:
            while True:
                for subject in islice(waiting, AHEAD * jobs - len(running)):
                    running.add(pool.submit(_draw, config, subject))
                if not running:
                    return
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                while ready:
                    yield ready.pop().result()
        finally:
            pool.shutdown(cancel_futures=True)


@lru_cache(maxsize=1)
def _population(config: CohortConfig) -> Population:
    """The population, made once in each process."""
    return population(config)


def _draw(config: CohortConfig, subject: int) -> tuple[int, Subject]:
    return subject, draw(_population(config), subject)


def _end_with_parent() -> None:
    """See that this process ends when the one that started it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start meanwhile use one thread each: there is one for every core."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
