"""Tests of pipelines.training.state."""

import dataclasses
import hashlib
import json
from types import SimpleNamespace

import pytest

from pipelines.config import UserError
from pipelines.run.folder import RunFolder
from pipelines.run.marker import mark
from pipelines.training.state import TrainingState, load_trained, training_fingerprint, training_videos


@dataclasses.dataclass
class Section:
    epochs: int = 3


class Model:
    """Stands for a model: saves a text, or fails half way."""

    def __init__(self, text, fails=False):
        self.text, self.fails = text, fails

    def save(self, path):
        path.write_text(self.text)
        if self.fails:
            raise KeyboardInterrupt


def state_of(folder, settings="first"):
    return TrainingState(RunFolder(folder), "train_x", folder / "x.keras", settings)


def test_a_training_is_finished_when_its_model_was_saved_with_these_settings(tmp_path):
    state = state_of(tmp_path)
    state.discard_other()
    assert not state.is_finished
    state.save(Model("weights"))
    assert state.is_finished and state_of(tmp_path).is_finished and not state_of(tmp_path, "second").is_finished
    state.output.unlink()
    assert not state.is_finished


def test_a_model_that_was_damaged_since_is_trained_again(tmp_path):
    state = state_of(tmp_path)
    state.save(Model("weights"))
    state.output.write_text("wEights")
    assert not state.is_finished
    mark(state.folder / "finished", "first")  # of an earlier version, without a hash
    assert state.is_finished


def test_what_a_training_resumes_from_stays_until_its_model_is_saved(tmp_path):
    state = state_of(tmp_path)
    state.backup.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        state.save(Model("half", fails=True))
    assert state.backup.is_dir()
    state.save(Model("whole"))
    assert not state.backup.exists()


@pytest.mark.parametrize("content", [None, b"", b"no model", b"PK\x03\x04 half a zip file"])
def test_a_model_that_cannot_be_loaded_is_named_with_the_command_that_writes_it(tmp_path, content):
    run = RunFolder(tmp_path)
    if content is not None:
        run.detector.write_bytes(content)
    reason = "does not exist" if content is None else r"is damaged \(.+\)"
    with pytest.raises(UserError, match=rf"detector\.keras {reason}\. Run `vad train-detector` (first|again)"):
        load_trained(run, run.detector)


def test_a_kill_while_the_model_is_saved_keeps_the_one_before(tmp_path):
    state = state_of(tmp_path)
    state.save(Model("whole"))
    with pytest.raises(KeyboardInterrupt):
        state_of(tmp_path, "second").save(Model("half", fails=True))
    assert state.output.read_text() == "whole" and state.is_finished


def test_state_and_logs_of_other_settings_are_removed(tmp_path):
    state = state_of(tmp_path)
    state.discard_other()
    (state.folder / "history.jsonl").write_text('{"epoch": 0, "loss": 1.0}\n')
    state.logs.mkdir(parents=True)
    state.discard_other()
    assert state.history == [{"epoch": 0, "loss": 1.0}] and state.logs.exists()
    state_of(tmp_path, "second").discard_other()
    assert [path.name for path in state.folder.iterdir()] == ["settings"] and not state.logs.exists()


def test_training_videos_have_a_label_and_are_not_test_videos():
    videos = [
        SimpleNamespace(video_id=f"{subset}{label}", subset=subset, label=label)
        for subset in ("train", "test", "")
        for label in (0, 1, None)
    ]
    chosen = training_videos(SimpleNamespace(videos=videos))
    assert [video.video_id for video in chosen] == ["train0", "train1", "0", "1"]


def test_the_fingerprint_changes_with_every_fact_and_keeps_its_value():
    video = SimpleNamespace(video_id="a", label=1)
    found = training_fingerprint(7, [Section()], "clips", [video])
    text = json.dumps([7, {"epochs": 3}, "clips", [["a", 1]]])
    assert found == hashlib.sha256(text.encode()).hexdigest()[:16]  # so that a stopped training resumes
    others = {
        training_fingerprint(8, [Section()], "clips", [video]),
        training_fingerprint(7, [Section(4)], "clips", [video]),
        training_fingerprint(7, [Section()], "other clips", [video]),
        training_fingerprint(7, [Section()], "clips", [SimpleNamespace(video_id="a", label=0)]),
    }
    assert len(others | {found}) == 5
