import io
import multiprocessing
import os
import signal

import numpy as np
import pytest
from PIL import Image

from pipelines.data.decode_pool import DecodePool, DecodeSettings, Failed, Finished, Frame, jpeg_bytes
from pipelines.data.video import VideoReader

SETTINGS = DecodeSettings(frames_per_sec=0.0, size_px=32, jpeg_quality=95)


@pytest.fixture
def files(make_video, tmp_path):
    return [make_video(tmp_path / f"{index}.mp4", 5 + index) for index in range(3)]


@pytest.fixture
def long_file(make_video, tmp_path):
    return make_video(tmp_path / "long.mp4", 3000, size=(160, 120), preset="ultrafast")


def by_job(events):
    jobs = {}
    for event in events:
        jobs.setdefault(event.job, []).append(event)
    return jobs


def test_every_file_comes_back_whole_and_in_order(files):
    jobs = by_job(DecodePool(SETTINGS, workers=2).run(files))
    assert sorted(jobs) == [0, 1, 2]
    for job, (*frames, end) in jobs.items():
        assert [frame.frame_index for frame in frames] == list(range(5 + job))
        assert isinstance(end, Finished) and (end.num_frames, end.num_sampled) == (5 + job, 5 + job)
        raw = [frame.rgb for frame in VideoReader(files[job], size_px=32)]
        for frame, rgb in zip(frames, raw, strict=True):
            decoded = np.asarray(Image.open(io.BytesIO(frame.jpeg)))
            assert np.abs(decoded.astype(int) - rgb).mean() < 1.5
    assert not multiprocessing.active_children()


def test_an_unusable_file_leaves_its_neighbours_alone(files, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    jobs = by_job(DecodePool(SETTINGS, workers=1).run([files[0], tmp_path / "text.mp4", files[1]]))
    assert len(jobs[1]) == 1 and isinstance(jobs[1][0], Failed)
    assert jobs[1][0].reason.startswith("not a video") and not jobs[1][0].transient
    assert isinstance(jobs[0][-1], Finished) and isinstance(jobs[2][-1], Finished)


def test_a_folder_of_frames_takes_the_rate_it_is_given(files, tmp_path):
    (tmp_path / "frames").mkdir()
    for number in range(4):
        Image.new("L", (8, 8), 60 * number).save(tmp_path / "frames" / f"{number}.png")
    jobs = by_job(DecodePool(SETTINGS, workers=1).run([tmp_path / "frames", files[0]], [8.0, None]))
    assert [frame.time_sec for frame in jobs[0][:-1]] == [0, 0.125, 0.25, 0.375]
    assert (jobs[0][-1].fps, jobs[1][-1].fps) == (8.0, 10.0)


@pytest.mark.parametrize(
    ("sign", "reason"),
    [(signal.SIGKILL, "the decoding process ended by signal SIGKILL"), (signal.SIGSTOP, "no progress for 2 s")],
)
def test_a_process_that_dies_or_hangs_loses_one_file(files, long_file, sign, reason):
    events, hit = [], False
    for event in DecodePool(SETTINGS, workers=1, stall_timeout_sec=2.0).run([files[0], long_file, files[1]]):
        events.append(event)
        if event.job == 1 and not hit:
            hit = True
            os.kill(multiprocessing.active_children()[0].pid, sign)
    jobs = by_job(events)
    assert isinstance(jobs[1][-1], Failed) and jobs[1][-1].transient
    assert jobs[1][-1].reason.startswith(reason)
    assert isinstance(jobs[0][-1], Finished) and isinstance(jobs[2][-1], Finished)
    assert not multiprocessing.active_children()


def test_leaving_early_ends_the_processes(long_file):
    events = DecodePool(SETTINGS, workers=1).run([long_file])
    assert isinstance(next(events), Frame)
    events.close()
    assert not multiprocessing.active_children()


def test_no_files_are_no_work():
    assert list(DecodePool(SETTINGS).run([])) == []


def test_colour_survives_the_compression_at_full_resolution():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 200, 200  # red and blue columns, one pixel wide
    decoded = np.asarray(Image.open(io.BytesIO(jpeg_bytes(stripes, 95))))
    assert np.abs(decoded.astype(int) - stripes).mean() < 6
