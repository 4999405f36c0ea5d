"""The commands: what they write, what they refuse, and their exit codes."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

import pavi
from pavi.cli import names
from pavi.cli.fit_folder import FitFolder
from pavi.cli.fit_options import ENCODINGS, FLOWS
from pavi.cli.help import MODEL
from pavi.cli.main import main
from pavi.cli.model_file import ModelFile
from pavi.cli.remedies import CommandRemedies
from pavi.diagnostics import DRAWS, INNER, affordable_draws

FIT = ("fit", "model.py:schools", "data.csv", "--quiet", "--out")


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))


def stored_posterior(folder: Path) -> pavi.Posterior:
    model = ModelFile.from_reference(f"{folder / 'model.py'}:schools").model
    return pavi.Posterior.load(folder / "fit" / "posterior", model)


def test_a_fit_remembers_where_it_comes_from(stored, fitted):
    card = json.loads(Path("fit/fit.json").read_text())
    assert card["model"]["file"] == str(stored / "model.py")
    assert card["data"]["path"] == str(stored / "data.csv")
    assert card["options"] == {
        "encodings": "free",
        "flow": "affine",
        "batch": "default",
        "rates": "default",
        "steps": 30,
        "seed": 0,
    }
    assert card["command"][:2] == ["pavi", "fit"]
    assert Path("fit/model.py").read_text() == MODEL


def test_the_fit_is_that_of_python(stored):
    model = ModelFile.from_reference(f"{stored / 'model.py'}:schools").model
    import pandas as pd

    data = pavi.PlateData.from_frame(pd.read_csv(stored / "data.csv"), model)
    expected = pavi.fit(model, data, steps=30, progress=False).sample("b", draws=5)
    assert torch.equal(stored_posterior(stored).sample("b", draws=5), expected)


@pytest.mark.parametrize("name", ["deep-set", "set-transformer", "hybrid"])
def test_encodings_by_name(folder, name):
    assert main([*FIT, "fit", "--steps", "1", "--encodings", name]) == 0
    card = json.loads(Path("fit/posterior/posterior.json").read_text())
    kind = name.title().replace("-", "") + "Encodings"
    assert card["guide"]["encodings"]["kind"] == kind


def test_flows_batches_and_rates_are_those_of_python(folder):
    options = ["--flow", "maf", "--flow", "tau=nsf", "--batch", "school=2", "--batch", "pupil=3"]
    rates = ["--learning-rate", "0.01", "--table-rate", "0.02"]
    assert main([*FIT, "fit", "--steps", "4", *options, *rates]) == 0
    model = ModelFile.from_reference("model.py:schools").model
    import pandas as pd

    data = pavi.PlateData.from_frame(pd.read_csv("data.csv"), model)
    expected = pavi.fit(
        model,
        data,
        flow=pavi.MAFFlow(),
        flows={"tau": pavi.NSFFlow()},
        batch={"school": 2, "pupil": 3},
        optimization=pavi.Optimization(learning_rate=0.01, table_rate=0.02),
        steps=4,
        progress=False,
    )
    found = stored_posterior(folder)
    assert torch.equal(found.sample("b", draws=5), expected.sample("b", draws=5))
    card = json.loads(Path("fit/fit.json").read_text())
    assert card["options"]["flow"] == "maf, tau=nsf"
    assert card["options"]["batch"] == "school=2, pupil=3"
    assert card["options"]["rates"] == "learning rate 0.01, table rate 0.02"


def test_names_of_the_command_line_are_those_of_pavi():
    assert list(ENCODINGS) == list(names.ENCODINGS)
    for name in names.FLOWS:
        assert type(FLOWS[name]()).__name__.lower() == f"{name}flow"
    assert (names.CHECK_DRAWS, names.CHECK_INNER) == (DRAWS, INNER)


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_fit_ends_with_the_verdict_of_a_check(folder, capsys):
    """Thirty steps are too few, which is said in the options of the command line."""
    command = [each for each in FIT if each != "--quiet"]
    assert main([*command, "fit", "--steps", "300"]) == 0
    said = words(capsys.readouterr().out)
    folder = FitFolder.open(Path("fit"))
    posterior = folder.posterior(data=folder.data())
    found = replace(posterior.check(), remedies=CommandRemedies())
    assert "Judged by 1,000 draws." in found.verdict
    told = " ".join([found.verdict, *(f"- {line}" for line in found.advice)])
    assert f"{told} The fit is in fit. Next: pavi report fit" in said
    assert f"ELBO {posterior.elbo().mean:,.1f} nats" in said
    assert main(["check", "fit"]) == 0
    assert words(capsys.readouterr().out) == words(printed(found))


def printed(found: pavi.diagnostics.Diagnosis) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(found)
    return capture.get()


@pytest.mark.parametrize(
    ("most", "message"),
    [
        (302, "Judged by 300 draws. .*By 1,000 draws, which take longer: pavi check fit "),
        (3, r"ELBO -\S+ nats, .* Not judged yet, which .* of this size: pavi check fit "),
    ],
)
def test_where_a_check_would_take_long_a_fit_takes_fewer_draws(
    folder, capsys, monkeypatch, most, message
):
    def affordable(guide, data):
        # Four inner draws of the schools for each of the globals.
        work = 4.0 * most * max(data.numbers().values())
        return affordable_draws(guide, data, work=work)

    monkeypatch.setattr("pavi.cli.commands.fit.affordable_draws", affordable)
    command = [each for each in FIT if each != "--quiet"]
    assert main([*command, "fit", "--steps", "2"]) == 0
    assert re.search(message, words(capsys.readouterr().out))


def test_the_report_speaks_of_the_same_options_and_agrees(fitted):
    folder = FitFolder.open(Path("fit"))
    posterior = folder.posterior(data=folder.data())
    found = replace(posterior.check(), remedies=CommandRemedies())
    assert not found.trusted  # after thirty steps
    assert any("--flow" in line for line in found.advice)
    assert main(["report", "fit", "--draws", "20", "--quiet"]) == 0
    text = html.unescape(Path("fit/report.html").read_text())
    for line in (found.verdict, *found.advice):
        assert line in text
    assert "pavi." not in text.partition("Diagnostics</h2>")[2].partition("Provenance</h2>")[
        0
    ].replace("in Python, warm_up=pavi.WarmUp((pavi.objectives.MAP(until=0.1),))", "")


def test_draws_of_groups_have_their_labels(fitted):
    assert main(["sample", "fit", "--site", "b", "--draws", "7", "--out", "d.csv"]) == 0
    found = rows("d.csv")
    draws = stored_posterior(fitted).sample("b", draws=7)
    names = ["Hill, side", "Park", "St Mary"]
    assert [(int(row["draw"]), row["school"]) for row in found] == [
        (draw, name) for draw in range(7) for name in names
    ]
    written = torch.tensor([float(row["b"]) for row in found]).reshape(7, 3)
    assert torch.equal(written, draws)  # nine digits give back single precision


def test_draws_of_globals_stand_side_by_side(fitted):
    arguments = ["--site", "mu", "--site", "tau", "--draws", "4", "--out", "d.csv", "--quiet"]
    assert main(["sample", "fit", *arguments]) == 0
    draws = stored_posterior(fitted).sample("mu", "tau", draws=4)
    found = rows("d.csv")
    assert list(found[0]) == ["draw", "mu", "tau"]
    for site in ("mu", "tau"):
        assert torch.equal(torch.tensor([float(row[site]) for row in found]), draws[site])


def test_a_summary_is_printed_or_written(fitted, capsys):
    assert main(["summary", "fit", "--site", "b"]) == 0
    assert "b[school Hill, side]" in capsys.readouterr().out
    assert main(["summary", "fit", "--out", "s.csv"]) == 0
    summary = stored_posterior(fitted).summary()
    found = {row["variable"]: row for row in rows("s.csv")}
    assert list(found) == ["mu", "beta", "tau", "sigma"] + [
        f"b[school {name}]" for name in ("Hill, side", "Park", "St Mary")
    ]
    assert float(found["tau"]["95%"]) == pytest.approx(
        float(summary.quantiles["tau"][2]), rel=1e-8
    )


def test_describe_counts_the_rows_of_data(folder, capsys):
    assert main(["describe", "model.py:schools"]) == 0
    assert "Rows:" not in capsys.readouterr().out
    command = ["describe", "model.py:schools", "data.csv", "--diagram", "m.svg"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "data.csv fits the model. Rows: 3 of school, 24 of pupil." in said
    assert Path("m.svg").stat().st_size > 1000


def test_a_report_with_a_bar_says_no_more_in_a_pipe(fitted, capsys):
    capsys.readouterr()
    assert main(["report", "fit", "--draws", "20", "--no-check"]) == 0
    assert capsys.readouterr().out == "The report is fit/report.html\n"


def test_a_report_says_where_the_fit_comes_from(fitted, stored):
    assert main(["report", "fit", "--draws", "50", "--quiet"]) == 0
    html = Path("fit/report.html").read_text()
    assert f"{stored / 'model.py'}:schools" in html
    assert "Posterior of schools" in html
    # Once more: the report of the folder is replaced, another file is not.
    assert main(["report", "fit", "--draws", "50", "--quiet", "--title", "Again"]) == 0
    assert "<h1>Again</h1>" in Path("fit/report.html").read_text()


def test_a_changed_model_is_told_and_the_copy_is_used(folder, capsys):
    assert main([*FIT, "fit", "--steps", "1"]) == 0
    Path("model.py").write_text(MODEL.replace('"tau"', '"spread"').replace("tau", "spread"))
    capsys.readouterr()
    assert main(["summary", "fit", "--site", "tau"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"note: /.*/model.py has changed since this fit, which goes on with", said)
    Path("model.py").unlink()
    assert main(["summary", "fit", "--site", "tau"]) == 0
    assert "note" not in capsys.readouterr().err


def test_data_that_moved_are_found_again(folder, told):
    assert main([*FIT, "fit", "--steps", "1"]) == 0
    Path("data.csv").rename("elsewhere.csv")
    said = told("report", "fit", "--quiet")
    assert re.search(r"the data of this fit are no longer in /.*data.csv; say where with", said)
    arguments = ["report", "fit", "--quiet", "--draws", "20", "--data"]
    assert main([*arguments, "elsewhere.csv"]) == 0
    Path("elsewhere.csv").write_text("school,gcse,score\na,1,2\n")
    said = told(*arguments, "elsewhere.csv")
    assert "elsewhere.csv is not the file of this fit: its content differs" in said


def test_an_old_fit_is_replaced_on_request_only(fitted, told):
    Path("fit/report.html").write_text("old")
    said = told(*FIT, "fit", "--steps", "1")
    assert "fit holds a fit already; choose another folder with --out, or replace" in said
    assert Path("fit/report.html").exists()
    assert main([*FIT, "fit", "--steps", "1", "--overwrite"]) == 0
    assert not Path("fit/report.html").exists()
    assert sorted(path.name for path in Path().iterdir()) == ["data.csv", "fit", "model.py"]


def test_a_folder_that_is_no_fit_is_never_replaced(folder, told):
    Path("mine").mkdir()
    Path("mine/thesis.tex").touch()
    said = told(*FIT, "mine", "--overwrite")
    assert "mine exists and is no fit; choose another folder with --out" in said
    said = told(*FIT, "data.csv", "--overwrite")
    assert "data.csv is a file; choose another folder" in said
    assert "data.csv is a file; choose another folder" in told(*FIT, "data.csv/fit")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("fit absent.py:m data.csv --out new", r"there is no file absent.py"),
        ("fit model.py:m data.csv --out new", r"defines no 'm'; its models are \['schools'\]"),
        ("fit model.py:schools absent.csv --out new", r"there is no file absent.csv"),
        ("fit model.py:schools model.py --out new", r"model.py "),
        ("fit model.py:schools data.csv --out new --steps 0", r"steps must be positive, got 0"),
        ("fit model.py:schools data.csv --out new --seed -1", r"seed must be at least 0"),
        (
            "fit model.py:schools data.csv --out new --flow tau=spline",
            r"--flow tau=spline: there is no flow 'spline'; flows are \['affine', 'maf', .* --flow",
        ),
        (
            "fit model.py:schools data.csv --out new --flow c=nsf",
            r"--flow c=nsf: 'c' is not a latent site; these are \['mu', 'beta', .*'b'\]",
        ),
        ("fit model.py:schools data.csv --out new --flow nsf --flow maf", r"had a flow already"),
        (
            "fit model.py:schools data.csv --out new --batch school",
            r"--batch school: expected PLATE=ROWS with .* as school=20; plates are \['school', 'pu",
        ),
        ("fit model.py:schools data.csv --out new --batch school=0", r"positive number of rows"),
        (
            "fit model.py:schools data.csv --out new --batch class=3",
            r"--batch class=3: 'class' is not a plate; plates are \['school', 'pupil'\]",
        ),
        ("fit model.py:schools data.csv --out new --batch school=9", r"between 1 and its 3 rows"),
        (
            "fit model.py:schools data.csv --out new --batch school=1 --batch school=2",
            r"--batch school=2: school had a number of rows already",
        ),
        (
            "fit model.py:schools data.csv --out new --learning-rate -1",
            r"--learning-rate must be positive and finite, got -1",
        ),
        ("check fit --draws 7", r"draws must be a multiple of 5 and at least 200, got 7"),
        ("check fit --inner 3", r"inner must be an even integer of at least 4, got 3"),
        (
            "fit model.py:schools data.csv --out new --separator ;;",
            r"--separator is one character",
        ),
        ("fit model.py:schools data.csv --out new --decimal x", r"--decimal is '.' or ','"),
        ("fit model.py:schools data.csv --out new --decimal ,", r"are both ','; they must differ"),
        ("describe model.py", r"FILE:NAME; write model.py:schools"),
        ("describe model.py:schools --diagram m.xyz", r"cannot save a diagram as 'm.xyz'"),
        ("summary absent", r"there is no folder absent in /.*; `pavi fit` makes one"),
        ("summary .", r"\. is no fit: it has no fit.json"),
        ("summary fit/posterior", r"It was written by Posterior.save: read it in Python with"),
        ("summary fit --site c", r"'c' is not a latent site; these are \['mu', .*'b'\]"),
        ("summary fit --draws 1", r"draws must be an integer of at least 2, got 1"),
        ("summary fit --out data.csv", r"--out data.csv exists; name another .* --overwrite"),
        ("summary fit --out no/s.csv", r"--out no/s.csv: there is no folder /.*/no"),
        ("summary fit --out fit", r"--out fit is a folder; name a file"),
        ("sample fit --site c --out d.csv", r"'c' is not a latent site"),
        (
            "sample fit --site mu --site b --out d.csv",
            r"got mu on none, b on school. Write a file",
        ),
        ("sample fit --site b --draws 0 --out d.csv", r"draws must be an integer of at least 1"),
        ("report fit --out report.pdf", r"a report is an HTML file; 'report.pdf' must end in"),
    ],
)
def test_a_mistake_is_one_line_and_code_two(fitted, told, command, message):
    assert re.search(message, told(*command.split()))
    assert not Path("new").exists()
    assert not Path("d.csv").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda: Path("fit/fit.json").write_text("{"), r"fit is damaged: fit.json or model.py: "),
        (lambda: Path("fit/fit.json").write_text("{}"), r"damaged: .*: it lacks \['format', "),
        (lambda: Path("fit/model.py").unlink(), r"fit is damaged: .*No such file"),
        (
            lambda: Path("fit/model.py").write_text("x = 1\n"),
            r"fit/model.py was changed after the",
        ),
        (lambda: shutil.rmtree("fit/posterior"), r"fit/posterior is not a saved posterior"),
    ],
)
def test_a_damaged_fit_is_told(fitted, told, damage, message):
    damage()
    assert re.search(message, told("summary", "fit"))


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        ("raise KeyboardInterrupt", 130, "interrupted. Nothing was kept;"),
        ("return Normal(mu * float('nan'), 1.0, validate_args=False)", 1, "error: step "),
    ],
)
def test_a_fit_that_stops_leaves_nothing(folder, capsys, failure, code, message):
    """The likelihood goes wrong in the course of the fit, on its way through Lightning."""
    Path("model.py").write_text(
        "from pavi import HierarchicalModel, Latent, Observed, Plate\n"
        "from torch.distributions import Normal\n"
        "calls = []\n"
        "def likelihood(mu):\n"
        "    calls.append(1)\n"
        f"    if len(calls) > 20:\n        {failure}\n"
        "    return Normal(mu, 1.0)\n"
        "m = HierarchicalModel([Plate('pupil')], {\n"
        "    'mu': Latent(lambda: Normal(0.0, 1.0)),\n"
        "    'score': Observed(likelihood, 'pupil'),\n"
        "})\n"
    )
    assert main(["fit", "model.py:m", "data.csv", "--out", "new", "--quiet"]) == code
    assert capsys.readouterr().err.startswith(message)
    assert sorted(path.name for path in Path().iterdir()) == ["data.csv", "model.py"]


ENDED = """
import os, pathlib, signal
from pavi import HierarchicalModel, Latent, Observed, Plate
from torch.distributions import Normal
calls = []
def likelihood(mu):
    calls.append(1)
    if len(calls) == 20 and pathlib.Path("end").exists():
        os.kill(os.getpid(), signal.SIGTERM)
    return Normal(mu, 1.0)
