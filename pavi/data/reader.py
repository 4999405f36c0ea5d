"""Reading batches ahead of the step, in a thread."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import count
from queue import SimpleQueue
from typing import final

import torch

from pavi.core import PlateBatch

NAME = "pavi-reader"  # of the threads, as a debugger shows it
Ready = SimpleQueue[PlateBatch | BaseException]


@final
class BackgroundReader(Iterator[PlateBatch]):
    """Keeps some batches ready, in the order of their numbers.

    Reading releases the interpreter, and so does a step most of the time. At most `ahead` batches
    are ready or being read. An error of the reader is raised to who asks for the batch.

    Args:
        read: Makes batch number `step`; called in another thread, one batch at a time.
        start: The number of the first batch.
        ahead: How many batches to keep ready, at least one.
    """

    def __init__(self, read: Callable[[int], PlateBatch], *, start: int, ahead: int) -> None:
        self._free, self._stop = threading.Semaphore(ahead), threading.Event()
        self._ready: Ready = SimpleQueue()
        # The thread knows nothing of this object, which so can go, and the thread with it.
        thread = threading.Thread(
            target=_keep_ready,
            args=(read, start, self._free, self._stop, self._ready),
            name=NAME,
            daemon=True,
        )
        self._finalize = weakref.finalize(self, _end, thread, self._free, self._stop)
        thread.start()

    def __next__(self) -> PlateBatch:
        if self._stop.is_set():
            raise StopIteration
        batch = self._ready.get()
        self._free.release()
        if isinstance(batch, BaseException):
            self.close()
            raise batch
        return batch

    def close(self) -> None:
        """End the thread, which finishes the batch that it is reading."""
        self._finalize()


def _keep_ready(
    read: Callable[[int], PlateBatch],
    start: int,
    free: threading.Semaphore,
    stop: threading.Event,
    ready: Ready,
) -> None:
    torch.set_num_threads(1)  # of this thread alone: the cores belong to the step
    for step in count(start):
        free.acquire()
        if stop.is_set():
            return
        try:
            ready.put(read(step))
        except BaseException as error:
            ready.put(error)
            return


def _end(thread: threading.Thread, free: threading.Semaphore, stop: threading.Event) -> None:
    stop.set()
    free.release()
    if thread is not threading.current_thread():
        thread.join()
