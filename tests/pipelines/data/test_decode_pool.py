import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from pipelines.config import load_config
from pipelines.data.decode_pool import DecodePool, DecodeProcess
from pipelines.data.encode import Failed, encode_video
from pipelines.data.listing.dataset import ListedVideo
from pipelines.data.listing.manifest import VideoInfo


def settings(workers, **more):
    changes = {"workers": workers, "clip_frames": 4, "image_size_px": 32, "jpeg_quality": 95, **more}
    return load_config(overrides=[f"data.{key}={value}" for key, value in changes.items()]).data


def a_video(path, **facts):
    return ListedVideo(**{"video_id": Path(path).stem, "path": path, "subset": "train", "label": 0, **facts})


@pytest.fixture
def videos(make_video, tmp_path):
    return [a_video(make_video(tmp_path / f"{index}.mp4", 5 + index)) for index in range(3)]


@pytest.fixture
def long_video(make_video, tmp_path):
    return a_video(make_video(tmp_path / "long.mp4", 3000, size=(160, 120), preset="ultrafast"))


def by_job(results):
    jobs = {}
    for job, result in results:
        jobs.setdefault(job, []).append(result)
    return jobs


def test_every_video_gives_what_it_gives_without_a_pool(videos):
    jobs = by_job(DecodePool(settings(workers=2)).run(videos))
    assert sorted(jobs) == [0, 1, 2]
    for job, results in jobs.items():
        assert results == list(encode_video(videos[job], settings(workers=2)))
        assert results[-1].num_frames == 5 + job
    assert not multiprocessing.active_children()


def test_an_unusable_file_leaves_its_neighbours_alone(videos, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    jobs = by_job(DecodePool(settings(workers=1)).run([videos[0], a_video(tmp_path / "text.mp4"), videos[1]]))
    assert len(jobs[1]) == 1 and isinstance(jobs[1][0], Failed)
    assert jobs[1][0].reason.startswith("not a video") and not jobs[1][0].transient
    assert isinstance(jobs[0][-1], VideoInfo) and isinstance(jobs[2][-1], VideoInfo)


@pytest.mark.parametrize(
    ("sign", "reason"),
    [(signal.SIGKILL, "the decoding process ended by signal SIGKILL"), (signal.SIGSTOP, "no progress for 2 s")],
)
def test_a_process_that_dies_or_hangs_loses_one_video(videos, long_video, sign, reason):
    results, hit = [], False
    pool = DecodePool(settings(workers=1, stall_timeout_sec=2.0))
    for job, result in pool.run([videos[0], long_video, videos[1]]):
        results.append((job, result))
        if job == 1 and not hit:
            hit = True
            os.kill(multiprocessing.active_children()[0].pid, sign)
    jobs = by_job(results)
    assert isinstance(jobs[1][-1], Failed) and jobs[1][-1].transient
    assert jobs[1][-1].reason.startswith(reason)
    assert isinstance(jobs[0][-1], VideoInfo) and isinstance(jobs[2][-1], VideoInfo)
    assert not multiprocessing.active_children()


def test_one_process_works_on_one_video_after_the_other(videos, long_video):
    process = DecodeProcess(settings(workers=1), encode_video)
    for video in videos[:2]:
        assert list(process.results(video)) == list(encode_video(video, settings(workers=1)))
        running = multiprocessing.active_children()
    left = process.results(videos[2])
    next(left)
    left.close()  # in the middle of a video, so the process cannot take another one
    assert len(running) == 1 and not multiprocessing.active_children()
    kept = process.results(long_video)  # an error may keep hold of it, and of its results
    next(kept)
    assert list(process.results(videos[2])) == list(encode_video(videos[2], settings(workers=1)))
    running = multiprocessing.active_children()
    kept.close()  # ends nothing: the process works for another video by now
    assert len(running) == 1 and multiprocessing.active_children() == running
    assert list(process.results(videos[0])) == list(encode_video(videos[0], settings(workers=1)))
    process.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("sign", "reason"), [(signal.SIGSEGV, "by signal SIGSEGV"), (signal.SIGSTOP, "no progress")])
def test_a_crash_or_a_hang_costs_one_video_of_a_process(videos, long_video, sign, reason):
    process, results = DecodeProcess(settings(workers=1, stall_timeout_sec=1.0), encode_video), []
    for result in process.results(long_video):
        if not results:
            os.kill(multiprocessing.active_children()[0].pid, sign)
        results.append(result)
    assert isinstance(results[-1], Failed) and reason in results[-1].reason
    assert isinstance(list(process.results(videos[0]))[-1], VideoInfo)
    process.close()


def fail_once_for_lack_of_memory(video, settings, on_frame):
    yield Failed("out of memory", transient=True)


def test_no_process_is_left_after_a_failure_of_the_machine(videos):
    jobs = by_job(DecodePool(settings(workers=2), fail_once_for_lack_of_memory).run(videos))
    assert [job[0].reason for job in jobs.values()] == ["out of memory"] * 3
    assert not multiprocessing.active_children()


def test_a_video_whose_snippets_are_rare_does_not_count_as_hung(long_video):
    one_snippet = settings(workers=1, clip_frames=3000, image_size_px=480, stall_timeout_sec=4.0)
    *records, info = [result for _, result in DecodePool(one_snippet).run([long_video])]
    assert len(records) == 1 and info.num_sampled == 3000


def test_leaving_early_ends_the_processes(long_video):
    results = DecodePool(settings(workers=1)).run([long_video])
    assert isinstance(next(results)[1], bytes)
    results.close()
    assert not multiprocessing.active_children()


def test_no_videos_are_no_work():
    assert list(DecodePool(settings(workers=1)).run([])) == []
