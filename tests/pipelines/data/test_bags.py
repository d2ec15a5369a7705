"""Tests of pipelines.data.bags: each node tells its frame (channel 0) and its video (channel 1)."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data import bags as bags_module
from pipelines.data.bags import (
    SAMPLINGS,
    check_training,
    has_prior,
    node_shape,
    normal_priors,
    read_bags,
    segment_bounds,
    segment_means,
    steps_per_epoch,
    training_bags,
    whole_bags,
)

LENGTHS = [(1, 5), (0, 40), (0, 12), (1, 33), (0, 8), (1, 17), (0, 20)]
BAG_FRAMES = 10


@pytest.fixture
def nodes(tmp_path, write_nodes):
    """Folder and videos of 3 abnormal and 4 normal videos of 5 to 40 frames."""
    videos = {f"v{number}": ("train", label, count) for number, (label, count) in enumerate(LENGTHS)}
    return tmp_path, write_nodes(tmp_path, videos)


def batches(folder, videos, count, batch_size=4, **options):
    """The first batches as NumPy: frames `(B, T)`, videos `(B, T)`, masks, labels and whole nodes."""
    dataset = training_bags(folder, videos, batch_size, BAG_FRAMES, **options)
    for inputs, labels in itertools.islice(dataset, count):
        values = inputs["nodes"].numpy()
        yield values[..., 0, 0], values[..., 0, 1], inputs["mask"].numpy(), labels.numpy(), values


def bags(*arguments, **options):
    """The same, bag by bag: frames, video number, label; padding taken off."""
    for frames, videos, masks, labels, _ in batches(*arguments, **options):
        for frame, video, mask, label in zip(frames, videos, masks, labels, strict=True):
            assert len(set(video[mask])) == 1
            yield frame[mask], int(video[0]), int(label)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_batch_is_half_abnormal_half_normal_and_padding_is_masked(nodes, sampling):
    for _, videos, masks, labels, values in batches(*nodes, 8, sampling=sampling):
        assert (
            values.shape == (4, BAG_FRAMES, 5, 8)
            and values.dtype == (np.float32 if sampling == "segment_mean" else np.float16)
            and masks.dtype == bool
        )
        assert labels.tolist() == [1, 1, 0, 0]
        assert labels.tolist() == [LENGTHS[int(number)][0] for number in videos[:, 0]]
        real = [min(LENGTHS[int(number)][1], BAG_FRAMES) for number in videos[:, 0]]
        if sampling == "segment_mean":
            real = [BAG_FRAMES] * 4
        np.testing.assert_array_equal(masks, np.arange(BAG_FRAMES) < np.array(real)[:, None])
        np.testing.assert_array_equal(values[~masks], 0)


@pytest.mark.parametrize("sampling", ["mixed", "segment_mean"])
def test_a_resumed_training_gets_the_batches_that_it_has_not_had(nodes, sampling):
    whole, rest = (list(batches(*nodes, 9 - skip, sampling=sampling, skip=skip)) for skip in (0, 4))
    for one, other in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(one[4], other[4])


@pytest.mark.parametrize("sampling", ["window", "segments", "mixed"])
def test_a_short_video_is_taken_whole(nodes, sampling):
    short = [frames for frames, video, _ in bags(*nodes, 8, sampling=sampling) if LENGTHS[video][1] <= BAG_FRAMES]
    assert short and all(frames.tolist() == list(range(len(frames))) for frames in short)
    assert {len(frames) for frames in short} == {5, 8}


def test_windows_are_consecutive_and_start_anywhere(nodes):
    long = [frames for frames, video, _ in bags(*nodes, 60, sampling="window") if LENGTHS[video][1] == 17]
    assert all(np.diff(frames).tolist() == [1] * 9 for frames in long)
    assert {int(frames[0]) for frames in long} == set(range(8))


def test_segments_give_one_frame_of_each_equal_part(nodes):
    seen = set()
    for frames, video, _ in bags(*nodes, 40, sampling="segments"):
        if LENGTHS[video][1] == 33:
            parts = [range(33 * part // 10, 33 * (part + 1) // 10) for part in range(10)]
            assert all(frame in part for frame, part in zip(frames, parts, strict=True))
            seen |= {int(frame) for frame in frames}
    assert len(seen) > 25  # of 33


def test_mixed_gives_windows_and_segments(nodes):
    steps = [np.diff(frames).max() for frames, video, _ in bags(*nodes, 40, sampling="mixed") if LENGTHS[video][1] > 30]
    assert 0.2 < np.mean(np.array(steps) == 1) < 0.8


def mean_parts(values, segments):
    """Oracle, as in [1]: part i from `i T // segments`; an empty part is its first frame."""
    bounds = [index * len(values) // segments for index in range(segments + 1)]
    return np.stack([values[a : max(b, a + 1)].mean(axis=0) for a, b in itertools.pairwise(bounds)])


@pytest.mark.parametrize("count", [1, 5, 10, 17, 40])
def test_segment_means_equal_numpy(count):
    values = np.random.default_rng(count).normal(size=(count, 3, 2)).astype("float32")
    np.testing.assert_allclose(segment_means(values, 10).numpy(), mean_parts(values, 10), atol=1e-5)
    assert segment_bounds(count, 10).numpy().tolist() == [index * count // 10 for index in range(11)]


def test_training_on_segment_means_sees_the_mean_of_each_part(nodes):
    folder, videos = nodes
    stored = {int(bag["nodes"][0, 0, 1]): bag["nodes"].numpy().astype("float32") for bag in read_bags(folder, videos)}
    for _, numbers, _, _, values in batches(folder, videos, 3, sampling="segment_mean"):
        for number, found in zip(numbers[:, 0], values, strict=True):
            np.testing.assert_allclose(found, mean_parts(stored[int(number)], BAG_FRAMES), atol=1e-2)


def test_each_round_takes_every_video_of_a_label_once(nodes):
    drawn = [[video for _, video, label in bags(*nodes, 6) if label == wanted] for wanted in (0, 1)]
    for wanted, size in ((0, 4), (1, 3)):
        everything = {number for number, (label, _) in enumerate(LENGTHS) if label == wanted}
        rounds = [drawn[wanted][first : first + size] for first in range(0, 12, size)]
        assert all(set(part) == everything for part in rounds)
        assert len({tuple(part) for part in rounds}) > 1


def test_a_seed_repeats_exactly_and_another_one_differs(nodes):
    def drawn(**options):
        return np.concatenate([values.ravel() for *_, values in batches(*nodes, 5, **options)])

    first = drawn(seed=3)
    np.testing.assert_array_equal(drawn(seed=3), first)
    assert not np.array_equal(drawn(seed=4), first)
    from_disk = drawn(seed=3, cache=False)
    np.testing.assert_array_equal(drawn(seed=3, cache=False), from_disk)
    assert not np.array_equal(drawn(seed=4, cache=False), from_disk)


def test_without_a_cache_the_videos_are_mixed_and_come_equally_often(nodes):
    drawn = [video for _, video, label in bags(*nodes, 32, cache=False) if label == 1]
    counts = [drawn.count(number) for number in set(drawn)]
    assert len(counts) == 3 and max(counts) - min(counts) <= 3
    assert drawn[:3] != drawn[3:6] or drawn[3:6] != drawn[6:9]


def test_an_epoch_lasts_until_the_more_frequent_label_was_seen(nodes):
    _, videos = nodes
    assert [steps_per_epoch(videos, size) for size in (2, 4, 6, 8, 32)] == [4, 2, 2, 1, 1]
    assert steps_per_epoch([video for video in videos if video.label], 2) == 3


def test_whole_videos_are_padded_to_the_longest_of_their_batch(nodes):
    folder, videos = nodes
    seen = {}
    for inputs, labels, origin in whole_bags(folder, videos, batch_size=3):
        names = [name.decode() for name in origin["video_id"].numpy()]
        lengths = [videos[int(name[1:])].num_sampled for name in names]
        values, masks = inputs["nodes"].numpy(), inputs["mask"].numpy()
        assert values.shape == (len(names), max(lengths), 5, 8)
        np.testing.assert_array_equal(masks, np.arange(max(lengths)) < np.array(lengths)[:, None])
        np.testing.assert_array_equal(values[~masks], 0)
        for row, (name, length) in enumerate(zip(names, lengths, strict=True)):
            assert values[row, :length, 0, 0].tolist() == list(range(length))
            assert origin["frame_indices"].numpy()[row, :length].tolist() == list(range(0, 4 * length, 4))
            seen[name] = labels.numpy()[row]
    assert seen == {video.video_id: video.label for video in videos}


def test_whole_videos_may_come_as_segment_means(nodes):
    folder, videos = nodes
    stored = {bag["video_id"].numpy(): bag["nodes"].numpy().astype("float32") for bag in read_bags(folder, videos)}
    for inputs, _, origin in whole_bags(folder, videos, segments=6):
        expected = mean_parts(stored[origin["video_id"].numpy()[0]], 6)
        np.testing.assert_allclose(inputs["nodes"].numpy()[0], expected, atol=1e-4)
        assert inputs["mask"].numpy().all()


def test_only_the_videos_asked_for_are_read_with_the_labels_of_the_list(nodes):
    folder, videos = nodes
    asked = [dataclasses.replace(videos[2], label=1), dataclasses.replace(videos[0], label=None)]
    found = {bag["video_id"].numpy().decode(): int(bag["label"]) for bag in read_bags(folder, asked)}
    assert found == {"v2": 1, "v0": -1}
    assert node_shape(folder) == (5, 8)
    assert training_bags(folder, videos, 2, 3).element_spec[0]["nodes"].shape[1:] == (3, 5, 8)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_an_odd_batch_is_named(nodes, size):
    with pytest.raises(UserError, match=rf"`train_detector.batch_size` must be even.*Received: {size}\."):
        training_bags(*nodes, size, BAG_FRAMES)


def test_an_unknown_sampling_is_named(nodes):
    with pytest.raises(UserError, match=r"`train_detector.sampling` must be one of .*'all'"):
        training_bags(*nodes, 2, BAG_FRAMES, sampling="all")


@pytest.mark.parametrize("kept", [0, 1])
def test_training_videos_of_one_label_are_refused(nodes, kept):
    folder, videos = nodes
    with pytest.raises(UserError, match=rf"no training video has label {1 - kept}\..*labels.csv"):
        training_bags(folder, [video for video in videos if video.label == kept], 2, BAG_FRAMES)


def test_the_check_before_a_training_builds_no_dataset(nodes, monkeypatch):
    monkeypatch.setattr(bags_module, "read_bags", None)
    check_training(*nodes, 4, "mixed")
    with pytest.raises(UserError, match="must be even"):
        check_training(*nodes, 5, "mixed")


def test_no_videos_and_no_records_are_refused(nodes, tmp_path):
    with pytest.raises(UserError, match="there is no video to read"):
        read_bags(nodes[0], [])
    with pytest.raises(UserError, match=r"holds no nodes-\*\.tfrecord"):
        whole_bags(tmp_path / "nowhere", nodes[1])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_prior_is_cut_and_padded_as_its_nodes(tmp_path, write_nodes, sampling):
    videos = write_nodes(tmp_path, {f"v{i}": ("train", label, n) for i, (label, n) in enumerate(LENGTHS)}, prior=True)
    assert has_prior(tmp_path)
    for inputs, _ in itertools.islice(training_bags(tmp_path, videos, 4, BAG_FRAMES, sampling, prior=True), 4):
        assert inputs["prior"].dtype == np.float32 and inputs["prior"].shape == (4, BAG_FRAMES, 5)
        np.testing.assert_allclose(inputs["prior"], inputs["nodes"][..., 0], rtol=1e-3)
    for segments in (0, 3):
        for inputs, _, _ in whole_bags(tmp_path, videos, 2, segments, prior=True):
            np.testing.assert_allclose(inputs["prior"], inputs["nodes"][..., 0], rtol=1e-3)
    assert not any("prior" in inputs for inputs, *_ in whole_bags(tmp_path, videos))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_given_prior_goes_with_its_video(nodes, sampling):
    folder, videos = nodes
    priors = {
        bag["video_id"].numpy().decode(): 2 * bag["nodes"].numpy()[..., 0].astype("float32")
        for bag in read_bags(folder, videos)
    }
    for inputs, _ in itertools.islice(training_bags(folder, videos, 4, BAG_FRAMES, sampling, prior=priors), 4):
        np.testing.assert_allclose(inputs["prior"], 2 * inputs["nodes"].numpy()[..., 0], rtol=1e-3)
    for inputs, _, _ in whole_bags(folder, videos, 2, prior=priors):
        np.testing.assert_allclose(inputs["prior"], 2 * inputs["nodes"].numpy()[..., 0], rtol=1e-3)


def test_a_prior_that_is_not_stored_names_the_way_out(nodes):
    assert not has_prior(nodes[0])
    with pytest.raises(UserError, match=r"hold no prior\. Set `extractor\.prior_labels`.*run `vad train-extractor`"):
        whole_bags(*nodes, prior=True)


def test_a_damaged_shard_stops_every_reader_before_the_first_batch(nodes):
    folder, videos = nodes
    path = sorted(folder.glob("nodes-*"))[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    readers = [lambda: read_bags(folder, videos), lambda: whole_bags(folder, videos), lambda: has_prior(folder)]
    readers += [lambda: training_bags(folder, videos, 4, BAG_FRAMES), lambda: node_shape(folder)]
    for read in readers:
        with pytest.raises(UserError, match=rf"{path.name} is damaged .*Run `vad extract` or `vad import-features`"):
            read()


def test_a_video_without_a_record_is_missed(nodes):
    folder, videos = nodes
    sorted(folder.glob("nodes-*"))[1].write_bytes(b"")  # cut at the start of a record: no checksum fails
    with pytest.raises(UserError, match=r"lack 3 of 7 videos, such as v1\. Run `vad extract` or"):
        read_bags(folder, videos)


def test_the_mean_of_a_part_leaves_out_what_is_missing_in_a_prior():
    prior = np.array([1.0, np.nan, 3.0, 5.0, np.nan, np.nan], np.float32)
    bag = {"nodes": tf.reshape(tf.range(6.0), (6, 1, 1)), "prior": tf.constant(prior[:, None])}
    means = bags_module._means(bag, 3)
    np.testing.assert_array_equal(means["prior"], [[1.0], [4.0], [np.nan]])
    np.testing.assert_array_equal(means["nodes"][:, 0, 0], [0.5, 2.5, 4.5])


def test_a_prior_that_no_normal_video_knows_has_no_scale(monkeypatch):
    videos = [SimpleNamespace(label=0), SimpleNamespace(label=0), SimpleNamespace(label=1)]
    priors = [np.full((2, 1), np.nan), np.full((2, 1), np.nan)]
    monkeypatch.setattr(bags_module, "read_bags", lambda *_, **__: [{"prior": tf.constant(one)} for one in priors])
    with pytest.raises(UserError, match=r"all 2 normal training videos in nodes is NaN.*`features\.prior_root`"):
        normal_priors("nodes", videos)
    priors[1][1] = 1.0
    assert len(normal_priors("nodes", videos)) == 2
