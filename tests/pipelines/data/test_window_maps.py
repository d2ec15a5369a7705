from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data import window_maps as module
from pipelines.data.clips import Clips
from pipelines.data.examples import serialize_clip
from pipelines.data.listing.manifest import VideoInfo, shard_name, write_manifest
from pipelines.data.window_maps import padded_snippets, past_only, plan_maps, window_maps
from vad_keras.models import RelationAwareExtractor

LENGTHS, SIDE, CLIP_FRAMES = {"a": 21, "b": 3, "c": 9}, 16, 4


@pytest.fixture(scope="module")
def extractor():
    options = {"image_size": SIDE, "clip_frames": CLIP_FRAMES, "gate_dim": 4, "relation_units": 8, "scales": (1,)}
    return RelationAwareExtractor("mc3_18", **options, train_backbone=False, seed=0)


@pytest.fixture
def clips(tmp_path):
    """Videos of noise in snippets of 4 frames."""
    videos = [VideoInfo(key, key, "train", 0, "", 30.0, 99, SIDE, SIDE, count, None) for key, count in LENGTHS.items()]
    rng = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(tmp_path / shard_name("clips", 0, 1))) as writer:
        for video in videos:
            frames = rng.integers(0, 256, (video.num_sampled, SIDE, SIDE, 3)).astype("uint8")
            for first in range(0, len(frames), CLIP_FRAMES):
                jpegs = [tf.io.encode_jpeg(frame).numpy() for frame in frames[first : first + CLIP_FRAMES]]
                indices = range(first, first + len(jpegs))
                writer.write(serialize_clip(jpegs, indices, indices, video.video_id, first // CLIP_FRAMES, 0, 30.0))
    write_manifest(tmp_path, videos)
    return Clips(tmp_path, CLIP_FRAMES, SIDE)


def frames_of(clips, video):
    order = [(video.video_id, snippet) for snippet in range(clips.num_snippets(video))]
    return np.concatenate([clip["frames"][clip["mask"]] for clip in clips.dataset(lambda: iter(order))])


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=3e-3, atol=2e-3 * np.abs(expected).max())


def test_windows_give_the_maps_of_the_whole_video(clips, extractor, monkeypatch):
    monkeypatch.setattr(module, "WINDOW_FRAMES", 16)  # of which 6 are kept: two windows of the longest video
    videos, found = clips.manifest.videos, {}
    for video, window, maps in window_maps(clips, extractor, videos):
        assert maps.dtype == np.float16 and window.keep_start == sum(map(len, found.get(video.video_id, [])))
        found.setdefault(video.video_id, []).append(maps)
    assert [len(found[key]) for key in LENGTHS] == [2, 1, 1]
    for video in videos:
        whole = np.asarray(extractor.feature_maps(frames_of(clips, video)[None]))[0]
        close(np.concatenate(found[video.video_id]), whole)


def test_of_the_past_alone_a_snippet_is_the_last_of_what_it_sees(clips, extractor):
    video = clips.manifest.videos[0]
    frames = frames_of(clips, video)
    for _, window, maps in window_maps(clips, extractor, [video], past_only=True):
        assert (window.keep_start % CLIP_FRAMES, window.stop) == (0, window.keep_stop)
        whole = np.asarray(extractor.feature_maps(frames[None, : window.stop]))[0]
        close(maps, whole[window.keep_start :])


def test_a_frame_is_computed_as_few_times_as_the_stride_allows(extractor):
    windows = plan_maps(extractor, 10_000, 8)
    assert 10_000 / sum(window.stop - window.start for window in windows) > 0.92
    causal = plan_maps(extractor, 10_000, 8, past_only=True)
    assert {window.stop - window.start for window in causal[1:]} == {13}


def test_causal_cliques_take_the_past_only():
    assert [past_only(SimpleNamespace(detector=SimpleNamespace(alignment=a))) for a in ("causal", "centered")] == [
        True,
        False,
    ]


def test_pieces_are_regrouped_to_padded_snippets():
    maps = np.arange(1, 12, dtype=np.float16).reshape(11, 1, 1, 1)
    batches = list(padded_snippets(iter([maps[:1], maps[1:10], maps[10:]]), clip_frames=2, count=2))
    assert [batch.shape[0] for batch, _ in batches] == [2, 2, 2]
    assert batches[2][0][:, :, 0, 0, 0].tolist() == [[9, 10], [11, 0]]
    assert batches[2][1].tolist() == [[True, True], [True, False]]
