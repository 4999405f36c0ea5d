"""Signals end a fit between two steps, with a checkpoint from which it goes on to the same end."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist

import pavi
from pavi.models import gaussian_random_effects
from pavi.training import (
    Checkpoints,
    FitStopped,
    ProcessLostError,
    StopSignals,
    WholeCheckpoints,
    checkpoint_to_resume,
    exits_on_signals,
    fit_until_stopped,
    quiet,
)

SETTINGS = {"steps": 40, "batch": {"group": 2}, "progress": False}


class Send(pl.Callback):
    """Sends signals to this process in the course of a step."""

    def __init__(self, *signals, step=13):
        self.signals, self.step = signals, step

    def on_before_optimizer_step(self, trainer, *_):
        if trainer.global_step == self.step:
            for number in self.signals:
                os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def no_handler_stays():
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    yield
    changed = [n for n, handler in before.items() if signal.getsignal(n) != handler]
    for number in changed:
        signal.signal(number, before[number])
    assert changed == []


def fit(**settings):
    model = gaussian_random_effects()
    simulation = model.simulate({"group": 6, "obs": 3}, seed=0)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    return pavi.fit(model, data, **SETTINGS, **settings)


@pytest.fixture(scope="module")
def calm():
    return fit()


def equal(one, other):
    pairs = zip(one.guide.parameters(), other.guide.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("number", "end"),
    [
        (signal.SIGTERM, FitStopped),
        (signal.SIGUSR1, FitStopped),
        (signal.SIGINT, KeyboardInterrupt),
    ],
)
def test_a_signal_ends_a_fit_after_its_step(number, end, calm, tmp_path, capsys):
    with pytest.raises(end) as caught:
        fit(checkpoints=tmp_path, callbacks=[Send(number)])
    told = capsys.readouterr().err if end is FitStopped else str(caught.value)
    assert told.startswith(f"stopped by {number.name} after step 14. The last checkpoint is ")
    assert "step=14.ckpt; the same again goes on from there." in told
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step=12.ckpt", "step=14.ckpt"]
    resumed = fit(checkpoints=tmp_path)
    assert equal(calm, resumed)
    assert calm.history["steps"] == resumed.history["steps"]
    assert calm.history["elbo"] == resumed.history["elbo"]


def test_the_exit_code_of_a_script_says_that_it_can_go_on(tmp_path):
    with pytest.raises(SystemExit) as caught:
        fit(checkpoints=tmp_path, callbacks=[Send(signal.SIGTERM)])
    assert caught.value.code == 75
    assert FitStopped("of another process of the run", first=False).code == 0


def test_a_second_interrupt_breaks_off_at_once(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="interrupted. The last checkpoint is .*step=12"):
        fit(checkpoints=tmp_path, callbacks=[Send(signal.SIGINT, signal.SIGINT)])


def test_a_fit_without_checkpoints_is_interrupted_at_once():
    class Later(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            assert trainer.global_step <= 13

    with pytest.raises(KeyboardInterrupt, match="interrupted. Nothing was kept"):
        fit(callbacks=[Send(signal.SIGINT), Later()])


def test_a_fit_without_checkpoints_leaves_signals_as_they_are():
    class Look(pl.Callback):
        def on_train_batch_start(self, *_):
            self.found = signal.getsignal(signal.SIGTERM)

    look = Look()
    fit(callbacks=[look])
    assert look.found == signal.SIG_DFL


def test_a_signal_that_somebody_else_handles_stays_theirs(calm, tmp_path):
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append(1))
    try:
        found = fit(checkpoints=tmp_path, callbacks=[Send(signal.SIGTERM)])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [1]
    assert equal(calm, found)


def test_a_signal_in_the_last_step_leaves_a_fit_that_is_complete(calm, tmp_path):
    with pytest.raises(FitStopped, match="after step 40"):
        fit(checkpoints=tmp_path, callbacks=[Send(signal.SIGTERM, step=39)])
    assert equal(calm, fit(checkpoints=tmp_path))


@pytest.fixture
def group_of_one():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("steps", "known"),
    [(8, [False] * 4 + [True] * 4), (6, [False] * 4 + [True] * 2), (3, [False] * 2 + [True])],
)
def test_processes_know_of_a_signal_after_the_next_question_or_the_last_step(
    group_of_one, steps, known, monkeypatch
):
    monkeypatch.setattr(pl.Trainer, "world_size", property(lambda _: 2))
    monkeypatch.setattr(pl.Trainer, "global_step", property(lambda _: step))
    with quiet():
        trainer = pl.Trainer(max_steps=steps, accelerator="cpu", logger=False)
    stop, found = StopSignals(keeps=True), []
    for step in range(1, steps + 1):
        if step == 2:
            stop._note(signal.SIGTERM, None)
        stop.on_train_batch_end(trainer)
        found.append(stop.stopping)
    assert found == known
    assert stop._asked is None


def test_a_signal_after_the_last_step_of_another_process_ends_this_one_too(
    group_of_one, monkeypatch
):
    all_reduce = dist.all_reduce

    def with_another(received, **settings):
        received.clamp_(min=int(signal.SIGTERM))
        return all_reduce(received, **settings)

    monkeypatch.setattr(pl.Trainer, "world_size", property(lambda _: 2))
    monkeypatch.setattr(dist, "all_reduce", with_another)
    with quiet():
        trainer = pl.Trainer(max_steps=1, accelerator="cpu", logger=False)
    with pytest.raises(FitStopped, match="stopped by SIGTERM after step 0"):
        StopSignals(keeps=True).raise_if_stopped(trainer)


def test_a_fit_outside_of_the_main_thread_has_no_signals(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(checkpoints=tmp_path)))
    thread.start()
    thread.join()
    assert len(found) == 1


def accumulating(folder, *callbacks):
    """A run whose steps take two batches, as far as it comes."""
    model = gaussian_random_effects()
    simulation = model.simulate({"group": 6, "obs": 3}, seed=0)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    torch.manual_seed(0)
    module = pavi.VariationalInference(pavi.PlateAmortizedGuide(model, data.cardinalities))
    stop = StopSignals(keeps=True)
    with quiet():
        trainer = pl.Trainer(
            max_steps=12,
            accumulate_grad_batches=2,
            accelerator="cpu",
            callbacks=[stop, Checkpoints(folder, every=4, stop=stop), *callbacks],
            plugins=[WholeCheckpoints()],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        stream = pavi.PlateDataModule(data, batch={"group": 2})
        resume = checkpoint_to_resume(folder)
        fit_until_stopped(trainer, module, stream, stop=stop, resume=resume)
    return module


def test_gradients_are_accumulated_to_the_end_of_a_step(tmp_path):
    class SendEarly(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 12:  # the first of two
                os.kill(os.getpid(), signal.SIGTERM)

    calm = accumulating(tmp_path / "calm")
    with pytest.raises(FitStopped, match="after step 7"):
        accumulating(tmp_path / "run", SendEarly())
    assert equal(calm, accumulating(tmp_path / "run"))


def test_a_command_exits_at_once_outside_of_its_steps():
    with exits_on_signals(), pytest.raises(FitStopped, match="stopped by SIGUSR1 outside"):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (
            "[gloo/transport/tcp/pair.cc:537] Connection reset by peer",
            ProcessLostError,
            "another process of this run was lost after step 0 .* Nothing was kept; the same again",
        ),
        ("the shapes do not match", RuntimeError, "^the shapes do not match$"),
    ],
)
def test_the_loss_of_another_process_is_told(said, error, message, tmp_path, monkeypatch):
    def lose(*_, **__):
        raise RuntimeError(said)

    monkeypatch.setattr(pl.Trainer, "fit", lose)
    monkeypatch.setattr(pl.Trainer, "world_size", property(lambda _: 2))
    with pytest.raises(error, match=message):
        fit(checkpoints=tmp_path)
