import pytest

from pipelines.cli import main
from pipelines.live.store import EventStore
from pipelines.serving.alarms import Event


@pytest.fixture
def work_dir(tmp_path):
    """A run with a reviewed event and one whose clip is gone."""
    store = EventStore(tmp_path / "run" / "live")
    for number in (1, 2):
        store.save(Event("door", "alarm", 1e9 + number, 1e9 + 9, 1e9, 0.9, event_id=f"{number:032x}"))
        store.review(f"{number:032x}", "true_alarm")
    path = store.clip_path(f"{1:032x}")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"clip")
    store.close()
    return tmp_path / "run"


def test_collect_writes_the_folder_and_its_status_tells_what_was_skipped(work_dir, tmp_path, capsys):
    assert main(["collect", str(work_dir), "--output", str(tmp_path / "videos")]) == 1
    assert len((tmp_path / "videos" / "labels.csv").read_text().splitlines()) == 2
    assert "skipped 1" in capsys.readouterr().out


def test_a_folder_without_events_is_a_user_error(tmp_path, capsys):
    assert main(["collect", str(tmp_path)]) == 2
    assert "holds no events. `vad watch` writes them" in capsys.readouterr().err
