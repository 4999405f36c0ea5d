"""Sweeps: what they refuse before they start, and what they do with trials of every fate."""

from __future__ import annotations

import csv
import fcntl
import json
import signal
import time
from pathlib import Path

import optuna
import pytest
import yaml
from config_files import AFFINE, ROOT, SWEEPS
from optuna.trial import TrialState
from rich.console import Console
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

import experiments.sweep
from experiments.config_file import load
from experiments.evaluation import metric_names
from experiments.run import carry_out, prepare
from experiments.run import main as run_main
from experiments.sweep import main
from experiments.sweeps.config import ExecutorConfig, ExecutorName
from experiments.sweeps.elbo_log import read_elbo
from experiments.sweeps.executor import Executor, Job
from experiments.sweeps.folder import SweepFolder
from experiments.sweeps.local import LocalExecutor
from experiments.sweeps.results import screen_table
from experiments.sweeps.slurm import SlurmExecutor
from experiments.sweeps.space import distributions, grid, load_sweep, run_config
from experiments.sweeps.study import RETRY, opened_study


@pytest.fixture
def sweep(tmp_path):
    """Writes the file of a sweep."""

    def write(**changes) -> Path:
        content = {
            "config": str(AFFINE),
            "overrides": ["train.steps=3", "eval_draws=2"],
            "space": {"train.learning_rate": {"values": [0.01, 0.1]}},
            "method": "grid",
            "minimise": "gap",
            "out": str(tmp_path / "out"),
        }
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
        return path

    return write


TPE = {"method": "tpe", "trials": 3}
RATE = "train.learning_rate"


