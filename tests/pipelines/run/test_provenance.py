"""Tests of pipelines.run.provenance."""

import sys
from pathlib import Path

from pipelines.run import provenance as module
from pipelines.run.provenance import provenance


def test_the_command_is_given_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/vad", "repeat", "--seeds", "3"])
    assert provenance()["command"] == "vad repeat --seeds 3"


def test_the_commit_is_empty_outside_a_checkout(monkeypatch, tmp_path):
    assert set(provenance()) == {"commit", "command"}
    monkeypatch.setattr(module, "__file__", str(Path(tmp_path) / "provenance.py"))
    assert provenance()["commit"] == ""
