"""Reading ahead: the same batches in the same order, and no thread that outlives its use."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import time
from itertools import islice

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from core.designs import dense_crossing

from pavi import DeepSetEncodings, PlateAmortizedGuide, VariationalInference, fit
from pavi.data import PlateBatches, PlateData, PlateDataModule
from pavi.data.module import AHEAD
from pavi.data.reader import NAME
from pavi.data.stores import DamagedStoreError, MemmapStore, StoreWriter
from pavi.training.quiet import quiet

SETTINGS = {"batch": {"subject": 2, "vertex": 4}, "blocks": {"vertex": 2}, "seed": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "y"
    with StoreWriter(folder, shape=(6, 2, 11, 2)) as writer:
        for part in range(6):
            writer.write(part, np.random.default_rng(part).normal(size=(2, 11, 2)))
        writer.finish()
    return folder


@pytest.fixture
def data(folder):
    return PlateData.from_arrays({"y": MemmapStore.open(folder)}, dense_crossing())


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    gc.collect()
    assert not readers()


def readers():
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def same(one, other):
    return one.seed == other.seed and torch.equal(one.values["y"], other.values["y"])


@pytest.mark.parametrize("ahead", [1, 3, None])
def test_the_batches_are_the_same(data, ahead):
    plain = PlateBatches(data, **SETTINGS, start=2, ahead=0)
    stream = PlateBatches(data, **SETTINGS, start=2, ahead=ahead)
    pairs = islice(zip(plain, stream, strict=True), 12)
    assert all(same(one, other) for one, other in pairs)


def test_only_stores_are_read_ahead_by_default(data):
    memory = PlateData.from_arrays({"y": data.whole("y")}, data.model)
    for each, threads in ((memory, 0), (data, 1)):
        stream = iter(PlateBatches(each, **SETTINGS))
        next(stream)
        assert len(readers()) == threads


def test_no_more_than_what_is_asked_for_is_held(data, monkeypatch):
    made = []
    monkeypatch.setattr(
        PlateBatches, "__getitem__", lambda self, step: made.append(step) or data.batch()
    )
    stream = iter(PlateBatches(data, **SETTINGS, ahead=3))
    for taken in range(1, 4):
        next(stream)
        deadline = time.monotonic() + 5
        while len(made) < taken + 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)
        assert made == list(range(taken + 3))


def test_waiting_is_counted(data, monkeypatch):
    read = PlateBatches.__getitem__
    monkeypatch.setattr(
        PlateBatches, "__getitem__", lambda self, step: (time.sleep(0.02), read(self, step))[1]
    )
    for ahead in (0, 2):
        batches = PlateBatches(data, **SETTINGS, ahead=ahead)
        assert batches.waited == 0
        for _ in islice(batches, 3):
            pass
        assert batches.waited > 0.015


def test_a_reader_ends_when_it_is_closed(data):
    batches = PlateBatches(data, **SETTINGS)
    streams = iter(batches), iter(batches)
    for stream in streams:
        next(stream)
    assert len(readers()) == 2
    batches.close()
    assert not readers()
    assert list(streams[0]) == []


def test_ahead_must_not_be_negative(data):
    with pytest.raises(ValueError, match="ahead must be at least 0, got -1"):
        PlateDataModule(data, **SETTINGS, ahead=-1)


# In a run


def run(data, *, steps=5, callbacks=(), **settings):
    guide = PlateAmortizedGuide(data.model, data.cardinalities, encodings=DeepSetEncodings(dim=4))
    module = VariationalInference(guide)
    stream = PlateDataModule(data, **SETTINGS, **settings)
    with quiet():
        trainer = pl.Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=False,
            callbacks=list(callbacks),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, stream)
    return guide, stream


def test_a_run_is_the_same_and_leaves_no_thread(data):
    guides = []
    for ahead in (0, None):
        torch.manual_seed(0)
        guide, stream = run(data, ahead=ahead)
        assert not readers()
        assert stream.waited > 0
        guides.append(guide.state_dict())
    assert all(torch.equal(value, guides[1][name]) for name, value in guides[0].items())


class Fails(pl.Callback):
    def __init__(self, error):
        self.error = error

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 2:
            assert readers()
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("in the step"), KeyboardInterrupt()])
def test_an_error_in_the_step_ends_the_thread(data, error):
    with pytest.raises((RuntimeError, SystemExit, KeyboardInterrupt)):
        run(data, callbacks=[Fails(error)])
    assert not readers()


def test_an_error_of_the_reader_is_raised_in_the_step(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "y")
    data = PlateData.from_arrays({"y": MemmapStore.open(tmp_path / "y")}, dense_crossing())

    class Cuts(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 1:
                os.truncate(tmp_path / "y" / "values.npy", 128)

    with pytest.raises(DamagedStoreError, match=r"part \d cannot be read: the file ends"):
        run(data, steps=4 * AHEAD, callbacks=[Cuts()])
    assert not readers()


def test_a_fit_reads_ahead(data):
    posterior = fit(data.model, data, **SETTINGS, steps=2, progress=False)
    assert posterior.data is data
    assert not readers()
