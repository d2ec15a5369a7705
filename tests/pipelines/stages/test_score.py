"""The score stage: files to scores of every original frame, with the exported model alone."""

import csv
import dataclasses
import errno
import json
import os
import shutil
import signal

import av
import numpy as np
import pytest
from PIL import Image

from pipelines.config import UserError
from pipelines.report.plots.heat_map import patch_heat_map
from pipelines.run.folder import RunFolder
from pipelines.serving.exported import remember_export
from pipelines.serving.results import is_annotated
from pipelines.serving.versions import new_version
from pipelines.stages import score
from tests.videos import write_video

NUM_FRAMES, FPS = 22, 10


@pytest.fixture
def config(exported, tmp_path):
    """A configuration that scores with the tiny model into a folder of its own, by default without heat maps."""

    def make(*inputs, alarms=None, **settings):
        settings = {"inputs": tuple(map(str, inputs)), "top_frames": 0, "model": str(exported.folder), **settings}
        section = dataclasses.replace(exported.config.score, **settings)
        rules = dataclasses.replace(exported.config.alarms, **(alarms or {}))
        return dataclasses.replace(exported.config, work_dir=str(tmp_path / "run"), score=section, alarms=rules)

    return make


def read_json(path):
    return json.loads(path.read_text())


def files_of(output, pattern="*"):
    """The files of single videos, without those of all together."""
    together = ("alarms.csv", "alarms.json", "report.html")
    return sorted(path for path in output.rglob(pattern) if path.name not in together)


def test_every_original_frame_gets_a_score_and_its_time(config, tmp_path):
    output = score.run(config(write_video(tmp_path / "door.mp4")))
    result = read_json(output / "door.json")
    assert output == tmp_path / "run" / "scores"
    assert (result["num_frames"], result["num_sampled"], result["fps"]) == (NUM_FRAMES, NUM_FRAMES, FPS)
    rows = list(csv.DictReader((output / "door.csv").open()))
    assert [int(row["frame"]) for row in rows] == list(range(NUM_FRAMES))
    np.testing.assert_allclose([float(row["time_sec"]) for row in rows], np.arange(NUM_FRAMES) / FPS, atol=1e-3)
    np.testing.assert_allclose([float(row["score"]) for row in rows], result["scores"], atol=1e-6)
    assert np.std(result["scores"]) > 0 and result["max_score"] == max(result["scores"])
    assert result["model"]["name"] == "tiny" and result["model"]["version"] == "1"


def test_alarms_are_spans_in_seconds_by_the_rules_of_the_settings(config, tmp_path, monkeypatch):
    video = write_video(tmp_path / "door.mp4")
    scores = read_json(score.run(config(video)) / "door.json")["scores"]
    threshold = float(np.median(scores))
    rules = {"hysteresis": 0.0, "min_length_sec": 0.0, "merge_gap_sec": 0.0}
    result = read_json(score.run(config(video, threshold=threshold, alarms=rules)) / "door.json")
    assert result["threshold"] == threshold and result["alarms"] and result["alarm_rules"] == rules
    for alarm in result["alarms"]:
        assert min(scores[alarm["start_frame"] : alarm["end_frame"]]) >= threshold
        assert alarm["start_sec"] == pytest.approx(alarm["start_frame"] / FPS)
        assert alarm["end_sec"] == pytest.approx(alarm["end_frame"] / FPS)
    covered = sum(alarm["end_frame"] - alarm["start_frame"] for alarm in result["alarms"])
    assert covered == sum(value >= threshold for value in scores)
    drawn = []
    monkeypatch.setattr(score, "plot_timeline", lambda *_, **options: drawn.append(len(options["alarms_sec"])))
    for change, number in (("merge_gap_sec", 1), ("min_length_sec", 0)):
        changed = config(video, threshold=threshold, alarms=rules | {change: 9.0})
        assert len(read_json(score.run(changed) / "door.json")["alarms"]) == number < len(result["alarms"])
    assert drawn == [1, 0]


