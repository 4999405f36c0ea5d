"""Files and folders that are there as a whole or not at all, and disks that are full."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple

import pytest

import pavi
from pavi.files import (
    DiskFullError,
    check_space,
    check_writable,
    remove_unfinished,
    whole_file,
    whole_folder,
    write_text,
)

Usage = namedtuple("Usage", "total used free")
# Writes something at argv[2] by the manager named argv[1], and is killed in the midst of it.
# Importing all of pavi would take seconds.
WRITER = f"""
import pathlib, sys, time, types
sys.modules["pavi"] = types.ModuleType("pavi")
sys.modules["pavi"].__path__ = {pavi.__path__!r}
import pavi.files
with getattr(pavi.files, sys.argv[1])(pathlib.Path(sys.argv[2])) as place:
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_takes_its_place_when_it_is_written(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as stream:
        stream.write("one\r\n")
        assert not path.exists()
    assert path.read_bytes() == b"one\r\n"
    with whole_file(path, binary=True) as stream:
        stream.write(b"two")
        assert path.read_bytes() == b"one\r\n"
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["a.txt"]


def test_a_folder_takes_its_place_when_it_is_written(tmp_path):
    path = tmp_path / "new" / "folder"
    for text in ("one", "two"):
        with whole_folder(path) as fresh:
            (fresh / "inner").mkdir()
            (fresh / "inner" / text).touch()
        assert names(path / "inner") == [text]
        assert names(path.parent) == ["folder"]


def test_where_folders_cannot_be_exchanged_they_are_moved(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["pavi.files.whole_folder"], "_exchanged", lambda *_: False)
    test_a_folder_takes_its_place_when_it_is_written(tmp_path)
    replace, path = os.replace, tmp_path / "new" / "folder"

    def fails_once(source, target):
        if target == path and not str(source).endswith(".old"):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_once)
    with pytest.raises(OSError, match="Input/output error"), whole_folder(path):
        pass
    assert names(path / "inner") == ["two"]
    assert names(path.parent) == ["folder"]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_what_was_there_stays_when_writing_fails(stop, tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with whole_folder(tmp_path / "b") as fresh:
        (fresh / "old").touch()
    with pytest.raises(stop), whole_file(tmp_path / "a.txt"):
        raise stop
    with pytest.raises(stop), whole_folder(tmp_path / "b"):
        raise stop
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path / "b") == ["old"]
    assert names(tmp_path) == ["a.txt", "b"]


@pytest.mark.parametrize("kind", ["whole_file", "whole_folder"])
def test_what_a_killed_process_left_is_removed_and_what_is_being_written_is_not(kind, tmp_path):
    path = tmp_path / "target"
    command = [sys.executable, "-c", WRITER, kind, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        (unfinished,) = tmp_path.iterdir()
        remove_unfinished(tmp_path)
        assert list(tmp_path.iterdir()) == [unfinished]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(tmp_path.iterdir()) == [unfinished]
    remove_unfinished(tmp_path, "another")
    assert list(tmp_path.iterdir()) == [unfinished]
    write_text(path, "next")
    assert names(tmp_path) == ["target"]


def test_only_what_was_left_unfinished_is_removed(tmp_path):
    mine = [".bashrc", ".target.part", "target.01234567.part", ".target.0123456.part"]
    for name in mine:
        (tmp_path / name).touch()
    (tmp_path / ".target.01234567.part").touch()
    remove_unfinished(tmp_path)
    assert names(tmp_path) == sorted(mine)
    remove_unfinished(tmp_path / "nowhere")


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(DiskFullError, match=r"the disk is full: .*a.txt could not be written; .*"
                       r" bytes are free in .* Free some space, or") as caught:  # fmt: skip
        with whole_file(tmp_path / "a.txt") as stream:
            stream.write("new")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(DiskFullError, match="b could not be written"):
        with whole_folder(tmp_path / "b") as fresh:
            (fresh / "x").touch()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_libraries_say_in_their_own_ways_that_a_disk_is_full(error, tmp_path):
    with pytest.raises(DiskFullError), whole_folder(tmp_path / "b"):
        raise RuntimeError("unexpected pos 640 vs 598") from error
    assert names(tmp_path) == []


def test_other_errors_are_what_they_were(tmp_path):
    with pytest.raises(OSError, match="Input/output error") as caught, whole_file(tmp_path / "a"):
        raise OSError(errno.EIO, "Input/output error")
    assert not isinstance(caught.value, DiskFullError)


def test_nothing_is_written_where_there_is_known_to_be_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000, 900, 100))
    check_space(tmp_path / "a", 100)
    with pytest.raises(DiskFullError, match=r"a could not be written; it takes 1,001 bytes, and "
                       r"100 bytes are free"):  # fmt: skip
        write_text(tmp_path / "a", "x" * 1001)
    with pytest.raises(DiskFullError, match="it takes 2,000 bytes"):
        # The file says what it takes, and the folder it is in hands that on.
        with whole_folder(tmp_path / "b") as fresh, whole_file(fresh / "x", needed=2000):
            pytest.fail("nothing should be written")
    assert names(tmp_path) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 0))
    write_text(tmp_path / "a", "of a disk that says nothing about itself")


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "real").read_text() == "text"
    assert (tmp_path / "link").is_symlink()


def test_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "")
        with whole_folder(tmp_path / "b"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750


def test_a_place_that_cannot_be_written_to_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    check_writable(tmp_path / "x" / "y")
    with pytest.raises(ValueError, match="file is a file; choose another folder"):
        check_writable(tmp_path / "file")
    with pytest.raises(ValueError, match="y cannot be made: .*file is a file; choose"):
        check_writable(tmp_path / "file" / "x" / "y")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ValueError, match="x cannot be written to: .* is read-only for this user"):
        check_writable(tmp_path / "x")
