"""`vad score`: its options reach the stage."""

import pytest

from pipelines.cli import main
from pipelines.cli import score as command


@pytest.fixture
def ran(monkeypatch):
    """The `score` sections of the commands that would have run."""
    sections = []
    monkeypatch.setattr(command, "run", lambda stages, config, **options: sections.append(config.score) or 0)
    return sections


def test_the_options_of_a_server_are_settings_of_the_run(ran):
    options = ["--server", "grpc://host:8500", "--server-model", "door", "--server-label", "stable", "--output", "out"]
    assert main(["score", "a.mp4", "b", *options]) == 0
    assert main(["score", "a.mp4", "--server", "http://host:8501", "--server-version", "3"]) == 0
    first, second = ran
    assert (first.inputs, first.output, first.model) == (("a.mp4", "b"), "out", "")
    assert (first.server, first.server_model, first.server_label) == ("grpc://host:8500", "door", "stable")
    assert (second.server, second.server_version, second.server_label) == ("http://host:8501", "3", "")


def test_an_option_that_is_not_given_leaves_the_configuration(ran):
    assert main(["score", "a.mp4", "--set=score.server=grpc://host:8500", "--set=score.server_timeout_sec=5"]) == 0
    assert (ran[0].server, ran[0].server_timeout_sec) == ("grpc://host:8500", 5)
