"""The command `vad watch`."""

import pytest

from pipelines.cli import main


def test_options_become_settings(stages):
    words = ["rtsp://h/a", "b.mp4", "--model", "m", "--lag", "0", "--no-pace", "--store", "s", "--web", "0.0.0.0:80"]
    assert main(["watch", *words]) == 0
    (name, config), = stages.ran
    watch = config.watch
    assert name == "watch" and config.score.model == "m"
    assert (watch.sources, watch.lag, watch.pace, watch.store) == (("rtsp://h/a", "b.mp4"), 0, False, "s")
    assert watch.web == "0.0.0.0:80"


def test_without_options_the_settings_hold(stages):
    assert main(["watch", "--no-web", "--cameras", "c.toml", "--set", "watch.lag=3", "--set", "watch.pace=false"]) == 0
    watch = stages.ran[0][1].watch
    assert (watch.cameras, watch.lag, watch.pace, watch.web, watch.sources) == ("c.toml", 3, False, "", ())


def test_the_help_says_how_watching_ends(capsys):
    assert main(["watch", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Ctrl-C or SIGTERM ends it cleanly, with status 0" in text


@pytest.mark.parametrize("lag", ["-1", "x"])
def test_a_lag_is_a_number_of_frames(stages, lag, capsys):
    assert main(["watch", "a.mp4", "--lag", lag]) == 2
    assert "lag" in capsys.readouterr().err and not stages.ran
