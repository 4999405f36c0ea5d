"""Ending a run on a signal, between two steps and with a checkpoint.

A scheduler that wants a machine back sends SIGTERM, or what it was told to (Slurm's
`--signal=USR1@120`), and SIGKILL after a time of grace; a person presses Ctrl-C. Python's own
answer is to break off wherever the run is. A run that writes checkpoints finishes its step
instead, writes one, and ends in a way that says that it can go on.

Lightning answers SIGTERM with a broadcast from inside the handler, which meets whatever the other
processes are just doing, and an exit code of zero; under Slurm it requeues a job by itself, with a
checkpoint of its own. Here a handler only takes a note, and processes agree between steps.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, final

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.utilities.exceptions import SIGTERMException

# EX_TEMPFAIL of sysexits.h: nothing is wrong with what was asked; ask again later.
GO_ON = 75
STOPS = [signal.SIGTERM, signal.SIGINT]
if sys.platform != "win32":
    STOPS.append(signal.SIGUSR1)
# What a signal does unless somebody has decided otherwise.
DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
# Processes ask each other once in so many steps, and hear of it a step later: the question travels
# while they go on.
AGREE_EVERY = 4
# What the libraries below torch.distributed say of a process that is not there any more.
LOST = ("gloo", "NCCL", "closed by peer", "reset by peer", "Broken pipe", "Socket", "TCPStore")


@final
class FitStopped(SystemExit):  # noqa: N818  # an exit and no error
    """A signal ended a run between two steps; what it had done is in a checkpoint.

    As a `SystemExit` it ends a script that does not catch it, with exit code 75.

    Args:
        message: Which signal, after which step, and where the checkpoint is.
        first: Whether this is the first process of the run, the one whose exit code counts.
    """

    def __init__(self, message: str, *, first: bool = True) -> None:
        # Of a process that ends with another code Lightning takes all others for broken too.
        self.exit_code = GO_ON if first else 0
        super().__init__(self.exit_code)
        self.message = message

    def __str__(self) -> str:
        return self.message


@final
class ProcessLostError(RuntimeError):
    """Another process of a run on several was lost; the run can go on from its checkpoint."""


@final
class StopSignals(pl.Callback):
    """Ends a run after the step in which SIGTERM, SIGUSR1 or Ctrl-C comes.

    A second Ctrl-C breaks off at once. Signals that somebody else handles stay theirs.

    Args:
        keeps: Whether the run writes checkpoints, which is what waiting for the end of a step is
            for; one that does not ends at once, as any program does.
    """

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps
        self._before: dict[signal.Signals, Any] = {}
        self._received = 0  # the number of a signal
        self._asked: tuple[dist.Work, torch.Tensor] | None = None
        self._seen = 0
        self.stopping = False  # whether all processes know of it

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note who handles signals, before Lightning does."""
        self._before = {number: signal.getsignal(number) for number in STOPS}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Handle the signals, in place of Lightning; it restores them when the run ends."""
        self._seen = trainer.global_step
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in self._before.items():
            ours = self._keeps and (before in DEFAULTS or before is _exit_at_once)
            if before is not None:  # as of a handler that is none of Python's
                signal.signal(number, self._note if ours else before)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """End the run in place of another step, by the way that a stream has which is at its end.

        Not with the step that was the last: Lightning would log it, with values of an earlier one.
        """
        if self.stopping:
            trainer.should_stop = True
            raise StopIteration

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """See if a signal came to any of the processes."""
        if trainer.global_step == self._seen:  # gradients are still being accumulated
            return
        self._seen = trainer.global_step
        if trainer.world_size == 1:
            self.stopping = self._received != 0
            return
        self._hear()
        last = self._seen >= trainer.max_steps
        if self._seen % AGREE_EVERY == 0 or last:
            self._ask(trainer)
        if last:  # in time for its checkpoint
            self._hear()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave no question open."""
        self._hear()

    def raise_if_stopped(self, trainer: pl.Trainer) -> None:
        """After a run, see whether a signal came to any of the processes; all of them end alike.

        One that came after the last step, as while its checkpoint was written, is known to that
        process alone. No other comes to this once a run has ended: the signals are not handled
        here any more.

        Raises:
            FitStopped: If it was one that a scheduler sends.
            KeyboardInterrupt: If it was Ctrl-C.
        """
        if trainer.world_size > 1:
            self._ask(trainer)
            self._hear()
        if not self._received:
            return
        name = signal.Signals(self._received).name
        stopped = FitStopped(
            f"stopped by {name} after step {trainer.global_step}", first=trainer.is_global_zero
        )
        if self._received == signal.SIGINT and trainer.is_global_zero:
            raise KeyboardInterrupt(stopped.message)
        raise stopped

    def _ask(self, trainer: pl.Trainer) -> None:
        """Ask all processes for the signals that they have received; the answer takes a while."""
        received = torch.tensor(self._received, device=trainer.strategy.root_device)
        work = dist.all_reduce(received, op=dist.ReduceOp.MAX, async_op=True)
        assert work is not None
        self._asked = work, received

    def _hear(self) -> None:
        """What all processes know after the question asked last."""
        if self._asked is None:
            return
        (work, received), self._asked = self._asked, None
        work.wait()
        if agreed := int(received):
            self._received, self.stopping = agreed, True

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number


def fit_until_stopped(
    trainer: pl.Trainer,
    module: pl.LightningModule,
    stream: pl.LightningDataModule,
    *,
    stop: StopSignals,
    resume: Path | None,
) -> None:
    """Run a trainer, with ends that say what can be done about them.

    Args:
        trainer: With `stop` among its callbacks.
        module: What to train.
        stream: What with.
        stop: What ends the run on a signal.
        resume: The checkpoint to go on from, if any.

    Raises:
        FitStopped: If a signal of a scheduler ended the run.
        KeyboardInterrupt: If Ctrl-C did.
        ProcessLostError: If another process of the run was lost.
    """
    try:
        with loss_told(lambda: f"after step {trainer.global_step}", ranks=trainer.world_size):
            trainer.fit(module, stream, ckpt_path=resume)
            stop.raise_if_stopped(trainer)
    except SIGTERMException:
        # It came before the first step, when Lightning was listening.
        message = f"stopped by SIGTERM after step {trainer.global_step}"
        raise FitStopped(message, first=trainer.is_global_zero) from None
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


@contextmanager
def loss_told(when: Callable[[], str], *, ranks: int) -> Iterator[None]:
    """Say what it means when the libraries below tell that a process is not there any more.

    Args:
        when: It was lost, in words.
        ranks: How many processes there are; of one, none can be lost.

    Raises:
        ProcessLostError: If another process of the run was lost.
    """
    try:
        yield
    except RuntimeError as error:
        if ranks > 1 and any(text in str(error) for text in LOST):
            raise ProcessLostError(
                f"another process of this run was lost {when()} ({str(error).splitlines()[0]})"
            ) from error
        raise


@contextmanager
def exits_on_signals() -> Iterator[None]:
    """Answer SIGTERM and SIGUSR1 with `FitStopped` at once, for commands outside of their steps.

    Whatever was being written then is removed, and what was written before stays.
    """
    before = {number: signal.getsignal(number) for number in STOPS if number != signal.SIGINT}
    taken = [number for number, handler in before.items() if handler in DEFAULTS]
    if threading.current_thread() is not threading.main_thread():
        taken = []
    for number in taken:
        signal.signal(number, _exit_at_once)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _exit_at_once(number: int, frame: FrameType | None) -> None:
    raise FitStopped(f"stopped by {signal.Signals(number).name} outside of its steps")
