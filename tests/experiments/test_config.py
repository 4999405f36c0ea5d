"""Reading configs: what is filled in, and what a mistake is told."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
from config_files import AFFINE, ALL, CONFIGS, ROOT, STUDIES

from experiments.choices import GuideName
from experiments.config_file import dump, load
from experiments.extras import NEEDED
from experiments.run import carry_out, prepare
from pavi import NSFFlow


def seed_of(path):
    """What a study adds to the config of a method, which has no seed of its own."""
    return ["seed=0"] if path.is_relative_to(STUDIES) else []


def test_defaults_are_filled_in():
    config = load(ROOT / "configs" / "gre" / "pavi_f.yaml", ["train.steps=500"])
    assert config.problem.scales == [0.5, 0.5, 0.1]
    assert config.problem.seed == 0
    assert config.train.batch == {"group": 20}
    assert config.train.checkpoint_every == 50
    assert config.guide.flow.bins is None
    assert config.out == "runs/pavi_f-0"


def test_fields_of_a_choice_get_the_defaults_of_that_choice():
    config = load(AFFINE, ["guide.flow.name=nsf", "guide.flow.bins=5"])
    assert config.guide.flow.bins == 5
    assert config.guide.flow.hidden == [32, 32]


def test_a_flow_is_built_as_configured():
    config = load(AFFINE, ["guide.flow={name: nsf, hidden: [8], bins: 4}"])
    assert config.guide.flow.build() == NSFFlow(hidden=(8,), bins=4)


@pytest.mark.parametrize(
    ("override", "batch"),
    [
        ("train.batch=null", None),
        ("train.batch={}", {}),
        ("train.batch={obs: 2}", {"obs": 2}),
        ("train.batch.obs=2", {"group": 4, "obs": 2}),
    ],
)
def test_a_batch_is_replaced_as_a_whole_or_added_to(override, batch):
    assert load(AFFINE, [override]).train.batch == batch


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_resolved_config_reads_back_as_itself(path, tmp_path):
    config = load(path, seed_of(path))
    file = tmp_path / "config.yaml"
    file.write_text(dump(config))
    assert load(file) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "train.stepz=3",
            "override 'train.stepz=3': unknown key 'train.stepz'; keys of 'train' are "
            "['steps', 'draws', .* Did you mean 'steps'?",
        ),
        ("sed=3", "unknown key 'sed'; keys are ['problem', .*'seed', .*Did you mean 'seed'?"),
        ("guide.flow.nme=maf", "unknown key 'guide.flow.nme'; keys of 'guide.flow' are"),
        ("train.steps=many", "train.steps: Value 'many' of type 'str' could not be converted"),
        ("train.steps=32.5", "train.steps: Value '32.5' of type 'float' could not be converted"),
        ("train.batch.group=x", "train.batch.group: Value 'x' of type 'str' could not be"),
        ("train.gradient=score", "Invalid value 'score'; choices are ['path', 'reparam']"),
        (
            "problem.name=gree",
            "choices are ['gre', 'nc', 'gm', 'hv', 'ms_hbm', 'chem97', 'insteval']",
        ),
        ("logger=mlflow", "choices are ['csv', 'tensorboard', 'wandb']"),
        ("train=3", "train is a section, not a value; its keys are ['steps', 'draws'"),
        ("train.steps=0", "train.steps must be positive and finite, got 0"),
        ("train.learning_rate=nan", "train.learning_rate must be positive and finite, got nan"),
        ("problem.scales=[1, 1]", "problem.scales must be three numbers, got [1.0, 1.0]"),
        ("problem.scales=[1, 1, 0]", "problem.scales must be positive and finite"),
        ("seed=-1", "seed must not be negative, got -1"),
        ("seed=${nothing}", "seed: Interpolation key 'nothing' not found"),
        ("eval_draws=1", "eval_draws must be at least 2 for a standard error, got 1"),
        ("guide.flow.bins=4", "guide.flow.bins=4 means nothing to guide.flow.name=affine"),
        ("problem.name=chem97", "problem.groups=12 means nothing to problem.name=chem97"),
        ("train.steps", "override 'train.steps' must be of the form key=value"),
        ("train.batch={a: ", "override 'train.batch={a: ' cannot be read"),
    ],
)
def test_a_mistake_is_named(override, message):
    pattern = re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(ValueError, match=pattern):
        load(AFFINE, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {stepz: 3}\nseed: 0", "config.yaml: unknown key 'train.stepz'"),
        ("train: {steps: 3}", "required keys are unset: seed"),
        ("- 3", "must be a mapping of keys to values, got a list"),
        ("seed: [", "is not valid YAML"),
        ("seed: 0\nseed: 1", "is not valid YAML"),
    ],
)
def test_a_mistake_in_a_file_is_named(text, message, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        load(file)


def test_a_missing_file_lists_those_beside_it():
    with pytest.raises(
        ValueError, match=r"pavi_g.yaml does not exist; did you mean .*pavi_f.yaml"
    ):
        load(ROOT / "configs" / "gre" / "pavi_g.yaml")


@pytest.mark.parametrize("name", [name for name in GuideName if name is not GuideName.PAVI])
def test_a_baseline_is_a_switch(name, tmp_path):
    overrides = [f"guide.name={name}", "problem.groups=4", "problem.obs=3", "train.batch={}"]
    overrides += ["train.steps=2", "eval_draws=4", f"out={tmp_path / 'run'}"]
    config = load(ROOT / "configs" / "gre" / "pavi_f.yaml", overrides)
    metrics = carry_out(prepare(config))
    assert metrics["bound"] in ("ELBO", "augmented ELBO", "SIVI bound")
    (tmp_path / "again.yaml").write_text(dump(config))
    assert load(tmp_path / "again.yaml") == config


@pytest.mark.parametrize("name", ["nc", "gm", "hv", "ms_hbm"])
def test_a_model_is_a_switch(name, tmp_path):
    overrides = [f"problem={{name: {name}}}", "train.batch={}", "importance_draws=40"]
    overrides += ["train.steps=2", "eval_draws=4", f"out={tmp_path / 'run'}"]
    metrics = carry_out(prepare(load(ROOT / "configs" / "gre" / "pavi_f.yaml", overrides)))
    assert metrics["importance_bound"] >= metrics["elbo"] - 5 * metrics["standard_error"]
    assert ("gap" in metrics) == (name == "nc")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("guide={name: asvi, encodings: {name: deep_set}}", "guide.encodings means nothing to"),
        ("guide={name: uivi, full: true}", "guide.full=True means nothing to guide.name=uivi"),
        ("problem={name: hv, components: 2}", "problem.components=2 means nothing to"),
        ("importance_draws=30", "importance_draws must be a multiple of 20, got 30"),
        ("course=-1", "course must not be negative"),
    ],
)
def test_what_a_choice_does_not_use_is_refused(override, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        load(ROOT / "configs" / "gre" / "pavi_f.yaml", [override])


def test_a_course_needs_the_exact_posterior():
    with pytest.raises(ValueError, match=r"course=3 needs the exact posterior, which only"):
        load(ROOT / "configs" / "gre" / "pavi_f.yaml", ["problem={name: hv}", "course=3"])


def test_a_section_is_no_value():
    message = "guide.flow is a section, not a value; its keys are ['name', 'transforms', 'hidden'"
    with pytest.raises(ValueError, match=re.escape(message)):
        load(AFFINE, ["guide.flow=maf"])


@pytest.mark.parametrize("name", ["uivi", "cascading_flows"])
def test_a_batch_that_a_guide_cannot_take_is_told_before_the_run(name, tmp_path):
    out = tmp_path / "run"
    overrides = [f"guide={{name: {name}}}", "train.batch={obs: 2}", f"out={out}"]
    with pytest.raises(ValueError, match="batch"):
        prepare(load(ROOT / "configs" / "gre" / "pavi_f.yaml", overrides))
    assert not out.exists()


def test_a_config_that_is_not_there_is_told_with_those_of_all_levels(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match="does not exist") as told:
        load("gre/pavi_f.yaml")
    said = str(told.value)
    assert said.startswith(
        "config gre/pavi_f.yaml does not exist; did you mean configs/gre/pavi_f.y"
    )
    for path in ALL:
        shown = path.relative_to(ROOT)
        listed = re.search(rf"^  in {shown.parent}: .*\b{shown.name}", said, re.MULTILINE)
        # Methods of studies and files for W&B agents are given to no command of ours.
        assert bool(listed) != bool({"reproduce", "wandb"} & set(path.parts)), shown


@pytest.mark.parametrize("program", ["run", "sweep", "reproduce", "demo", "hcp_like"])
def test_a_program_without_its_packages_says_what_to_install(program, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['omegaconf'] = None\n")
    path = f"{tmp_path}:{ROOT}"
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{program}", "--help"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: the programs of experiments need omegaconf, which pavi itself does not: "
        "pip install 'pavi-torch[experiments]', or make install.\n"
    )
    # Parts of it are of use without: only a program asks.
    code = "import experiments.tables"
    command = [sys.executable, "-c", code]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=True)


def test_packages_that_programs_need_are_the_extra():
    """All that is imported at the top of a file and that pavi itself does not bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {"yaml", *project["optional-dependencies"]["experiments"]}  # OmegaConf brings yaml
    assert set(NEEDED) <= extra
    found = set()
    for file in (ROOT / "experiments").rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.partition(".")[0])
    assert found & extra == set(NEEDED)