def test_a_timeline_and_the_heat_maps_of_the_top_frames_are_drawn(config, tmp_path):
    output = score.run(config(write_video(tmp_path / "door.mp4"), top_frames=2))
    for name in ("door.png", "door_top_frames.png"):
        with Image.open(output / name) as picture:
            assert picture.width > 300 and np.asarray(picture.convert("L")).std() > 10
    assert len(read_json(output / "door.json")["top_frames"]) == 2
    without = score.run(config(tmp_path / "door.mp4", output=str(tmp_path / "plain")))
    assert sorted(path.name for path in files_of(without)) == ["door.csv", "door.json", "door.png"]


def test_the_brightest_patch_of_a_top_frame_has_the_score_of_the_frame(config, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(score, "plot_heat_maps", lambda path, *arguments: shown.append(arguments))
    output = score.run(config(write_video(tmp_path / "door.mp4"), top_frames=2))
    result = read_json(output / "door.json")
    ((pictures, maps, scales, titles),) = shown
    expected = [result["scores"][frame] for frame in result["top_frames"]]
    brightest = [patch_heat_map(values, scales, 60).max() for values in maps["patch score"]]
    np.testing.assert_allclose(brightest, expected, atol=1e-6)
    assert [f"score {value:.2f}" in title for value, title in zip(expected, titles, strict=True)] == [True, True]
    assert len(pictures) == 2 and set(maps) == {"patch score", "before the CRF", "after the CRF"}


def test_all_videos_share_a_page_and_lists_of_alarms(config, tmp_path, capsys):
    for number, name in enumerate(("hall", "door", "alarms")):
        write_video(tmp_path / f"videos/{name}.mp4", seed=number)
    (tmp_path / "videos/bad.mp4").write_bytes(b"no video")
    output = score.run(config(tmp_path / "videos", top_frames=2))
    results = {path.stem: read_json(path) for path in files_of(output, "*.json")}
    assert set(results) == {"hall", "door", "alarms_2"}
    expected = sum(len(result["alarms"]) for result in results.values())
    assert len(read_json(output / "alarms.json")["alarms"]) == expected > 0
    assert len(list(csv.DictReader((output / "alarms.csv").open()))) == expected
    assert "scores/report.html" in capsys.readouterr().out  # what to open
    page = (output / "report.html").read_text()
    assert page.count("<article") == 3 and page.count("data:image/jpeg") == 6 and "bad.mp4" in page
    assert 'data-src="../../videos/door.mp4"' in page
    score.run(config(tmp_path / "videos", top_frames=2))  # of kept results
    assert (output / "report.html").read_text() == page
    (output / "report.html").write_text("my own page")
    with pytest.raises(UserError, match=r"report\.html exists and was not written by `vad score`"):
        score.run(config(tmp_path / "videos"))


def test_an_annotated_copy_has_every_frame_and_is_no_input(config, tmp_path):
    video = write_video(tmp_path / "door.mp4")
    output = score.run(config(video, output=str(tmp_path)))
    plain = read_json(output / "door.json")
    score.run(config(video, output=str(tmp_path), annotate=True))
    with av.open(str(tmp_path / "door_annotated.mp4")) as container:
        times_sec = [float(frame.time) for frame in container.decode(video=0)]
        assert container.duration / 1e6 == pytest.approx(NUM_FRAMES / FPS)
    np.testing.assert_allclose(times_sec, np.arange(NUM_FRAMES) / FPS, atol=1e-4)
    assert read_json(output / "door.json") == plain | {"annotated": "door_annotated.mp4"}
    assert list(score.find_videos([tmp_path], without=is_annotated)) == [video]
    stamp = (tmp_path / "door_annotated.mp4").stat().st_mtime_ns
    score.run(config(video, output=str(tmp_path), annotate=True))  # kept
    score.run(config(video, output=str(tmp_path)))
    assert (tmp_path / "door_annotated.mp4").stat().st_mtime_ns == stamp


def test_a_bad_file_is_named_and_the_others_are_scored(config, tmp_path):
    videos = tmp_path / "videos"
    write_video(videos / "good.mp4")
    (videos / "broken.mp4").write_bytes(b"no video at all")
    (videos / "empty.avi").write_bytes(b"")
    (videos / "notes.txt").write_text("not looked at")
    output = score.run(config(videos))
    summary = read_json(tmp_path / "run" / "summaries" / "score.json")
    assert [entry["input"] for entry in summary["skipped"]] == [str(videos / "broken.mp4"), str(videos / "empty.avi")]
    assert "not a video" in summary["skipped"][0]["reason"] and "empty" in summary["skipped"][1]["reason"]
    assert sorted(path.name for path in files_of(output, "*.json")) == ["good.json"]


def test_a_scored_video_is_left_alone_until_file_model_threshold_or_force_changes(config, tmp_path, capsys):
    video = write_video(tmp_path / "door.mp4")

    def stamp(**settings):
        return (score.run(config(video, **settings)) / "door.json").stat().st_mtime_ns

    first = stamp()
    assert stamp() == first
    assert "1 already scored" in capsys.readouterr().out
    changes = [{"threshold": 0.9}, {"threshold": 0.9, "force": True}, {"threshold": 0.9, "top_frames": 3}]
    stamps = [first, *(stamp(**change) for change in changes)]
    write_video(video, seed=1)
    stamps.append(stamp(threshold=0.9))
    assert len(set(stamps)) == 5
    assert "1 result replaced because the file has changed, such as door" in capsys.readouterr().out
    os.utime(video)
    assert stamp(threshold=0.9) == stamps[-1]
    (tmp_path / "run" / "scores" / "door.csv").unlink()
    assert stamp(threshold=0.9) not in stamps


def test_sampled_scores_hold_until_the_next_sampled_frame(config, exported, tmp_path):
    with new_version(tmp_path / "slow") as draft:
        for path in exported.folder.rglob("*"):
            if path.is_file():
                target = draft["folder"] / path.relative_to(exported.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        info = json.loads((draft["folder"] / "model.json").read_text())
        (draft["folder"] / "model.json").write_text(json.dumps({**info, "frames_per_sec": 2.0}))
    output = score.run(config(write_video(tmp_path / "door.mp4"), model=str(tmp_path / "slow")))
    result = read_json(output / "door.json")
    assert (result["num_frames"], result["num_sampled"]) == (NUM_FRAMES, 5)
    steps = np.flatnonzero(np.diff(result["scores"])) + 1
    assert set(steps) <= {5, 10, 15, 20}


def write_recording(path, value):
    """An uncompressed file: its size does not depend on its content, and neither does the time here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(9):
            frame = np.full((48, 64, 3), value if number == 4 else 0, "uint8")  # the same head and tail
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    os.utime(path, (1_577_836_800, 1_577_836_800))
    return path


def test_two_cameras_files_of_one_name_size_and_time_have_results_of_their_own(config, tmp_path, capsys):
    one, two = (write_recording(tmp_path / f"camera{number}/0001.avi", 90 * number) for number in (1, 2))
    assert one.stat().st_size == two.stat().st_size and one.stat().st_mtime_ns == two.stat().st_mtime_ns
    alone = [read_json(score.run(config(path, output=str(path.parent / "out"))) / "0001.json") for path in (one, two)]
    for path in (one, two, one):
        output = score.run(config(path))
    results = [read_json(output / f"{name}.json") for name in ("0001", "0001_2")]
    assert [result["video"] for result in results] == [str(one), str(two)]
    assert [result["scores"] for result in results] == [result["scores"] for result in alone]
    assert results[0]["scores"] != results[1]["scores"]
    printed = " ".join(capsys.readouterr().out.split())
    assert f"results of {two} have the name 0001_2" in printed and printed.count("1 already scored") == 1


def test_a_timeline_does_not_overwrite_the_top_frames_of_another_video(config, tmp_path):
    write_video(tmp_path / "videos/door.mp4")
    write_video(tmp_path / "videos/door_top_frames.mp4", seed=1)
    together = score.run(config(tmp_path / "videos", top_frames=2))
    written = {path.name: path.read_bytes() for path in files_of(together)}
    assert len(written) == 10
    for name in ("door_top_frames", "door"):  # one after the other, in the other order
        output = score.run(config(tmp_path / f"videos/{name}.mp4", top_frames=2, output=str(tmp_path / "one")))
    assert {path.name: path.read_bytes() for path in files_of(output)} == written


def test_a_file_that_changes_while_it_is_scored_is_scored_again(config, tmp_path, monkeypatch):
    video, plotted = write_video(tmp_path / "door.mp4"), score._read_pictures

    def append(decoder, path, *arguments):
        pictures = plotted(decoder, path, *arguments)
        with path.open("ab") as file:
            file.write(b"more")
        return pictures

    monkeypatch.setattr(score, "_read_pictures", append)
    result = read_json(score.run(config(video)) / "door.json")
    assert "changed while it was scored" in result["warning"] and not result["source"]["sha256"]
    monkeypatch.undo()
    assert not read_json(score.run(config(video)) / "door.json")["warning"]


def test_a_run_is_scored_by_the_model_that_it_exported_itself(config, exported, tmp_path):
    video = write_video(tmp_path / "door.mp4")
    other = dataclasses.replace(exported.config, work_dir=str(tmp_path / "run"))
    with pytest.raises(UserError, match=r"run has exported no model\. Run `vad export`"):
        score.run(config(video, model=""))  # although the shared export.root holds one
    own = tmp_path / "savedmodels/tiny/7"
    shutil.copytree(exported.folder, own)
    remember_export(RunFolder.of(other), own)
    assert read_json(score.run(config(video, model="")) / "door.json")["model"]["version"] == "7"
    assert read_json(score.run(config(video)) / "door.json")["model"]["version"] == "1"
    info = read_json(own / "model.json")
    (own / "model.json").write_text(json.dumps({**info, "frames_per_sec": 2.0}))
    with pytest.raises(UserError, match="holds another model"):
        score.run(config(video, model=""))


def test_a_version_that_was_written_again_scores_again(config, exported, tmp_path):
    video, own = write_video(tmp_path / "door.mp4"), tmp_path / "savedmodels/tiny/1"
    shutil.copytree(exported.folder, own)
    first = read_json(score.run(config(video, model=str(own))) / "door.json")
    info = read_json(own / "model.json")
    (own / "model.json").write_text(json.dumps({**info, "frames_per_sec": 5.0}))  # the same weights, name and number
    second = read_json(score.run(config(video, model=str(own))) / "door.json")
    assert (first["num_sampled"], second["num_sampled"]) == (NUM_FRAMES, 11)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("m" * 245, (64, 48), None),
        ("cost$1$^", (64, 48), None),
        ("m[bold]\n\x1b", (64, 48), None),
        (os.fsdecode(b"caf\xe9"), (64, 48), ""),
        ("m", (2, 1200), "too narrow"),
        ("m", (64, 2), None),
    ],
)
def test_a_strange_video_or_name_costs_no_neighbour(config, tmp_path, name, size, reason):
    videos = tmp_path / "videos"
    for good in ("a", "z"):
        write_video(videos / f"{good}.mp4")
    source = write_video(tmp_path / "source.mkv", size=size)
    source.rename(videos / f"{name}.mkv")
    output = score.run(config(videos, top_frames=1))
    summary, results = read_json(tmp_path / "run/summaries/score.json"), len(files_of(output, "*.json"))
    assert (output / "a.json").exists() and (output / "z.json").exists()
    assert results + len(summary["skipped"]) == 3
    if reason:
        assert [entry["input"] for entry in summary["skipped"]] == [str(videos / f"{name}.mkv")]
        assert reason in summary["skipped"][0]["reason"]
    elif reason is None:
        assert results == 3
        assert all(len(os.fsencode(path.name)) < 240 for path in output.iterdir())


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), MemoryError(), AssertionError(), KeyError("y")])
def test_any_exception_of_one_video_is_recorded_and_the_others_go_on(config, tmp_path, monkeypatch, error):
    for name in "amz":
        write_video(tmp_path / f"videos/{name}.mp4")
    plot = score.plot_timeline

    def fail(path, *arguments, title, **options):
        if title == "m.mp4":
            raise error
        return plot(path, *arguments, title=title, **options)

    monkeypatch.setattr(score, "plot_timeline", fail)
    output = score.run(config(tmp_path / "videos"))
    (skipped,) = read_json(tmp_path / "run/summaries/score.json")["skipped"]
    assert skipped["input"] == str(tmp_path / "videos/m.mp4") and skipped["reason"]
    assert sorted(path.stem for path in files_of(output, "*.json")) == ["a", "z"]
    monkeypatch.undo()
    score.run(config(tmp_path / "videos"))
    assert sorted(path.stem for path in files_of(output, "*.json")) == ["a", "m", "z"]


def test_a_full_disk_ends_the_command_and_the_old_result_stands_for_nothing(config, tmp_path, monkeypatch):
    video = write_video(tmp_path / "door.mp4")
    output = score.run(config(video))
    whole = {path.name: path.read_bytes() for path in files_of(output)}
    with monkeypatch.context() as patch:
        patch.setattr(score, "plot_timeline", full)
        with pytest.raises(OSError, match="No space left"):
            score.run(config(video, force=True))
    assert not (output / "door.json").exists()
    score.run(config(video))
    assert {path.name: path.read_bytes() for path in files_of(output)} == whole


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_inputs_that_cannot_be_meant_are_answered_with_the_way_out(config, tmp_path):
    (tmp_path / "empty").mkdir()
    for inputs, message in [
        ([], "nothing to score: name video files or folders"),
        ([tmp_path / "nowhere.mp4"], r"nowhere\.mp4 does not exist"),
        (["rtsp://camera/1"], r"rtsp://camera/1 is a URL, but `vad score` reads files\. Save the"),
        ([tmp_path / "empty"], "no video in .*empty"),
    ]:
        with pytest.raises(UserError, match=message):
            score.run(config(*inputs))
    with pytest.raises(UserError, match="Run `vad export` first"):
        score.run(config(write_video(tmp_path / "door.mp4"), model=str(tmp_path / "empty")))


def test_a_corrupt_neighbour_among_the_real_unit_videos_costs_no_other_file(config, shared_data, tmp_path):
    output = score.run(config(shared_data / "unit_videos"))
    summary = read_json(tmp_path / "run" / "summaries" / "score.json")
    scored = files_of(output, "*.json")
    assert len(scored) >= 15 and len(scored) + len(summary["skipped"]) == len(
        score.find_videos([shared_data / "unit_videos"])
    )
    assert "with a warning (see the JSON files), the first: " in summary["done"]


def test_a_decoder_that_hangs_or_crashes_costs_one_video(config, tmp_path, monkeypatch):
    for name in "amz":
        write_video(tmp_path / f"videos/{name}.mp4", seed=ord(name))
    hit = []

    class Watched(score.DecodeProcess):
        def results(self, request):
            for result in super().results(request):
                if request.path.stem == "m" and not hit:
                    hit.append(os.kill(self._worker.process.pid, signal.SIGSEGV))
                yield result

    monkeypatch.setattr(score, "DecodeProcess", Watched)
    output = score.run(config(tmp_path / "videos"))
    (skipped,) = read_json(tmp_path / "run/summaries/score.json")["skipped"]
    assert hit and skipped["input"].endswith("m.mp4") and "ended by signal SIGSEGV" in skipped["reason"]
    assert sorted(path.stem for path in output.glob("?.json")) == ["a", "z"]
