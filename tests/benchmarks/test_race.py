"""The race: what has finished is kept, what failed is told, and the page says who was first."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.peers.entrants import CELLS, ENTRANTS, NUTS
from benchmarks.peers.race import Race, main, takes_part
from benchmarks.peers.record import Record, last_line
from benchmarks.peers.tables import page

CELL = {cell.name: cell for cell in CELLS}
ENTRANT = {entrant.slug: entrant for entrant in ENTRANTS}
LINE = {
    "before": 3.0,
    "training": {"0.05": 1.0},
    "seconds": 2.0,
    "made": 9,
    "gap_per_latent": 0.0123,
    "rate": 0.1,
    "draws": 4,
    "steps": 1000,
}
CHAIN = {"before": 3.0, "seconds": 5.0, "draws": 200, "effective_sample_size": 401.0}


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "runs")


def never():
    raise AssertionError("it ran again")


def test_what_has_finished_is_not_run_again(record):
    assert record.obtain("a", ["x", "--steps", "2"], lambda: {"gap": 1.0}) == {"gap": 1.0}
    assert record.obtain("a", ["x", "--steps", "2"], never) == {"gap": 1.0}
    assert record.errors(["a", "b"]) == {}


def test_another_command_is_run(record):
    record.obtain("a", ["x", "--steps", "2"], lambda: {"gap": 1.0})
    assert record.obtain("a", ["x", "--steps", "3"], lambda: {"gap": 2.0}) == {"gap": 2.0}
    assert record.found("a", ["x", "--steps", "2"]) is None


def test_a_failure_is_recorded_and_tried_again(record):
    def fail():
        return last_line(sys.executable, ["-c", "raise ValueError('no such data')"], timeout=60)

    assert record.obtain("a", ["x"], fail) is None
    assert record.errors(["a", "b"]) == {"a": "exit 1: ValueError: no such data"}
    assert record.obtain("a", ["x"], lambda: {"gap": 1.0}) == {"gap": 1.0}
    assert record.errors(["a", "b"]) == {}


def test_a_process_that_hangs_is_killed(record):
    def hang():
        raise subprocess.TimeoutExpired(["x"], 7.0)

    assert record.obtain("a", ["x"], hang) is None
    assert record.errors(["a", "b"]) == {"a": "killed after 7 seconds"}


def test_a_failure_of_another_is_not_told(record):
    record.folder.mkdir()
    (record.folder / "b.json").write_text('{"command": "x", "error": "exit 1: "}')
    assert record.errors(["a"]) == {}


def test_an_unknown_cell_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["race", "--python", "python", "--cells", "hv,gre-7"])
    with pytest.raises(SystemExit):
        main()
    assert "there is no ['gre-7']; cells are ['hv', 'gre-300'," in capsys.readouterr().err


def test_the_last_line_counts():
    code = "print('noise'); print('{\"gap\": 0.5}')"
    assert last_line(sys.executable, ["-c", code], timeout=60) == {"gap": 0.5}


@pytest.fixture
def race(tmp_path, monkeypatch):
    """A race whose processes only say what they were asked."""
    asked = []

    def answer(python, arguments, *, timeout):
        asked.append((python, list(arguments)))
        chosen = {"rate": 0.3, "draws": 4, "steps": 500}
        return {"chosen": chosen, "trials": []} if "--search" in arguments else LINE

    monkeypatch.setattr("benchmarks.peers.race.last_line", answer)
    monkeypatch.setattr("benchmarks.peers.race.subprocess.run", lambda *_, **__: None)
    made = Race("peers/bin/python", tmp_path, tmp_path / "data")
    return made, asked


def test_a_run_uses_what_its_search_found(race):
    made, asked = race
    assert made.run(ENTRANT["pyro_auto"], CELL["gre-300"]) == LINE
    (_, search), (python, run) = asked
    assert "--search" in search
    assert python == "peers/bin/python"
    assert run[:3] == ["-m", "benchmarks.peers.pyro_auto", str(made.data / "gre-300.npz")]
    assert run[3:5] == ["--guide", "auto_normal"]
    assert run[-6:] == ["--rate", "0.3", "--draws", "4", "--steps", "500"]
    made.run(ENTRANT["pyro_auto"], CELL["gre-300"])
    assert len(asked) == 2


def test_the_largest_uses_the_settings_of_the_size_below(race):
    made, asked = race
    made.run(ENTRANT["pavi_e"], CELL["gre-300000"])
    (python, search), (_, run) = asked
    assert python == sys.executable
    assert ("30000" in search, "300000" in run) == (True, True)


def test_no_file_names_a_place_on_this_machine(race, tmp_path):
    made, _ = race
    made.run(ENTRANT["numpyro_auto"], CELL["hv"])
    for path in tmp_path.rglob("*.json"):
        assert json.loads(path.read_text())["command"].startswith("python -m benchmarks.peers.")
        assert str(tmp_path) not in path.read_text()


def test_who_takes_part():
    assert takes_part(NUTS, CELL["gre-3000"])
    assert not takes_part(NUTS, CELL["gre-30000"])
    assert takes_part(ENTRANT["numpyro_by_hand"], CELL["gre-300000"])
    assert not takes_part(ENTRANT["numpyro_by_hand"], CELL["hv"])


def test_the_page_says_what_was_reached():
    trial = LINE | {"rate": 0.03}
    searches = {
        ("PAVI-E", "gre-300"): {
            "chosen": {"rate": 0.1, "draws": 4, "steps": 1000},
            "trials": [trial, LINE],
        }
    }
    found = {
        ("PAVI-E", "gre-300"): LINE,
        ("Pyro AutoNormal", "chem97"): None,
        (NUTS.name, "hv"): CHAIN | {"divergences": 0, "reached": True},
        (NUTS.name, "chem97"): CHAIN | {"divergences": 2, "reached": False},
    }
    lines = page(found, searches).splitlines()
    assert "| gre | 300 | PAVI-E | 4.00 | 1.00 | – | – | 0.012 | 0.1 | 4 | 1000 |" in lines
    assert "| chem97 |  | Pyro AutoNormal | – | – | – | – | – |  |  |  |" in lines
    assert "| hv |  | 8.00 | 5.00 | 200 | 401 | 0 |" in lines
    assert "| chem97 |  | – | – | 200 | 401 | 2 |" in lines
    assert "| gre | 300 | PAVI-E | 0.1 | 4 | 1000 | 1.00 | – | 0.012 | yes |" in lines
    assert "| gre | 300 | PAVI-E | 0.03 | 4 | 1000 | 1.00 | – | 0.012 |  |" in lines
