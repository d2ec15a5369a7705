import csv
import dataclasses

import av
import pytest

from pipelines.cli.datasets import refuse_untrainable
from pipelines.config import Config, UserError
from pipelines.data.datasets import load_dataset
from pipelines.live.quiet import QuietClips
from pipelines.live.store import EventStore
from pipelines.run.folder import RunFolder
from pipelines.serving.alarms import Event
from pipelines.stages.collect import FEW_VIDEOS, run
from tests.videos import write_video

NOON = 1_790_000_000.0
HOUR = 3600.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The bytes of a real clip of ten frames."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", num_frames=10).read_bytes()


class Site:
    """A run with a store."""

    def __init__(self, folder, clip):
        self.config = dataclasses.replace(Config(), work_dir=str(folder))
        self.store, self.clip = EventStore(RunFolder(folder).live), clip
        self.quiet, self.output = QuietClips(self.store.folder), RunFolder(folder).collected

    def event(self, number, verdict=None, hour=None, camera="door", with_clip=True, end=10.0):
        start = NOON + HOUR * (number if hour is None else hour)
        event = Event(camera, "alarm", start, end and start + end, start, 0.9, event_id=f"{number:032x}")
        self.store.save(event)
        if with_clip:
            self.write(self.store.clip_path(event.event_id))
        if verdict:
            self.store.review(event.event_id, verdict)

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.clip)

    def add_quiet(self, hour, camera="door"):
        start = int(NOON + HOUR * hour)
        self.write(self.quiet.path(camera, start, start + 20))

    def collect(self, **options):
        run(dataclasses.replace(self.config, collect=dataclasses.replace(self.config.collect, **options)))
        return self.lines()

    def lines(self):
        with open(self.output / "labels.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def videos(self):
        data = dataclasses.replace(self.config.data, root=str(self.output))
        config = dataclasses.replace(self.config, data=data)
        return config, load_dataset(config)


@pytest.fixture
def site(tmp_path, clip):
    site = Site(tmp_path / "run", clip)
    yield site
    site.store.close()


def labels(lines):
    return {int(line["source"], 16): line["label"] for line in lines if not line["source"].startswith("quiet")}


def test_verdicts_and_quiet_stretches_become_labels(site, capsys):
    site.event(1, "true_alarm")
    site.event(2, "false_alarm")
    site.event(3)
    site.add_quiet(5, camera="yard")
    lines = site.collect()
    assert labels(lines) == {1: "1", 2: "0"} and [line["label"] for line in lines] == ["1", "0", "0"]
    for line in lines:
        assert (site.output / line["file"]).read_bytes() == site.clip
    assert "3 videos: 1 abnormal, 2 normal; 3 new; 1 event not reviewed" in capsys.readouterr().out


def test_the_folder_is_taken_as_it_is_for_training(site):
    for number in range(12):
        site.event(number, "true_alarm" if number % 2 else "false_alarm")
    site.collect()
    config, videos = site.videos()
    refuse_untrainable(config)
    counts = {(subset, label): 0 for subset in ("train", "test") for label in (0, 1)}
    for video in videos:
        assert not video.missing
        with av.open(str(video.path)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 10
        counts[video.subset, video.label] += 1
    assert counts == {("train", 0): 5, ("train", 1): 5, ("test", 0): 1, ("test", 1): 1}


def test_run_again_it_adds_what_is_new_and_nothing_twice(site):
    site.event(1, "true_alarm")
    site.event(2, "false_alarm")
    first = site.collect()
    assert site.collect() == first
    site.event(3, "true_alarm")
    site.event(0, "false_alarm")
    again = site.collect()
    assert again[:2] == first and sorted(labels(again)) == [0, 1, 2, 3]
    assert len(list(site.output.rglob("*.mp4"))) == 4


def test_a_changed_verdict_changes_the_label_and_one_taken_back_removes_the_video(site):
    for number in (1, 2, 3):
        site.event(number, "true_alarm")
    before = site.collect()
    site.store.review(f"{1:032x}", "false_alarm")
    site.store.review(f"{2:032x}", None)
    assert labels(site.collect()) == {1: "0", 3: "1"}
    assert not (site.output / before[1]["file"]).exists()


def test_what_the_store_has_deleted_stays(site):
    site.event(1, "true_alarm")
    site.event(2, "false_alarm")
    first = site.collect()
    site.store.remove_oldest_media(10**9)
    with site.store._database.transaction() as connection:
        connection.execute("DELETE FROM events")
    assert site.collect() == first and (site.output / first[0]["file"]).read_bytes() == site.clip


def test_a_quiet_stretch_with_an_event_in_it_is_none(site):
    site.event(1, "false_alarm")
    for hour in (4, 5, 6, 7):
        site.add_quiet(hour)
    site.event(4, None, with_clip=False)
    site.event(5, "true_alarm", with_clip=False)
    site.event(6, "false_alarm", with_clip=False)
    lines = site.collect()
    assert [line["source"] for line in lines if line["source"].startswith("quiet")] == [
        f"quiet-{int(NOON + HOUR * hour)}-{int(NOON + HOUR * hour) + 20}" for hour in (6, 7)
    ]
    site.event(70, "true_alarm", hour=7, with_clip=False)
    assert len(site.collect()) == len(lines) - 1


def test_clips_of_a_camera_and_hour_stay_together(site):
    for number in range(40):
        site.event(number, "true_alarm" if number % 2 else "false_alarm", hour=number // 4 + number / 100)
    subsets = {}
    for line in site.collect(test_fraction=0.3):
        subsets.setdefault((line["camera"], float(line["start"]) // HOUR), set()).add(line["subset"])
    assert all(len(found) == 1 for found in subsets.values()) and {"train", "test"} == set.union(*subsets.values())


def test_lines_of_others_stay(site, tmp_path):
    site.event(1, "true_alarm")
    site.event(2, "false_alarm")
    site.collect()
    path, outside = site.output / "labels.csv", tmp_path / "outside.mp4"
    outside.write_bytes(site.clip)
    own = ('"my, own.mp4",abnormal,test,,,,fall', f"{outside},1,train,,,{3:032x},fight")
    path.write_text(path.read_text().replace("\n", ",class\n", 1) + "\n".join(own) + "\n")
    site.event(3)  # not reviewed: a line of its own would go
    lines = site.collect()
    assert len(lines) == 4 and outside.exists()
    assert {key: value for key, value in lines[2].items() if value} == {
        "file": "my, own.mp4", "label": "abnormal", "subset": "test", "class": "fall",
    }  # fmt: skip
    assert lines[3]["file"] == str(outside)


def test_a_reviewed_event_without_a_clip_is_skipped_by_name(site, capsys):
    site.event(1, "true_alarm")
    site.event(2, "true_alarm", with_clip=False)
    site.collect()
    assert f"event {2:032x} of door" in capsys.readouterr().out.replace("\n", "")


def test_too_few_videos_are_told(site, capsys):
    site.event(1, "true_alarm")
    site.collect()
    assert "training needs normal and abnormal videos. Received: 0 normal and 1 abnormal" in capsys.readouterr().out
    for number in range(2, 6):
        site.event(number, "false_alarm" if number % 2 else "true_alarm")
    site.collect()
    assert f"a model needs {FEW_VIDEOS} of each label or more" in capsys.readouterr().out


def test_a_run_without_events_is_refused(tmp_path, site):
    with pytest.raises(UserError, match="no reviewed event with a clip and no quiet clip"):
        site.collect()
    with pytest.raises(UserError, match="holds no events"):
        run(dataclasses.replace(Config(), work_dir=str(tmp_path / "none")))
