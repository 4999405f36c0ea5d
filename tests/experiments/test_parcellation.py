"""The parcellation of a cohort: its start, its encodings, its labels, and a whole run."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch.distributions import Normal
from torch.testing import assert_close
from wandb_file import read, values

from experiments.config_file import load_as
from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.generation import generate
from experiments.hcp_like.geometry import SurfaceChoice
from experiments.parcellation.assessment import dice, paired
from experiments.parcellation.config import EncodingsConfig, ParcellationConfig
from experiments.parcellation.fingerprints import ByVertex, open_fingerprints
from experiments.parcellation.label_stream import LabelStream
from experiments.parcellation.run import carry_out, prepare
from experiments.parcellation.run_files import RunFiles
from experiments.parcellation.stages import build_fit, reached_start
from experiments.parcellation.start import StartConfig, find_start
from experiments.parcellation.template import build_model
from experiments.run import main
from experiments.run_folder import RunFolder
from pavi import AffineFlow, PlateAmortizedGuide
from pavi.data.stores import DamagedStoreError, StoreWriter
from pavi.models import label_probabilities

CONFIGS = Path(__file__).parents[2] / "configs" / "hcp_like"
FREE_ROWS = {
    "computed": set(),
    "hybrid": {"eta", "mu_s", "mu_st"},
    "free": {"eta", "mu_s", "mu_st", "pi"},
}
SUBJECTS, SESSIONS, VERTICES, DIM, NETWORKS = 6, 2, 60, 3, 3


@pytest.fixture(scope="module")
def toy():
    """Networks far apart, so that every label is known."""
    g = torch.Generator().manual_seed(0)
    centroids = 10 * torch.eye(NETWORKS, DIM)
    labels = torch.arange(VERTICES) % NETWORKS
    own = centroids + 0.3 * torch.randn(SUBJECTS, SESSIONS, NETWORKS, DIM, generator=g)
    noise = torch.randn(SUBJECTS, SESSIONS, VERTICES, DIM, generator=g)
    return own[:, :, labels] + noise, labels


@pytest.fixture(scope="module")
def store(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    with StoreWriter(folder, shape=tuple(toy[0].shape)) as writer:
        for subject, values in enumerate(toy[0]):
            writer.write(subject, values.numpy())
        writer.finish()
    return open_fingerprints(folder)


def starts(toy, config, **further):
    read = toy[0].__getitem__
    return list(find_start(read, SUBJECTS, networks=NETWORKS, config=config, **further))


@pytest.fixture(scope="module")
def start(toy):
    return starts(toy, StartConfig(subjects=6, restarts=3, passes=2, turns=2))[-1]


def test_where_labels_are_certain_the_start_holds_means_and_moments(toy, start):
    x, labels = toy
    order = [int(start.frequencies[network].argmax()) for network in range(NETWORKS)]
    assert sorted(order) == list(range(NETWORKS))
    size = VERTICES // NETWORKS
    for network, found in enumerate(order):
        sums = x[:, :, labels == network].sum(2)
        # One vertex at the group's centroid of the pass before is added.
        assert_close(start.profiles[:, :, found], sums / size, atol=2.0 / size, rtol=0.0)
        assert_close(start.counts[:, found], torch.full((SUBJECTS,), float(size)))
    means = start.profiles[:, :, order]
    residual = (x - means[:, :, labels]).square().mean().sqrt()
    assert_close(start.kappa, residual, rtol=0.02, atol=0.0)
    error = start.kappa**2 / size
    assert_close(start.sigma.square(), means.var(1).mean((0, -1))[np.argsort(order)] - error)


def test_a_start_that_is_interrupted_goes_on(toy):
    config = StartConfig(subjects=6, restarts=3, passes=3, turns=1)
    whole = starts(toy, config)
    assert len(whole) == 3
    rest = starts(toy, config, after=whole[0], done=1)
    assert len(rest) == 2
    for name, value in vars(rest[-1]).items():
        assert_close(value, getattr(whole[-1], name), rtol=0.0, atol=0.0)


def test_a_store_of_nothing_has_no_networks():
    same = torch.zeros(SESSIONS, VERTICES, DIM)
    with pytest.raises(ValueError, match="60 vertices take 1 different values.* 3 networks"):
        list(find_start(lambda _: same, 2, networks=NETWORKS, config=StartConfig()))


def fit_of(store, start, **encodings):
    config = ParcellationConfig(cohort="", seed=0, networks=NETWORKS)
    config.encodings = EncodingsConfig(**encodings)
    config.train.batch = {"subject": 2, "vertex": 20}
    config.train.blocks = {"vertex": 10}
    return build_fit(config, store, start)


@pytest.mark.parametrize("name", ["computed", "hybrid", "free"])
def test_centroids_of_sessions_are_updated_by_bayes_rule(store, start, name):
    # Of the order of the prior, where the flow bounds neither locations nor precisions.
    start = replace(
        start, profiles=0.03 * start.profiles, kappa=torch.tensor(2.0), sigma=start.sigma / 10
    )
    fit = fit_of(store, start, name=name)
    batch = fit.data.batch()
    with torch.no_grad():
        drawn = fit.guide(batch, draws=5)
    values = drawn.values
    prior = values["log_sigma"].exp().square()[:, None, None, :, None].reciprocal()
    evidence = (start.counts / start.kappa.square())[None, :, None, :, None]
    mean = prior * values["mu_s"].unsqueeze(2) + evidence * start.profiles
    mean, precision = mean / (prior + evidence), prior + evidence
    by_hand = Normal(mean, precision.rsqrt()).log_prob(values["mu_st"]).sum((-1, -2, -3))
    assert_close(drawn.log_q["mu_st"], by_hand, rtol=1e-3, atol=0.02)


def test_subject_logits_begin_at_the_first_order_of_bayes_rule(store, start):
    fit = fit_of(store, start, name="computed")
    batch, encoder = fit.data.batch(), fit.guide.encoder
    with torch.no_grad():
        found = encoder(batch)["pi"]
    location, widening = found.chunk(2, dim=-1)
    assert not widening.any()
    p = torch.softmax(start.frequencies.log(), -1)  # the group's linear map keeps them
    at = Normal(start.profiles.unsqueeze(2), start.kappa)
    x = batch.values["x"]  # (subject, vertex, session, dim)
    evidence = at.log_prob(x.permute(0, 2, 1, 3).unsqueeze(3)).sum((1, -1))
    r = (p.log() + evidence).softmax(-1)
    assert_close(location, (r - p) @ encoder.basis, atol=2e-4, rtol=1e-3)


def test_label_probabilities_are_averages_over_draws_and_do_not_depend_on_order(store, start):
    fit = fit_of(store, start, name="computed")
    stream = LabelStream(fit.guide, fit.data, draws=4, seed=3)
    found = [stream.of(subject) for subject in (4, 1)]
    again = LabelStream(fit.guide, fit.data, draws=4, seed=3).of(1)
    assert_close(again.probabilities, found[1].probabilities, rtol=0.0, atol=0.0)
    assert_close(found[0].probabilities.sum(-1), torch.ones(VERTICES))
    truth = torch.arange(VERTICES) % NETWORKS
    order = torch.stack([start.frequencies[network].argmax() for network in range(NETWORKS)])
    assert (found[0].probabilities.argmax(-1) == order[truth]).all()
    assert stream.group.shape == (VERTICES, NETWORKS)
    assert_close(stream.group.sum(-1), torch.ones(VERTICES))
    # A subject's logits vary around the group's, which makes a frequency less extreme.
    at_group = label_probabilities(stream.shared["eta"]).mean(0)
    assert stream.group.amax(-1).mean() < at_group.amax(-1).mean()
    assert torch.isfinite(stream.shared_elbo).all()


def test_the_elbo_of_the_stream_is_that_of_all_data(store, start):
    fit = fit_of(store, start, name="computed")
    stream = LabelStream(fit.guide, fit.data, draws=64, seed=0)
    parts = torch.stack([stream.of(subject).elbo for subject in range(SUBJECTS)]).sum(0)
    streamed = parts + stream.shared_elbo
    with torch.no_grad():
        whole = torch.stack(
            [-fit.module.objective(fit.guide, fit.data.batch(seed=seed)).loss for seed in range(8)]
        )
    error = (streamed.var() / 64 + whole.double().var() / 8).sqrt()
    assert abs(streamed.mean() - whole.double().mean()) < 4 * error


def test_a_damaged_subject_is_named_before_it_is_used(store, tmp_path):
    shutil.copytree(store.folder, tmp_path / "x")
    with (tmp_path / "x" / "values.npy").open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"\x11\x11")
    damaged, files = open_fingerprints(tmp_path), RunFiles(tmp_path)
    config = ParcellationConfig(networks=NETWORKS, start=StartConfig(passes=1, subjects=1), seed=0)
    with pytest.raises(DamagedStoreError, match=f"x: 1 of 6 parts are damaged, {SUBJECTS - 1}:"):
        reached_start(config, files, damaged)
    assert list(tmp_path.glob("start*")) == []
    assert reached_start(config, files, store).counts.shape == (SUBJECTS, NETWORKS)


def test_fingerprints_by_vertex(store, toy):
    turned = ByVertex(store)
    assert turned.shape == (SUBJECTS, VERTICES, SESSIONS, DIM)
    rows = [np.array([4, 1]), np.array([7, 8, 9, 30])]
    expected = toy[0].half().float().permute(0, 2, 1, 3)[rows[0]][:, rows[1]]
    assert_close(turned.take(rows), expected, rtol=0.0, atol=0.0)


def test_a_store_with_other_axes_is_refused(tmp_path):
    with StoreWriter(tmp_path, shape=(2, 3)) as writer:
        for part in range(2):
            writer.write(part, np.zeros(3))
        writer.finish()
    with pytest.raises(ValueError, match=r"shape \(2, 3\); expected \(subject, session, vertex"):
        open_fingerprints(tmp_path)


def test_networks_are_paired_and_overlaps_measured():
    true = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    fitted = np.array([2, 2, 1, 0, 0, 1, 1, 1])
    true_of = paired(fitted, true, 3)
    assert true_of.tolist() == [1, 2, 0]
    assert dice(true_of[fitted], true, 3).tolist() == pytest.approx([4 / 5, 1.0, 6 / 7])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    config = CohortConfig(subjects=50, vertices=2048, surface=SurfaceChoice.SPHERE)
    generate(config, folder, jobs=1, console=Console(quiet=True))
    return folder


def small(cohort, out, *overrides):
    given = [f"cohort={cohort}", f"out={out}", "train.steps=300", *overrides]
    return load_as(ParcellationConfig, CONFIGS / "small.yaml", given)


@pytest.fixture(scope="module")
def finished(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "small"
    return out, carry_out(prepare(small(cohort, out)))


def quickly(out, **more):
    """Overrides by which a run takes few seconds."""
    given = {"train.steps": 2, "start.passes": 1, "start.subjects": 4, "posterior.draws": 2}
    return [f"out={out}", *(f"{k}={v}" for k, v in (given | more).items())]


def test_a_parcellation_logs_its_end_and_goes_on_as_itself(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    given = [f"cohort={cohort}", *quickly(tmp_path), "logger=wandb", "train.log_every=1"]
    config = load_as(ParcellationConfig, CONFIGS / "small.yaml", given)
    metrics = carry_out(prepare(config))
    (first,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    run_id, held, rows = read(first)
    assert held["encodings"] == {"name": "computed", "hidden": 32}
    assert len(values(rows, "train/elbo")) == 2
    assert_end(rows, metrics, first.parent / "files")

    # As if it had been killed when its fit was done: the fit is not logged again.
    (tmp_path / "metrics.json").unlink()
    (tmp_path / "provenance.json").write_text(
        json.dumps({**RunFolder(tmp_path).provenance, "run_id": "other"})
    )
    again = carry_out(prepare(config))
    (second,) = set(tmp_path.glob("wandb/offline-run-*/*.wandb")) - {first}
    other_id, _, rows = read(second)
    assert other_id == run_id
    assert values(rows, "train/elbo") == []
    assert_end(rows, again, second.parent / "files")


def assert_end(rows, metrics, folder):
    """Numbers and figures of a complete run, once each."""
    single = ("accuracy", "ece", "elbo", "minutes_fit", "minutes_posterior", "peak_rss_gb")
    for name in single:
        assert values(rows, f"final/{name}") == [metrics[name]]
    for network, overlap in enumerate(metrics["dice"]):
        assert values(rows, f"final/dice/{network}") == [overlap]
    steps = {row["trainer/global_step"] for row in rows if "final/elbo" in row}
    assert steps == {metrics["steps"]}
    for name in ("elbo", "group", "subjects", "accuracy", "reliability"):
        key = f"figures/{name}/path"
        (image,) = (row[key] for row in rows if key in row)
        assert (folder / image).is_file()


@pytest.mark.slow
def test_a_cohort_of_fifty_subjects_is_parcellated(finished):
    _, metrics = finished
    assert metrics["label_logits"] == 50 * 2048 * 7
    assert metrics["accuracy"] > max(0.955 * metrics["oracle_accuracy"], metrics["map_accuracy"])
    assert metrics["ece"] < 0.03
    assert min(metrics["dice"]) > 0.95


@pytest.mark.slow
def test_what_a_run_lost_is_made_again_the_same(cohort, finished):
    out, metrics = finished
    labels = np.load(out / "labels" / "values.npy")
    (out / "metrics.json").unlink()
    with StoreWriter(out / "labels", shape=labels.shape) as writer:
        writer.forget([3, 17])
    again = carry_out(prepare(small(cohort, out)))
    assert np.array_equal(np.load(out / "labels" / "values.npy"), labels)
    for name in ("elbo", "accuracy", "ece", "dice"):
        assert again[name] == metrics[name]


@pytest.mark.slow
def test_damaged_files_of_a_run_are_named_and_made_again(cohort, finished, tmp_path, capsys):
    out, metrics = finished
    run = tmp_path / "run"
    shutil.copytree(out, run)
    damaged = [run / f for f in ("metrics.json", "weights.safetensors", "elbo.safetensors")]
    for file in damaged:
        file.write_bytes(b"{" + bytes(range(128, 160)))
    again = [str(CONFIGS / "small.yaml"), f"cohort={cohort}", f"out={run}", "train.steps=300"]
    for file in damaged:
        assert main(again) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"error: {file} is damaged: " in said
        assert "Delete it, and the same command makes it again" in said
        file.unlink()
    (run / "history.json").unlink()
    assert main(again) == 0
    found = json.loads((run / "metrics.json").read_text())
    for value in ("elbo", "accuracy", "ece", "dice"):
        assert found[value] == metrics[value]


def test_seconds_that_were_lost_count_from_there_on(tmp_path):
    files = RunFiles(tmp_path)
    files.add_seconds("train", 2.0)
    files.add_seconds("train", 1.0)
    assert files.seconds == {"start": 0.0, "train": 3.0, "posterior": 0.0}
    (tmp_path / "timings.json").write_text("{")
    with pytest.raises(
        ValueError, match="timings.json is damaged: .* seconds count from there on"
    ):
        files.add_seconds("posterior", 1.0)
    (tmp_path / "timings.json").unlink()
    files.add_seconds("posterior", 1.0)
    assert files.seconds == {"start": 0.0, "train": 0.0, "posterior": 1.0}


@pytest.mark.slow
def test_another_config_is_refused_in_the_folder_of_a_run(cohort, finished):
    with pytest.raises(ValueError, match="holds a run of another config: seed is 0 there and 1"):
        prepare(small(cohort, finished[0], "seed=1"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch={subject: 51, vertex: 256}", "draws 51 of plate 'subject'"),
        ("train.batch={session: 1}", "plate 'session'; plates are"),
        ("networks=5", "simulated with 7 networks, and networks=5"),
        (
            "train.batch={subject: 8, vertex: 250}",
            "250 of plate 'vertex', which must be a multiple of train.blocks, 64",
        ),
        ("cohort=nowhere", "nowhere"),
        ("trainer.shard=vertex", "trainer.shard=vertex: a parcellation is split by subject"),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(cohort, tmp_path, override, message, capsys):
    out = tmp_path / "run"
    given = [str(CONFIGS / "small.yaml"), f"cohort={cohort}", f"out={out}", override]
    assert main(given) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_ranks_that_would_have_too_few_subjects_are_refused(cohort, tmp_path, capsys):
    given = [str(CONFIGS / "small.yaml"), f"cohort={cohort}", f"out={tmp_path / 'run'}"]
    assert main([*given, "trainer.shard=subject", "trainer.devices=7"]) == 2
    said = capsys.readouterr().err
    assert "7 ranks share 50 rows of plate 'subject', so that one has 7, and needs 8" in said
    assert "use at most 6 devices, or draw fewer with train.batch.subject=" in said
    assert main([*given, "trainer.devices=51"]) == 2
    said = capsys.readouterr().err
    assert "trainer.devices: 51 ranks share 50 rows of plate 'subject', so that one has 0" in said
    assert "use at most 50 devices." in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_of_a_parcellation_runs(path, cohort, tmp_path, monkeypatch):
    # They take longer than everything else, and are the same for every config.
    monkeypatch.setattr("experiments.parcellation.run.write_figures", lambda *_: {})
    given = [f"cohort={cohort}", *quickly(tmp_path)]
    config = load_as(ParcellationConfig, path, given)
    metrics = carry_out(prepare(config))
    weights = load_file(tmp_path / "weights.safetensors")
    assert metrics["steps"] == 2
    assert np.isfinite(metrics["elbo"])
    assert metrics["accuracy"] > 3 / config.networks  # three times that of chance
    # The sites that have a row for every vertex, subject or both.
    rows = {name.split(".")[-1]: len(t) for name, t in weights.items() if "_tables" in name}
    free = {name for name, count in rows.items() if count > 1}
    assert free == FREE_ROWS[config.encodings.name]


def test_free_rows_of_the_whole_cohort_fit_a_small_machine():
    """Tables of its full size are allocated, of which nothing is touched."""
    config = load_as(ParcellationConfig, CONFIGS / "full_free.yaml")
    model = build_model(config, sessions=2, dim=64)
    free = config.networks - 1
    guide = PlateAmortizedGuide(
        model,
        {"subject": 1000, "vertex": 59_412},
        encodings=config.encodings.build(),
        flow=AffineFlow(direct=True),
        dependence="none",
    )
    tables = guide.encoder.tables()
    assert tables["pi"].shape == (1000 * 59_412, 2 * free)
    rows = sum(table.nbytes for table in tables.values())
    remembered = sum(4 * len(table) * (3 + 2 * table.shape[1]) for table in tables.values())
    assert rows == pytest.approx(2.9e9, rel=0.02)
    assert remembered == pytest.approx(6.4e9, rel=0.02)
    # What is written to the disk at the end is held twice more.
    assert 3 * rows + remembered < 0.75 * 24e9
    # All rows are drawn, and not only those of the vertices' logits.
    drawn = config.train.steps * config.train.batch["subject"] * config.train.batch["vertex"]
    assert drawn > 2 * len(tables["pi"])
