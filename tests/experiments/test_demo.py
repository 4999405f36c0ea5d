"""The demo: its comparison with NUTS and its figures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments import demo
from experiments.comparison import Comparison
from experiments.course import gap_figure
from experiments.demo import main
from experiments.figures import caterpillar, elbo_curve
from experiments.problems.reference import load_reference


def test_the_comparison_is_in_units_of_nuts():
    row = Comparison(mean=1.5, sd=0.3, nuts_mean=1.0, nuts_sd=0.25)
    assert row.z == pytest.approx(2.0)
    assert row.sd_ratio == pytest.approx(1.2)


@pytest.mark.parametrize(("name", "groups"), [("chem97", 2410), ("insteval", 2972)])
def test_references_are_there(name, groups):
    reference = load_reference(name)
    assert set(reference.globals) > {"mu", "beta", "sigma"}
    assert max(len(mean) for mean, _ in reference.locals.values()) == groups


def test_an_unknown_reference_is_named():
    message = r"no reference posterior for 'chem98'; there are \['chem97', 'gm', 'hv', 'insteval', 'ms_hbm'"
    with pytest.raises(ValueError, match=message):
        load_reference("chem98")


def test_the_caterpillar_counts_what_it_colours():
    mean = np.array([0.0, 2.0, -3.0, 1.0])
    figure = caterpillar(mean, mean - 1.5, mean + 1.5, groups="schools", unit="points")
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:3] == [
        "interval above zero (1)",
        "interval contains zero (2)",
        "interval below zero (1)",
    ]
    assert axes.lines[1].get_ydata().tolist() == [-3.0, 0.0, 1.0, 2.0]


def test_the_elbo_curve_shows_the_distance_to_the_end():
    history = {"steps": [10, 20, 30], "seconds": [1.0, 2.0, 3.0], "elbo": [-100.0, -11.0, -9.0]}
    (axes,) = elbo_curve(history, final=-10.0).axes
    assert axes.lines[0].get_ydata().tolist() == [90.0, 1.0, 1.0]
    assert "30 steps in 3 s" in axes.get_xlabel()


def test_the_gap_is_a_line_across_the_distances_to_the_evidence():
    history = {"steps": [10, 20, 30], "elbo": [-100.0, -11.0, -9.0]}
    (axes,) = gap_figure(history, evidence=-10.0, gap=0.5).axes
    assert axes.lines[0].get_ydata().tolist() == [90.0, 1.0, 1.0]
    assert axes.lines[1].get_ydata() == [0.5, 0.5]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["below", "above", "the fitted guide on all data, below"]


def test_the_demo_prints_a_table_and_draws_its_figures(tmp_path, capsys, monkeypatch):
    def provenance(**given):
        assert not (tmp_path / "chem97").exists(), "the results would make the tree dirty"
        return {"seed": given["seed"]}

    monkeypatch.setattr(demo, "provenance", provenance)
    assert main(["--out", str(tmp_path / "chem97"), "--steps", "2"]) == 0
    assert "tau_school" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "chem97").iterdir()}
    assert names == {"comparison.json", "elbo.png", "model.png", "model.svg", "schools.png"}
    result = json.loads((tmp_path / "chem97" / "comparison.json").read_text())
    assert result["provenance"] == {"seed": 0}
    assert set(result["globals"]) == {"mu", "beta", "tau_lea", "tau_school", "sigma"}


def test_a_mistake_of_the_demo_is_told_before_the_fit(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    assert main(["--out", str(file)]) == 2
    assert "is a file; it must be a folder" in capsys.readouterr().err
    assert main(["--steps", "0"]) == 2
    assert "train.steps must be positive" in capsys.readouterr().err
