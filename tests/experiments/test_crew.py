"""Studies on several processes: what they share, how they end, and what is told of them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading

import pandas as pd
import pytest

from experiments.programs import shared_environment
from experiments.reproduce import main
from experiments.studies.config import load_study
from experiments.studies.crew import Crew
from experiments.studies.plan import plan

# In the place of a worker: it knows what to do by the case of the run, and needs no torch.
STAND_IN = """
import json, os, signal, sys
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]))
while True:
    try:
        run = pipe.recv_bytes()
    except EOFError:
        sys.exit()
    if b"-2-0-0" in run:
        print("\\nno memory is left", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    pipe.send("ValueError: five" if b"-4-0-0" in run else None)
"""


@pytest.fixture
def command(tmp_path):
    def arguments(*more):
        out, results = tmp_path / "runs", tmp_path / "results"
        return ["E2", f"--out={out}", f"--results={results}", "--jobs", "2", *more]

    return arguments


@pytest.fixture
def crew(tmp_path, monkeypatch):
    package = tmp_path / "experiments" / "studies"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "worker.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "lock").open("w") as lock:
        yield Crew(jobs=1, command=[], logs=tmp_path / "workers", lock=lock.fileno())


def test_processes_share_the_machine_and_say_so(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert main(command()) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == 0
    rows = pd.read_csv(tmp_path / "results" / "runs.csv")
    assert rows[["threads", "jobs"]].to_numpy().tolist() == [[1, 2], [1, 2]]
    for folder in (tmp_path / "runs").glob("pavi-f-*"):
        assert json.loads((folder / "provenance.json").read_text())["jobs"] == 2
    assert json.loads((tmp_path / "results" / "study.json").read_text())["jobs"] == 2
    # What is complete is not run again, for which no process is needed.
    monkeypatch.setattr("experiments.studies.crew.Program", None)
    assert main(command()) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_ends_all_processes_and_the_same_command_goes_on(
    number, code, command, tmp_path, capsys
):
    arguments = command("train.steps=400", "train.checkpoint_every=10")
    ends = threading.Event()

    def send() -> None:
        while not list((tmp_path / "runs").glob("*/checkpoints/*.ckpt")):
            if ends.wait(0.05):
                return
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        assert main(arguments) == code
    finally:
        ends.set()
        sender.join()
    told = capsys.readouterr().err
    assert "The same command goes on from what is there:\n" in told
    assert "E2" in told.splitlines()[-1]
    # Workers hold the lock as long as they live.
    with (tmp_path / "runs" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not list((tmp_path / "runs").glob("*/metrics.json"))
    assert not (tmp_path / "results").exists()
    if number == signal.SIGINT:
        assert main([*arguments, "--jobs", "1"]) == 0
        assert len(list((tmp_path / "runs").glob("*/metrics.json"))) == 2


def test_a_lost_process_takes_one_run_with_it(crew, tmp_path):
    study = load_study("E2")
    runs = plan("E2", study, "desk", out=tmp_path / "runs")
    runs = [run for run in runs if run.config.problem.seed == 0]
    begun = []
    ended = list(crew.shared_out(runs, begun=begun.append))
    done = {outcome.run.case: outcome.error for outcome in ended}
    assert begun == runs
    assert list(study.cases) == sorted(done, key=int)
    assert done.pop("4") == "ValueError: five"
    lost = done.pop("2")
    assert "its process ended with exit code -9, see" in lost
    assert lost.endswith(".log: no memory is left")
    assert set(done.values()) == {None}
    # One process for all runs, and another in its place once it was lost.
    assert sorted(path.name for path in crew.logs.iterdir()) == ["0.log", "1.log"]


def test_a_study_at_work_is_not_started_twice(command, tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    with (tmp_path / "runs" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main(command()) == 2
    assert "is in use by another process of this study, or by a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "jobs", "threads"),
    [(None, 2, 4), ("2", 2, 2), ("8", 2, 4), ("4,2", 2, 4), (None, 9, 1)],
)
def test_threads_are_shared_fairly(asked, jobs, threads, monkeypatch):
    """With eight cores; who asks for fewer threads gets these, and nobody more than a part."""
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    found = shared_environment(jobs)
    assert found["OMP_NUM_THREADS"] == str(threads)
    assert found["MKL_NUM_THREADS"] == str(max(1, 8 // jobs))
