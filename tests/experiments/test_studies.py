"""Studies: what is planned, carried out, told and refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import experiments.studies.outcome
from experiments.reproduce import main
from experiments.studies.amortization import crossover
from experiments.studies.config import MethodConfig, PresetConfig, load_study, study_names
from experiments.studies.outcome import outcome
from experiments.studies.plan import by_repetition, plan
from experiments.studies.reference import with_gaps
from experiments.studies.report import Findings
from experiments.studies.reports import REPORTS
from experiments.studies.spread import spread, told
from experiments.studies.thresholds import longest, reached
from pavi.training import NonFiniteLossError


@pytest.fixture
def command(tmp_path):
    def arguments(name, *more, preset="smoke"):
        out, results = tmp_path / "runs", tmp_path / "results"
        return [name, "--preset", preset, f"--out={out}", f"--results={results}", *more]

    return arguments


@pytest.mark.parametrize("name", study_names())
def test_a_study_runs_from_nothing_and_is_told(name, command, tmp_path, capsys):
    assert main(command(name)) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["failed"] == 0
    results = tmp_path / "results"
    rows = pd.read_csv(results / "runs.csv", dtype={"commit": str})  # 25127e7 is no number
    assert {"case", "method", "data", "seed", "elbo", "gap_per_latent"} <= set(rows)
    assert rows["elbo"].notna().all()
    assert rows["commit"].str.len().eq(7).all()
    assert rows["threads"].gt(0).all()
    for ending in ("png", "svg"):
        assert (results / f"figure.{ending}").stat().st_size > 5000
    table = (results / "table.md").read_text()
    about = json.loads((results / "study.json").read_text())
    assert about["commit"]
    assert about["study"]["question"] in table
    assert f"The paper's claim: {about['study']['claim']}" in table
    assert "Preset smoke: a few steps, which show that it runs and nothing else." in table
    for method in rows["method"].unique():
        assert f"| {method} |" in table


def test_every_study_has_a_report_and_every_preset_a_plan(tmp_path):
    assert study_names() == sorted(REPORTS) == ["E1", "E2", "E3", "E4", "E5", "E6"]
    for name in study_names():
        study = load_study(name)
        assert {"smoke", "desk", "full"} == set(study.presets)
        for preset in study.presets:
            runs = plan(name, study, preset, out=tmp_path)
            assert len({run.folder for run in runs}) == len(runs) > 1
            assert not any(run.folder.exists() for run in runs)
    full = load_study("E4").presets["full"]
    assert (full.data, full.seeds) == (20, 5)


def test_what_is_complete_is_not_run_again(command, monkeypatch):
    assert main(command("E2")) == 0

    def refuse(*_, **__):
        raise AssertionError("nothing is left to fit")

    monkeypatch.setattr("pytorch_lightning.Trainer.fit", refuse)
    assert main(command("E2")) == 0


def test_a_run_that_fails_is_told_and_the_others_go_on(command, monkeypatch, tmp_path):
    real = experiments.studies.outcome.carry_out

    def broken(prepared, **more):
        if prepared.config.guide.encodings.dim == 2:
            raise NonFiniteLossError("step 3: the loss is nan")
        return real(prepared, **more)

    monkeypatch.setattr(experiments.studies.outcome, "carry_out", broken)
    assert main(command("E2")) == 1
    assert "step 3: the loss is nan" in (tmp_path / "results" / "table.md").read_text()
    rows = pd.read_csv(tmp_path / "results" / "runs.csv")
    assert rows["error"].notna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["E9"], "there is no experiment 'E9'; there are ['E1', 'E2', 'E3', 'E4', 'E5', 'E6']."),
        (["E1", "--preset", "desc"], "E1 has no preset 'desc'; there are ['smoke', 'desk', 'full"),
        (["E1", "--jobs", "2"], "this study measures seconds, so its runs go alone; got --jobs 2"),
        (["E2", "--jobs", "0"], "--jobs must be positive, got 0."),
        (["E2", "seed=3"], "/pavi_f.yaml or its overrides set seed, which a study does itself"),
        (["E2", "problem={seed: 3}"], "or its overrides set problem.seed, which a study does"),
        (["E2", "out=runs/mine"], "set out, which a study does itself, one for each run: take it"),
        (["E3", "train.steps=50"], "set train.steps, which a study does itself, to each of [10, "),
    ],
)
def test_a_mistake_is_named(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_another_config_is_refused(command, capsys, tmp_path):
    assert main(command("E2")) == 0
    (config,) = (tmp_path / "runs").glob("pavi-f-2-0-0/config.yaml")
    config.write_text(config.read_text().replace("learning_rate: 0.03", "learning_rate: 0.01"))
    assert main(command("E2")) == 2
    said = capsys.readouterr().err
    assert "train.learning_rate is 0.01 there and 0.03 here" in said
    assert "Choose another folder with --out, or delete it." in said


def test_a_simulated_run_goes_on_and_one_of_other_data_sets_is_refused(tmp_path):
    study = load_study("E5")
    study.presets["one"] = PresetConfig(
        methods=["PAVI-E (sa)"], cases=["GRE G=30"], set=study.presets["smoke"].set
    )
    (run,) = plan("E5", study, "one", out=tmp_path)
    done = outcome(run, command=[])
    assert [entry["data"] for entry in done.metrics["datasets"]] == [0]
    # One that was killed after its training does not train again.
    (run.folder / "metrics.json").unlink()
    again = outcome(run, command=[])
    assert again.metrics["train_seconds"] == done.metrics["train_seconds"]
    study.presets["one"].data = 2
    (more,) = plan("E5", study, "one", out=tmp_path)
    refused = outcome(more, command=[])
    assert "was tried on 1 data sets, not 2" in (refused.error or "")


def test_a_plan_names_what_does_not_exist(tmp_path):
    study = load_study("E2")
    study.methods["other"] = MethodConfig(config="pavi_f.yaml", skip=["3"])
    with pytest.raises(ValueError, match=r"skip names \['3'\]; there are \['1', '2'"):
        plan("E2", study, "desk", out=tmp_path)
    study.methods["other"] = MethodConfig(config="../methods/pavi_x.yaml")
    with pytest.raises(
        ValueError, match=r"(?s)pavi_x.yaml does not exist.* in \S*reproduce/methods: adavi.yaml"
    ):
        plan("E2", study, "desk", out=tmp_path)


def test_a_seed_of_a_method_is_refused(tmp_path):
    study = load_study("E2")
    file = tmp_path / "seeded.yaml"
    file.write_text("guide: {encodings: {name: free, dim: 16}}\nseed: 0\n")
    study.methods["PAVI-F"] = MethodConfig(config=str(file))
    with pytest.raises(ValueError, match=r"seeded.yaml or its overrides set seed, .* take it out"):
        plan("E2", study, "desk", out=tmp_path)


def test_a_preset_may_have_the_last_word_and_other_seeds_for_a_case(tmp_path):
    study = load_study("E4")
    splines = study.methods["PAVI-F splines"].set["NC"]
    assert splines == ["train.steps=6000"]  # above what desk says of steps, and below smoke
    desk, smoke = (plan("E4", study, preset, out=tmp_path) for preset in ("desk", "smoke"))
    for runs, steps in ((desk, 6000), (smoke, 4)):
        (found,) = {run.config.train.steps for run in runs if run.method == "PAVI-F splines"}
        assert found == steps
    fits = {
        case: [
            (run.config.problem.seed, run.config.seed)
            for run in desk
            if (run.case, run.method) == (case, "mean field")
        ]
        for case in study.cases
    }
    assert fits.pop("MS-HBM toy") == [(0, 0), (1, 0)]
    assert set(map(tuple, fits.values())) == {((0, 0), (0, 1), (1, 0), (1, 1))}
    study.presets["desk"].case_seeds = {"HBM": 1}
    with pytest.raises(ValueError, match=r"case_seeds names \['HBM'\]; there are \['GRE G=3'"):
        plan("E4", study, "desk", out=tmp_path)
    with pytest.raises(ValueError, match=r"case_seeds.HV must be positive, got 0"):
        PresetConfig(case_seeds={"HV": 0})


def test_smoke_covers_every_case_and_method_of_the_expressivity_study(tmp_path):
    study = load_study("E4")
    smoke, full = (plan("E4", study, preset, out=tmp_path) for preset in ("smoke", "full"))
    assert {(run.case, run.method) for run in smoke} == {(run.case, run.method) for run in full}


def test_a_level_is_reached_between_two_points():
    runs = pd.DataFrame(
        {
            "case": "",
            "method": ["a"] * 3 + ["b"] * 2,
            "data": 0,
            "seed": 0,
            "steps": [1000, 10, 100, 10, 100],
            "gap_per_latent": [0.001, 1.0, 0.01, 5.0, 2.0],
        }
    )
    found = reached(runs, 0.1, "steps").set_index("method")["value"]
    # Halfway on both log scales.
    assert found["a"] == pytest.approx(10**1.5)
    assert math.isnan(found["b"])
    assert reached(runs, 1.0, "steps").set_index("method")["value"]["a"] == 10
    assert longest(runs)[["method", "steps"]].to_numpy().tolist() == [["a", 1000], ["b", 100]]


@pytest.mark.parametrize("noise", [1e-7, 0.0, -1e-7])
def test_the_sign_of_a_gap_below_its_noise_decides_nothing(noise):
    runs = pd.DataFrame(
        {
            "case": "",
            "method": "a",
            "data": 0,
            "seed": 0,
            "steps": [10, 1000],
            "gap_per_latent": [0.1, noise],
        }
    )
    (found,) = reached(runs, 0.01, "steps")["value"]
    # A quarter of the way from 0.1 to 0.00001 on a log scale.
    assert found == pytest.approx(10**1.5)


def test_runs_of_every_length_are_planned_and_no_longer_than_there_is_time_for(tmp_path):
    runs = plan("E3", load_study("E3"), "desk", out=tmp_path)
    assert len({run.folder for run in runs}) == len(runs)
    lengths: dict[tuple[str, str], set[int]] = {}
    for run in runs:
        lengths.setdefault((run.method, run.case), set()).add(run.config.train.steps)
    assert lengths.pop(("mean field", "20000")) == {150, 250, 400}
    assert set(map(frozenset, lengths.values())) == {frozenset({150, 250, 400, 1000})}


def test_what_is_compared_runs_within_the_same_minutes(tmp_path):
    runs = plan("E3", load_study("E3"), "desk", out=tmp_path)
    order = by_repetition(runs)
    assert sorted(run.folder for run in order) == sorted(run.folder for run in runs)
    first = [(run.method, run.case) for run in order[:5]]
    assert first == [("PAVI-E", case) for case in ("20", "200", "2000", "20000", "200000")]
    whole = [(run.config.problem.seed, run.config.train.steps) for run in order]
    assert whole == sorted(whole)


def test_a_length_of_no_steps_is_refused():
    with pytest.raises(ValueError, match=r"lengths.1 must be positive, got 0"):
        PresetConfig(lengths=[10, 0])


def test_a_median_counts_what_never_came():
    rows = pd.DataFrame({"case": "c", "method": "m", "value": [1.0, math.nan, math.nan]})
    (row,) = spread(rows, "value").to_dict("records")
    assert (row["median"], row["low"], row["runs"]) == (math.inf, 1.0, 3)


def test_a_failed_run_has_not_the_best_elbo():
    rows = pd.DataFrame({"case": "c", "method": "m", "elbo": [-10.0, -5.0, math.nan]})
    (text,) = told(rows, "elbo", lambda value: f"{value:g}", worst=-math.inf)
    assert text == "-10 (-inf to -5)"


def test_the_reference_is_exact_or_the_best_bound_that_means_something():
    rows = pd.DataFrame(
        {
            "case": ["x", "x", "x", "y"],
            "data": [0, 0, 0, 0],
            "elbo": [-5.0, -6.0, -7.0, -1.0],
            "num_latents": 2,
            "log_evidence": [math.nan] * 3 + [0.0],
            "importance_bound": [-4.0, -3.0, -1.0, -0.5],
            "importance_error": [0.3, 0.1, 0.5, 0.1],
            "importance_size": [500.0, 300.0, 2.0, 900.0],
        }
    )
    assert with_gaps(rows)["gap"].tolist() == [2.0, 3.0, 4.0, 1.0]
    assert with_gaps(rows)["gap_per_latent"].tolist() == [1.0, 1.5, 2.0, 0.5]
    rows["importance_error"] = 0.4  # the two bounds cannot be told apart
    assert with_gaps(rows)["gap"].tolist() == [1.0, 2.0, 3.0, 1.0]
    rows["importance_size"] = 99.0
    assert with_gaps(rows)["gap"].isna().tolist() == [True, True, True, False]


def test_the_crossover():
    assert crossover(once=10.0, each=1.0, fit=3.0) == 5
    assert crossover(once=10.0, each=3.0, fit=3.0) == math.inf


def test_a_guide_that_failed_or_learned_too_little_is_ahead_of_nothing():
    rows = pd.DataFrame(
        {
            "case": "x",
            "method": ["PAVI-F", "PAVI-E (sa)", "ADAVI", "mean field"],
            "gap": [0.1, 0.2, 90.0, math.nan],
            "gap_per_latent": [0.001, 0.002, 0.9, math.nan],
            "seconds": [2.0, 0.1, 0.1, math.nan],
            "train_seconds": [math.nan, 10.0, 10.0, math.nan],
        }
    )
    told = REPORTS["E5"].table(Findings(rows, "model"))
    ahead = {row["method"]: row["ahead of PAVI-F from"] for row in told}
    assert ahead == {"PAVI-F": "", "PAVI-E (sa)": "6", "ADAVI": "", "mean field": ""}
    dash = "\N{EN DASH}"
    assert {row["method"]: row["ahead of mean field from"] for row in told}["PAVI-E (sa)"] == dash
    assert told[-1]["seconds per data set"] == dash


def test_overrides_reach_every_run_above_all_others(tmp_path):
    study = load_study("E4")
    runs = plan("E4", study, "smoke", out=tmp_path, overrides=["train.steps=7", "logger=wandb"])
    assert {run.config.train.steps for run in runs} == {7}
    assert {str(run.config.logger) for run in runs} == {"wandb"}


def test_a_study_runs_on_two_devices_and_logs_to_weights_and_biases(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    devices = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
    more = ["train.batch={group: 5}", "train.steps=3", "logger=wandb", *devices]
    assert main(command("E2", *more)) == 0
    assert json.loads(capsys.readouterr().out) == {
        "results": str(tmp_path / "results"),
        "runs": 2,
        "failed": 0,
    }
    for folder in (tmp_path / "runs").glob("pavi-f-*"):
        # Both processes trained, and the first one alone logged.
        assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 1
    assert main(command("E2", *more)) == 0  # from what is there


@pytest.fixture
def amortized(tmp_path):
    """A run of ADAVI over simulated data sets, tried on two."""

    def planned(*overrides):
        study = load_study("E5")
        study.presets["one"] = PresetConfig(
            methods=["ADAVI"], cases=["GRE G=30"], set=study.presets["smoke"].set, data=2
        )
        (run,) = plan("E5", study, "one", out=tmp_path / "runs", overrides=overrides)
        return run

    return planned


def test_a_run_over_simulated_data_sets_logs_as_others_do(amortized):
    run = amortized("logger=tensorboard", "train.log_every=2")
    done = outcome(run, command=["study"])
    assert done.error is None
    assert [one["data"] for one in done.metrics["datasets"]] == [0, 1]
    log = EventAccumulator(str(run.folder / "logs" / "version_0"))
    log.Reload()
    assert [entry.step for entry in log.Scalars("train/elbo_per_latent")] == [1, 3, 5, 7, 9]
    (elbo,) = (entry.value for entry in log.Scalars("final/elbo"))
    assert elbo == pytest.approx(sum(one["elbo"] for one in done.metrics["datasets"]) / 2)
    again = outcome(run, command=[])
    assert again == done
    other = outcome(replace(run, datasets=3), command=[])
    assert "was tried on 2 data sets, not 3; delete it" in other.error


def test_a_run_over_simulated_data_sets_has_two_devices(amortized):
    devices = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
    run = amortized("logger=wandb", *devices)
    done = outcome(run, command=["study"])
    assert done.error is None
    assert len(done.metrics["datasets"]) == 2
    # The first process alone logged.
    assert len(list(run.folder.glob("wandb/offline-run-*/*.wandb"))) == 1
    checkpoint = torch.load(run.folder / "checkpoints" / "step=10.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 10


def test_rows_cannot_be_split_where_there_are_many_data_sets(command, capsys, tmp_path):
    assert main(command("E5", "trainer.devices=2", "trainer.shard=group")) == 2
    said = capsys.readouterr().err
    assert "trainer.shard=group splits the rows of one data set" in said
    assert "PAVI-E (sa) is trained over many; leave it out" in said
    assert not (tmp_path / "runs").exists()


def test_studies_name_files_that_are_runs_themselves():
    folder = Path(experiments.studies.config.FOLDER)
    named = {
        (folder / name / method.config).resolve()
        for name in study_names()
        for method in load_study(name).methods.values()
    }
    there = {path.resolve() for path in folder.rglob("*.yaml") if path.name != "study.yaml"}
    assert named == there
    texts = [path.read_text().split("\n", 1)[1] for path in there]  # without the comment
    assert sorted(texts) == sorted(set(texts))
