import numpy as np
import pytest
import tensorflow as tf

from pipelines.data.clips import Clips
from pipelines.data.examples import serialize_clip
from pipelines.data.listing.manifest import VideoInfo, shard_name, write_manifest
from pipelines.data.map_cache import MapCache
from vad_keras.models import RelationAwareExtractor
from vad_keras.models.backbones import build_backbone

LENGTHS = {"a": 7, "b": 2, "c": 4, "d": 3}


@pytest.fixture
def clips(tmp_path):
    """Four videos of noise in snippets of 4 frames."""
    folder = tmp_path / "clips"
    folder.mkdir()
    videos = [VideoInfo(key, key, "train", 0, "", 30.0, 99, 32, 32, count, None) for key, count in LENGTHS.items()]
    rng = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(folder / shard_name("clips", 0, 1))) as writer:
        for video in videos:
            frames = rng.integers(0, 256, (video.num_sampled, 32, 32, 3)).astype("uint8")
            jpegs = [tf.io.encode_jpeg(frame).numpy() for frame in frames]
            for first in range(0, len(jpegs), 4):
                part = jpegs[first : first + 4]
                indices = [3 * i for i in range(first, first + len(part))]
                writer.write(serialize_clip(part, indices, indices, video.video_id, first // 4, 0, 30.0))
    write_manifest(folder, videos)
    return Clips(folder, clip_frames=4, image_size_px=32)


@pytest.fixture(scope="module")
def extractor():
    return RelationAwareExtractor("small", image_size=32, clip_frames=4, train_backbone=False)


def test_maps_are_those_of_the_backbone_with_zeros_in_the_padding(clips, extractor, tmp_path):
    cache = MapCache(tmp_path, clips, extractor)
    assert not cache.is_complete
    cache.fill(extractor)
    video = clips.manifest.videos[0]
    frames = np.stack([clip["frames"].numpy() for clip in clips.dataset(lambda: iter([("a", 0), ("a", 1)]))])
    maps, mask = cache.read(video)
    assert mask.tolist() == [[True] * 4, [True] * 3 + [False]]
    np.testing.assert_allclose(maps[mask], np.asarray(extractor.feature_maps(frames))[mask], rtol=2e-3, atol=1e-3)
    assert not maps[~mask].any()
    assert cache.frame_indices(video) == [0, 3, 6, 9, 12, 15, 18]


def test_a_dataset_gives_the_snippets_that_are_asked_for(clips, extractor, tmp_path):
    cache = MapCache(tmp_path, clips, extractor).fill(extractor)
    read = list(cache.dataset(lambda: iter([("d", 0), ("a", 1)])).as_numpy_iterator())
    for given, (video, snippet) in zip(read, [(3, 0), (0, 1)], strict=True):
        maps, mask = cache.read(clips.manifest.videos[video], snippet, 1)
        np.testing.assert_array_equal(given["maps"], maps[0])
        np.testing.assert_array_equal(given["mask"], mask[0])


def test_progress_counts_every_snippet(clips, extractor, tmp_path):
    seen = []

    def track(snippets, total):
        for snippet in snippets:
            seen.append(total)
            yield snippet

    MapCache(tmp_path, clips, extractor).fill(extractor, track)
    assert seen == [5] * 5


def test_an_interrupted_cache_computes_only_what_is_missing(clips, extractor, tmp_path, monkeypatch):
    whole = MapCache(tmp_path, clips, extractor).fill(extractor)
    expected = {video.video_id: whole.read(video)[0] for video in clips.manifest.videos}
    lines = whole.index_path.read_text().splitlines(keepends=True)
    whole.index_path.write_text("".join(lines[:2]) + lines[2][:10])
    computed, write = [], MapCache._write

    def recording(self, extractor, videos, data):
        computed.extend(video.video_id for video in videos)
        return write(self, extractor, videos, data)

    monkeypatch.setattr(MapCache, "_write", recording)
    resumed = MapCache(tmp_path, clips, extractor).fill(extractor)
    assert computed == ["c", "d"]
    assert MapCache(tmp_path, clips, extractor).is_complete
    for video in clips.manifest.videos:
        np.testing.assert_array_equal(resumed.read(video)[0], expected[video.video_id])


def test_other_backbone_weights_never_meet_old_maps(clips, tmp_path):
    extractor = RelationAwareExtractor("small", image_size=32, clip_frames=4)
    MapCache(tmp_path, clips, extractor).fill(extractor)
    for weight in extractor.backbone.weights:
        weight.assign(weight + 0.1)
    other = MapCache(tmp_path, clips, extractor)
    assert not other.is_complete
    other.fill(extractor)
    assert len(list(tmp_path.glob("*.f16"))) == 1


def test_another_layer_never_meets_old_maps(clips, tmp_path):
    weights = tmp_path / "mobilenet_v2.weights.h5"
    build_backbone("mobilenet_v2", 32).save_weights(weights)
    options = {"image_size": 32, "clip_frames": 4, "gate_dim": 0, "train_backbone": False, "weights": str(weights)}
    paths = {
        MapCache(tmp_path, clips, RelationAwareExtractor("mobilenet_v2", backbone_layer=layer, **options)).data_path
        for layer in ("block_13_expand", "block_13_expand_BN", "block_13_expand_relu", None)
    }
    assert len(paths) == 4  # a ReLU has no weights of its own


def test_damaged_maps_are_computed_again_and_the_others_stay(clips, extractor, tmp_path, monkeypatch):
    cache = MapCache(tmp_path, clips, extractor).fill(extractor)
    expected, lines = cache.data_path.read_bytes(), cache.index_path.read_text().splitlines()
    computed, write = [], MapCache._write

    def recording(self, extractor, videos, data):
        computed.append([video.video_id for video in videos])
        return write(self, extractor, videos, data)

    def refilled():
        other = MapCache(tmp_path, clips, extractor)
        assert not other.is_complete
        other.fill(extractor)
        assert cache.data_path.read_bytes() == expected and MapCache(tmp_path, clips, extractor).is_complete
        assert sorted(cache.index_path.read_text().splitlines()) == sorted(lines)

    monkeypatch.setattr(MapCache, "_write", recording)
    place = len(expected) * 8 // 16  # within the frames of "b", of 7 to 8 of 16
    cache.data_path.write_bytes(expected[:place] + bytes([expected[place] ^ 1]) + expected[place + 1 :])
    refilled()
    cache.data_path.write_bytes(expected[:-2])
    refilled()
    cache.index_path.write_text("\n".join([lines[0].replace("12", "13"), lines[1][:-1], *lines[2:]]) + "\n")
    refilled()
    assert computed == [["b"], ["a", "b", "c", "d"], ["a", "b"]]