@pytest.fixture
def in_process(monkeypatch):
    """Runs take place in this process; one with a rate of 0.1 crashes, if asked to."""

    class Done(Job):
        def __init__(self, code, said=""):
            self.code, self.said = code, said

        def poll(self):
            return self.code

        def stop(self):
            self.code = 130

        def leave(self):
            left.append(self)

        def errors(self):
            return self.said

    class InProcess(Executor):
        crash, interrupt, signalled = False, None, False

        def start(self, arguments, *, log):
            started.append(arguments)
            if self.interrupt == len(started):
                raise KeyboardInterrupt
            if self.crash and f"{RATE}=0.1" in arguments:
                return Done(1, "Traceback:\n\n1\n2\n3\n4\nMemoryError: no | more\n")
            if self.signalled and f"{RATE}=0.1" in arguments:
                return Done(75, "SIGTERM; the checkpoint is there\n")
            return Done(run_main(list(arguments)))

    started, left = [], []
    executor = InProcess()
    executor.started = started
    monkeypatch.setattr(experiments.sweep, "LocalExecutor", lambda **_: executor)
    monkeypatch.setattr(experiments.sweep, "LOOK_SECONDS", 0.0)
    return executor


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_sweep_file_loads(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = load_sweep(path)
    assert config.out == f"runs/sweeps/{path.stem}"
    assert config.space.keys() == distributions(config).keys()


@pytest.mark.parametrize("path", sorted((SWEEPS / "wandb").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_command_of_a_wandb_agent_is_a_run_of_ours(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WANDB_RUN_ID", "x7")
    file = yaml.safe_load(path.read_text())
    assert set(file) == {"program", "command", "method", "metric", "parameters"}
    for end in (0, -1):
        ends = {
            name: [p["value"]] if "value" in p else p.get("values") or [p["min"], p["max"]]
            for name, p in file["parameters"].items()
        }
        # As the agent expands a command: a part that is all ${...} gives way to its arguments.
        arguments = create_sweep_command_args(
            {"args": {name: {"value": values[end]} for name, values in ends.items()}}
        )
        arguments |= {"interpreter": ["python"], "env": ["/usr/bin/env"]}
        command: list[str] = []
        for part in create_sweep_command(file["command"]):
            whole = part.startswith("${") and part.endswith("}")
            command += arguments[part[2:-1]] if whole else [part]
        assert command[:4] == ["/usr/bin/env", "python", "-m", "experiments.run"]
        config = load(command[4], command[5:])
        assert config.out == "runs/wandb/x7"
        assert config.logger == "wandb"
        assert config.train.learning_rate == ends.get(RATE, [0.03, 0.03])[end]
        name = file["metric"]["name"].rpartition("/")[2]
        assert name in metric_names(config)


def test_the_metrics_that_can_be_minimised_are_those_of_a_run(tmp_path):
    config = load(AFFINE, ["train.steps=1", f"out={tmp_path / 'run'}"])
    metrics = carry_out(prepare(config))
    assert set(metric_names(config)) == set(metrics) - {"batch", "bound"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spce": {}}, "unknown key 'spce'; keys are ['config', .* Did you mean 'space'?"),
        ({"space": {"train.learning_rat": {"values": [1]}}}, "unknown key 'train.learning_rat'"),
        ({"space": {"train.draws": {"values": [2, "many"]}}}, "Value 'many' of type 'str'"),
        ({"space": {RATE: {"values": [0.1, -1]}}}, "train.learning_rate must be positive"),
        ({"space": {"guide.flow.bins": {"values": [4]}}}, "means nothing to guide.flow.name"),
        ({"space": {"seed": {"values": [1]}}}, "seed cannot be searched over; seeds=[...]"),
        ({"space": {}}, "space must name at least one key"),
        ({"space": {RATE: {"values": [1, 1]}}}, "values must differ from each other"),
        ({"space": {RATE: {"values": []}}}, "values must not be empty"),
        ({"space": {RATE: {"low": 1}}}, "either values or both low and high"),
        ({"space": {RATE: {"values": [1], "low": 1}}}, "either values or both low and high"),
        ({"space": {RATE: {"low": 2, "high": 1}}}, "low must be below high"),
        ({"space": {RATE: {"low": 0, "high": 1, "log": True}}}, "needs a positive low"),
        ({"space": {RATE: {"values": [1], "log": True}}}, "belong to a range"),
        ({"space": {RATE: {"low": 1, "high": 2, "step": 3}}}, "step must be positive, at most"),
        ({"space": {RATE: {"low": 1, "high": 2.5, "integer": True}}}, "must be integers"),
        ({"space": {RATE: {"low": 1, "high": 2}}}, "method=grid needs values"),
        ({"trials": 3}, "trials=3 means nothing to method=grid"),
        ({"method": "tpe"}, "method=tpe needs a positive number of trials, got None"),
        (
            {
                **TPE,
                "config": str(AFFINE.with_name("gre_deep_set.yaml")),
                "space": {
                    "guide.encodings.width": {"low": 8, "high": 64, "integer": True},
                },
            },
            "heads must divide width",
        ),
        ({"seeds": []}, "seeds must be at least one"),
        ({"seeds": [1, 1]}, "seeds must be at least one and differ"),
        ({"seeds": [-1]}, "seeds must not be negative"),
        ({"minimise": "gab"}, "minimise=gab is no metric of these runs, .*'gap'"),
        ({"overrides": ["train.stepz=3"]}, "unknown key 'train.stepz'"),
        ({"overrides": [f"{RATE}=3"]}, "train.learning_rate is set by the sweep"),
        ({"overrides": ["out=x"]}, "out is set by the sweep"),
        ({"overrides": ["train.batch={groupz: 3}"]}, "batch names unknown plates ['groupz']"),
        ({"config": "nowhere.yaml"}, "nowhere.yaml does not exist"),
        ({"prune": {"after_trials": 3}}, "prune.after_trials=3 means nothing to prune.name=none"),
        ({"prune": {"name": "halving", "factor": 1}}, "prune.factor must be at least 2"),
        (
            {"prune": {"name": "median"}, "overrides": ["logger=wandb"]},
            "reads the log of a run and needs logger=csv, got logger=wandb",
        ),
        ({"executor": {"gpus": 1}}, "executor.gpus=1 means nothing to executor.name=local"),
        ({"executor": {"name": "slurm", "minutes": 0}}, "executor.minutes must be positive"),
        ({"executor": {"name": "slurm"}}, "cannot submit from this machine"),
    ],
)
def test_a_wrong_question_is_told_before_anything_starts(
    changes, message, sweep, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    path = sweep(**changes)
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    for part in message.split(".*"):
        assert part in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == [path]


def test_jobs_must_be_positive(sweep, capsys):
    assert main([str(sweep()), "--jobs", "0"]) == 2
    assert "--jobs must be positive, got 0" in capsys.readouterr().err


def test_a_grid_is_every_combination_of_values_of_any_kind(sweep):
    space = {
        "guide.flow.hidden": {"values": [[4], [8, 8]]},
        "train.table_rate": {"values": [None, 1e-5]},
    }
    overrides = ["guide.flow.name=maf"]
    config = load_sweep(sweep(space=space, overrides=overrides))
    runs = [run_config(config, point) for point in grid(config)]
    found = [(run.guide.flow.hidden, run.train.table_rate) for run in runs]
    assert found == [([4], None), ([4], 1e-5), ([8, 8], None), ([8, 8], 1e-5)]


def test_processes_end_to_end(sweep, tmp_path, capsys):
    """Two at a time; a rate that overflows crashes its trial, and nothing else."""
    path = sweep(space={RATE: {"values": [0.01, 1e300]}}, seeds=[3])
    assert main([str(path), "--jobs", "2"]) == 1
    out = tmp_path / "out"
    good, crashed = table(out)
    assert (good["trial"], good["state"], good[RATE]) == ("0", "complete", "0.01")
    run = json.loads((out / "trials" / "0000" / "seed-3" / "metrics.json").read_text())
    assert float(good["gap"]) == run["gap"]
    assert crashed["state"] == "crashed"
    assert "exit code 1: error: step " in crashed["error"]
    assert (out / "trials.md").read_text().count("\n| ") == 4
    assert (out / "trials.png").stat().st_size > 1000
    assert "trial 1 crashed: train.learning_rate=1e+300" in capsys.readouterr().out


def test_a_finished_sweep_starts_nothing_and_a_crash_is_tried_again(
    sweep, tmp_path, in_process, monkeypatch
):
    in_process.crash = True
    path = str(sweep(seeds=[0, 1]))
    assert main([path]) == 1
    assert len(in_process.started) == 3  # of the one that crashes only the first seed
    rows = table(tmp_path / "out")
    assert [row["state"] for row in rows] == ["complete", "crashed"]
    assert rows[1]["error"] == "seed 0, exit code 1: 1\n2\n3\n4\nMemoryError: no | more"
    assert "MemoryError: no \\| more |" in (tmp_path / "out" / "trials.md").read_text()
    in_process.crash = False
    assert main([path]) == 0
    assert len(in_process.started) == 5
    rows = table(tmp_path / "out")
    assert sorted(row["trial"] for row in rows[:2]) == ["0", "2"]
    # What crashed keeps its place and its error.
    crashed = rows[2]
    assert (crashed["trial"], crashed["state"]) == ("1", "crashed, again as 2")
    assert crashed["error"] == "seed 0, exit code 1: 1\n2\n3\n4\nMemoryError: no | more"
    metrics = [
        json.loads(
            (tmp_path / "out" / "trials" / "0000" / f"seed-{s}" / "metrics.json").read_text()
        )
        for s in (0, 1)
    ]
    mean = (metrics[0]["gap"] + metrics[1]["gap"]) / 2
    (row,) = (row for row in rows if row["trial"] == "0")
    assert float(row["gap"]) == pytest.approx(mean)
    assert float(row["sd over seeds"]) == pytest.approx(
        abs(metrics[0]["gap"] - metrics[1]["gap"]) / 2**0.5
    )
    assert main([path]) == 0
    assert len(in_process.started) == 5


def test_a_run_that_a_signal_ended_is_no_crash_and_goes_on(sweep, tmp_path, in_process, capsys):
    in_process.signalled = True
    path = str(sweep())
    assert main([path]) == 75
    assert (
        "a signal ended a run of this sweep. The same command goes on:" in capsys.readouterr().err
    )
    rows = table(tmp_path / "out")
    assert [(row["trial"], row["state"]) for row in rows] == [
        ("0", "complete"),
        ("1", "under way"),
    ]
    assert rows[1]["error"] == ""
    in_process.signalled = False
    assert main([path]) == 0
    assert [row["state"] for row in table(tmp_path / "out")] == ["complete", "complete"]
    first, cut, again = in_process.started
    assert cut == again != first


def test_the_table_of_a_narrow_screen_keeps_every_value():
    row = {"trial": 12, RATE: "a_value_that_is_longer_than_its_column", "gap": -1234567.125}
    console = Console(width=30)
    with console.capture() as capture:
        console.print(screen_table([row], title="t"))
    shown = capture.get()
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    lines = [line.split("\N{BOX DRAWINGS LIGHT VERTICAL}") for line in shown.splitlines()]
    cells = [[cell.strip() for cell in line[1:-1]] for line in lines if len(line) > 3]
    joined = ["".join(parts) for parts in zip(*cells, strict=True)]
    assert joined == ["12", row[RATE], "-1.2346e+06"]


def test_the_best_is_first_and_a_minus_maximises(sweep, tmp_path, in_process):
    assert main([str(sweep(minimise="-elbo"))]) == 0
    rows = table(tmp_path / "out")
    values = [float(row["-elbo"]) for row in rows]
    assert values == sorted(values)
    run = tmp_path / "out" / "trials" / f"{int(rows[0]['trial']):04d}" / "seed-0"
    assert values[0] == -json.loads((run / "metrics.json").read_text())["elbo"]


def test_an_interrupted_sweep_goes_on(sweep, tmp_path, in_process, capsys):
    space = {RATE: {"low": 0.01, "high": 0.1, "log": True}}
    path = str(sweep(**TPE, space=space))
    in_process.interrupt = 2
    assert main([path]) == 130
    assert "The same command goes on" in capsys.readouterr().err
    in_process.interrupt = None
    assert main([path]) == 0
    first, cut, again, last = in_process.started
    assert again == cut
    assert len({tuple(run) for run in (first, again, last)}) == 3
    assert [row["state"] for row in table(tmp_path / "out")] == ["complete"] * 3
    assert main([path, "trials=4"]) == 0
    assert len(in_process.started) == 5
    rates = {row[RATE] for row in table(tmp_path / "out")}
    assert len(rates) == 4
    assert all(0.01 <= float(rate) <= 0.1 for rate in rates)


def test_a_folder_of_another_sweep_is_refused(sweep, tmp_path, in_process, capsys):
    assert main([str(sweep())]) == 0
    assert main([str(sweep(minimise="elbo"))]) == 2
    assert "another sweep: minimise is gap there and elbo here" in capsys.readouterr().err
    changed = tmp_path / "changed.yaml"
    changed.write_text(AFFINE.read_text().replace("groups: 12", "groups: 13"))
    file = tmp_path / "out" / "sweep.yaml"
    file.write_text(file.read_text().replace(str(AFFINE), str(changed)))
    assert main([str(sweep(config=str(changed)))]) == 2
    assert "problem.groups is 12 there and 13 here" in capsys.readouterr().err
    file.unlink()
    assert main([str(sweep())]) == 2
    assert "is not the folder of a sweep" in capsys.readouterr().err


def test_a_sweep_at_work_is_not_started_twice(sweep, tmp_path, in_process, capsys):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main([str(sweep())]) == 2
    assert "is in use by another process of this sweep" in capsys.readouterr().err
    assert in_process.started == []


@pytest.mark.parametrize("ignores", [False, True])
def test_a_process_is_stopped_like_by_ctrl_c(ignores, tmp_path, monkeypatch):
    """A stand-in for a run: it says on its log how it ended."""
    program = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGINT, signal.SIG_IGN if {ignores} else signal.default_int_handler)\n"
        "print('up', file=sys.stderr, flush=True)\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: print('closed', file=sys.stderr); sys.exit(130)\n"
    )
    package = tmp_path / "experiments"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "run.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.programs.GRACE", 2.0)
    with (tmp_path / ".lock").open("w") as lock:
        job = LocalExecutor(jobs=1, lock=lock.fileno()).start([], log=tmp_path / "x.log")
        while "up" not in job.errors():
            time.sleep(0.02)
        assert job.poll() is None
        job.stop()
    assert job.poll() == (-signal.SIGTERM if ignores else 130)
    assert ("closed" in job.errors()) != ignores


def test_a_trial_that_lags_is_stopped(sweep, tmp_path, monkeypatch):
    """The second trial logs a worse ELBO than the first at the same steps."""

    class Logged(Job):
        def __init__(self, run, level):
            self.run, self.level, self.looks, self.stopped = run, level, 0, False

        def poll(self):
            self.looks += 1
            logs = self.run / "logs" / "version_0"
            logs.mkdir(parents=True, exist_ok=True)
            lines = [f"{step},{self.level - 100 / (step + 1)}" for step in range(self.looks)]
            (logs / "metrics.csv").write_text("\n".join(["step,train/elbo", *lines]) + "\n7,-1")
            if self.looks < 6:
                return None
            (self.run / "metrics.json").write_text(json.dumps({"gap": 1.0, "seconds": 1.0}))
            return 0

        def stop(self):
            self.stopped = True

        def leave(self):
            raise AssertionError

        def errors(self):
            return ""

    class Levels(Executor):
        def start(self, arguments, *, log):
            jobs.append(Logged(log.with_suffix(""), level=-50.0 if jobs else 0.0))
            return jobs[-1]

    jobs: list[Logged] = []
    monkeypatch.setattr(experiments.sweep, "LocalExecutor", lambda **_: Levels())
    monkeypatch.setattr(experiments.sweep, "LOOK_SECONDS", 0.0)
    prune = {"name": "median", "after_trials": 1, "after_steps": 2}
    assert main([str(sweep(prune=prune))]) == 0
    assert [row["state"] for row in table(tmp_path / "out")] == ["complete", "pruned"]
    assert [(job.stopped, job.looks) for job in jobs] == [(False, 6), (True, 3)]
    study = optuna.load_study(study_name="sweep", storage=SweepFolder(tmp_path / "out").storage)
    assert study.trials[1].state is TrialState.PRUNED
    assert study.trials[1].intermediate_values == {
        step: 50 + 100 / (step + 1) for step in range(3)
    }


def test_the_log_of_a_run_is_read_over_its_starts(tmp_path):
    carry_out(prepare(load(AFFINE, [f"out={tmp_path}/run", "train.steps=4"])))
    assert list(read_elbo(tmp_path / "run")) == [0, 1, 2, 3]
    later = tmp_path / "run" / "logs" / "version_1"
    later.mkdir()
    (later / "metrics.csv").write_text("step,train/elbo,x\n3,-5.0,\n4,,1\n5,nan,\n6,-4.0,1\n7,-3")
    found = read_elbo(tmp_path / "run")
    assert list(found) == [0, 1, 2, 3, 6]
    assert (found[3], found[6]) == (-5.0, -4.0)
    assert read_elbo(tmp_path / "nothing") == {}


def test_a_retried_trial_has_the_point_of_the_crashed_one(sweep):
    config = load_sweep(sweep())
    folder = SweepFolder(Path(config.out))
    folder.create(config, {})
    with opened_study(config, folder) as study:
        study.tell(study.ask(distributions(config)), state=TrialState.FAIL)
    with opened_study(config, folder) as study:
        crashed, waiting, again = study.trials
        assert again.user_attrs[RETRY] == crashed.number
        assert again.system_attrs["fixed_params"] == crashed.params
        assert waiting.state is TrialState.WAITING


def slurm(**asked) -> ExecutorConfig:
    return ExecutorConfig(name=ExecutorName.SLURM, **asked)


def test_a_submission_runs_without_a_queue(tmp_path):
    """Through submitit's pickles, in a process of its own, which is told the wrong and the right."""
    config = slurm(minutes=2)
    executor = SlurmExecutor(config, folder=tmp_path / "jobs", name="x", cluster="local")
    run = tmp_path / "run"
    arguments = [str(AFFINE), "train.steps=2", f"out={run}"]
    jobs = [
        executor.start([*arguments, *more], log=tmp_path / f"{name}.log")
        for name, more in (("right", []), ("wrong", ["train.stepz=3"]))
    ]
    while None in (codes := [job.poll() for job in jobs]):
        time.sleep(0.05)
    assert codes == [0, 2]
    assert json.loads((run / "metrics.json").read_text())["steps"] == 2
    assert "unknown key 'train.stepz'" in jobs[1].errors()


@pytest.mark.parametrize("state", ["RUNNING", "FAILED"])
def test_slurm_is_asked_for_what_the_config_says(state, tmp_path, monkeypatch):
    """With stand-ins for the commands of Slurm."""
    commands = {
        "srun": "",
        "sbatch": f'echo "$@" >> {tmp_path}/asked; echo "Submitted batch job 12"',
        "sacct": f'echo "JobID|State|NodeList"; echo "12|{state}|n1"',
        "scancel": f'echo "$@" > {tmp_path}/cancelled',
    }
    for name, script in commands.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        file = tmp_path / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    config = slurm(partition="gpu", account="lab", minutes=90, cpus=3, gpus=1, memory_gb=4)
    executor = SlurmExecutor(config, folder=tmp_path / "jobs", name="my-sweep")
    log = tmp_path / "trials" / "seed-0.log"
    job = executor.start([str(AFFINE)], log=log)
    lines = set((tmp_path / "jobs" / "12_submission.sh").read_text().splitlines())
    asked = {
        "job-name": "my-sweep",
        "partition": "gpu",
        "account": "lab",
        "time": "90",
        "cpus-per-task": "3",
        "gpus-per-node": "1",
        "mem": "4GB",
        "ntasks-per-node": "1",
    }
    assert {f"#SBATCH --{key}={value}" for key, value in asked.items()} <= lines
    assert log.with_suffix(".job").read_text() == "12\n"
    job.leave()
    # A sweep that comes back waits for the job that is there, or submits another.
    SlurmExecutor(config, folder=tmp_path / "jobs", name="my-sweep").start([], log=log)
    submissions = (tmp_path / "asked").read_text().splitlines()
    assert len(submissions) == (1 if state == "RUNNING" else 2)
    job.stop()
    assert (tmp_path / "cancelled").read_text().split()[0] == "12"
