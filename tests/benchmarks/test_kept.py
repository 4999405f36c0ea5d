"""The benchmarks that are kept: which are run again, and what becomes of their lines."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import __main__ as module
from benchmarks.__main__ import KEPT, chosen, main, read


def test_what_is_kept_is_a_line_of_json_for_each_command():
    for command, line in read(KEPT).items():
        assert isinstance(json.loads(line), dict), command


def test_every_kept_command_is_one_that_there_is():
    for command in read(KEPT):
        name, *rest = command.split()
        spec = find_spec(f"benchmarks.{name}")
        assert spec is not None, command
        assert spec.origin is not None
        folder = spec.submodule_search_locations
        source = Path(folder[0], "__main__.py") if folder else Path(spec.origin)
        options = [word for word in rest if word.startswith("--")]
        assert [o for o in options if f'"{o}"' not in source.read_text()] == [], command


def test_commands_are_chosen_by_whole_words_and_once():
    kept = ["gre", "gre --seeds 5", "greater", "scale"]
    assert chosen(kept, ["gre"]) == ["gre", "gre --seeds 5"]
    assert chosen(kept, ["scale", "all"]) == ["scale", "gre", "gre --seeds 5", "greater"]
    with pytest.raises(
        ValueError, match=r"no kept benchmark begins with 'mixed'; there are\n  gre"
    ):
        chosen(kept, ["mixed"])


def test_a_benchmark_that_fails_keeps_its_line_and_the_next_is_run(tmp_path, monkeypatch, capsys):
    kept = tmp_path / "kept.txt"
    kept.write_text('## nothing_of_this_name\n{"a": 1}\n## evidence\n{"b": 2}\n')
    monkeypatch.setattr(module, "KEPT", kept)
    monkeypatch.setattr("sys.argv", ["benchmarks", "all"])
    assert main() == 1
    said = capsys.readouterr().err
    assert "nothing_of_this_name failed (exit code 1)" in said
    assert "the following arguments are required: problem" in said
    assert read(kept) == {"nothing_of_this_name": '{"a": 1}', "evidence": '{"b": 2}'}


def test_what_a_benchmark_prints_last_is_kept(tmp_path, monkeypatch, capsys):
    kept = tmp_path / "kept.txt"
    kept.write_text('## first\n{"a": 1}\n')
    monkeypatch.setattr(module, "KEPT", kept)
    monkeypatch.setattr(module, "printed_by", lambda command: json.dumps({"of": command}))
    monkeypatch.setattr("sys.argv", ["benchmarks", "first", "--add", "second --seeds 3"])
    assert main() == 0
    assert read(kept) == {
        "first": '{"of": "first"}',
        "second --seeds 3": '{"of": "second --seeds 3"}',
    }