m = HierarchicalModel([Plate("pupil")], {
    "mu": Latent(lambda: Normal(0.0, 1.0)),
    "score": Observed(likelihood, "pupil"),
})
"""


def test_a_fit_that_is_ended_goes_on_with_the_same_command(folder, capsys):
    Path("model.py").write_text(ENDED)

    def fit(out, *others):
        command = ["fit", "model.py:m", "data.csv", "--out", out, "--quiet", "--steps", "40"]
        return main([*command, *others])

    def said():
        return capsys.readouterr().err

    assert fit("calm") == 0
    Path("end").touch()
    assert fit("new") == 75
    # The step depends on how often the likelihood was asked before the first one.
    stopped = re.search(
        r"after step (\d+)\. .*step=(\d+)\.ckpt; .*\nThe same command goes", said()
    )
    assert stopped is not None
    assert stopped[1] == stopped[2]
    assert 0 < int(stopped[1]) < 40
    Path("end").unlink()
    assert fit("new", "--seed", "1") == 2
    assert "new.checkpoints is of a fit that did not finish, and another one: seed is 0" in said()
    Path("calm.checkpoints").mkdir()
    assert fit("calm", "--overwrite") == 2
    assert "calm.checkpoints, where the checkpoints of this fit would be, is none of" in said()
    assert fit("new") == 0
    left, right = (Path(out, "posterior", "weights.safetensors") for out in ("calm", "new"))
    assert left.read_bytes() == right.read_bytes()
    assert not Path("new.checkpoints").exists()


def test_help_teaches_by_an_example_that_runs(folder, capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    shown = capsys.readouterr().out
    start = shown.index("    from pavi import")
    block = shown[start : shown.index("  Data are a CSV file")]
    Path("shown.py").write_text("".join(line[4:] or "\n" for line in block.splitlines(True)))
    sample = shown[shown.index("    school,gcse,score") : shown.index("  Then:")]
    Path("shown.csv").write_text("".join(line.strip() + "\n" for line in sample.splitlines()))
    assert main(["describe", "shown.py:schools", "shown.csv"]) == 0
    commands = re.findall(r"^    (pavi .*?)(?:   .*)?$", shown, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        name = command.split()[1]
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert f"pavi {name} " in capsys.readouterr().out.partition("example:")[2]


@pytest.mark.parametrize(
    "arguments", [["fit"], ["fly"], ["fit", "a", "b", "--out", "c", "--steps", "x"]]
)
def test_arguments_that_cannot_be_parsed_have_code_two(arguments, capsys):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    assert "pavi fit model.py:schools data.csv --out fit" in capsys.readouterr().out


def test_the_program_ends_with_the_code_and_no_traceback(folder):
    done = subprocess.run(
        [sys.executable, "-m", "pavi", "describe", "absent.py:m"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: there is no file absent.py in {Path.cwd()}.\n"
