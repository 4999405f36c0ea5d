"""The memory of a process, on systems that count it in different units."""

from __future__ import annotations

import resource
import sys
from types import SimpleNamespace

import pytest

from experiments.peak_memory import peak_rss_gb


@pytest.mark.parametrize(("platform", "gigabytes"), [("linux", 2.048), ("darwin", 0.002)])
def test_the_peak_is_in_gigabytes_of_a_billion_bytes(platform, gigabytes, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=2_000_000))
    assert peak_rss_gb() == pytest.approx(gigabytes)
