"""notebooks/01_data.ipynb: what it says about frames, records, padding and bags is so."""

import re

import pytest
import tensorflow as tf


@pytest.fixture(scope="module")
def shown(run_on_tensorflow):
    return run_on_tensorflow("01_data")


def test_the_list_on_the_disk_is_the_one_it_prints(shown):
    labels = (shown.folder / "runs" / "small" / "videos" / "labels.csv").read_text().splitlines()
    assert len(labels) == 11 and "10 videos in runs/small/videos" in shown.text
    assert all(f"    {line}\n" in shown.text for line in labels[:5])


def test_the_last_snippet_is_as_short_as_the_video_says(shown):
    # 4.75 s at 8 frames per second: 38 frames, nine snippets of four and two frames
    assert "train/fight_001: 38 frames at 8 per second" in shown.text
    assert "snippet 9 of train/fight_001: 2 real frames" in shown.text
    assert shown.pictures == 3


def test_the_record_it_prints_is_the_one_in_the_shard(shown):
    shard = min((shown.folder / "runs" / "small" / "clips").glob("*.tfrecord"))
    record = next(iter(tf.data.TFRecordDataset(str(shard)))).numpy()
    jpegs = tf.train.Example.FromString(record).features.feature["frames"].bytes_list.value
    assert f"4 JPEG files, {sum(map(len, jpegs)):,} bytes" in shown.text
    assert re.search(r"frame_indices +int64_list +\[0, 1, 2, 3\]", shown.text)


def test_padding_full_of_noise_changes_no_score(shown):
    assert "nodes (B, T, G, C) = (1, 38, 14, " in shown.text
    assert float(re.search(r"largest difference of a score: (\S+)", shown.text)[1]) < 1e-6
