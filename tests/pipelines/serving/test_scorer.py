"""Scoring frames as they arrive, in windows."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.encode import jpeg_bytes
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.scorer import FrameScores, Scorer, as_recorded
from vad_keras.models import AnomalyDetector

SIDE, CLIP_FRAMES = 32, 4


@pytest.fixture(scope="module")
def engine(exported):
    return SavedModelEngine(exported.folder)


def some_frames(num_frames):
    """Smooth random frames."""
    blocks = np.random.default_rng(4).integers(0, 256, (num_frames, 4, 4, 3)).astype("uint8")
    return blocks.repeat(8, axis=1).repeat(8, axis=2)


def score(scorer, frames, piece):
    """Push frames in pieces and finish."""
    parts = [scorer.push(frames[start : start + piece]) for start in range(0, len(frames), piece)]
    return FrameScores.join([*parts, scorer.finish()])


def model_info(feature_dim=1, **config):
    """Facts on a model of small frames and snippets of two."""
    facts = {"clip_frames": 2, "image_size_px": 8, "num_patches": 1, "jpeg_quality": 100, "temporal_reach": (0, 0)}
    return SimpleNamespace(**facts, feature_dim=feature_dim, config=config)


class FakeEngine:
    """Nodes hold the first pixel of their frame; a frame's score is its node."""

    info = model_info(detector={"temporal_localities": [1, 2], "max_iterations": 1})
    version = "1"

    def __init__(self):
        self.extracted, self.scored = [], []

    def extract(self, frames):
        self.extracted.append(len(frames))
        return {"nodes": frames[:, :1, 0, :1].astype(np.float32)}

    def score_nodes(self, inputs):
        nodes = inputs["nodes"]
        self.scored.append(nodes[:, 0, 0].astype(int).tolist())
        return {"anomaly_score": nodes[:, 0, 0]}


@pytest.mark.parametrize("num_frames", [1, 6, 37])
def test_a_video_gets_the_scores_of_the_keras_models(exported, engine, num_frames):
    frames = some_frames(num_frames)
    result = score(Scorer(engine), frames, CLIP_FRAMES)
    nodes = []
    for start in range(0, num_frames, CLIP_FRAMES):
        part = as_recorded(frames[start : start + CLIP_FRAMES], quality=90)
        padded = np.pad(part, [(0, CLIP_FRAMES - len(part)), (0, 0), (0, 0), (0, 0)])
        mask = np.arange(CLIP_FRAMES) < len(part)
        outputs = exported.extractor({"frames": padded[None], "mask": mask[None]})
        nodes.append(np.asarray(outputs["nodes"])[0, mask])
    nodes = np.concatenate(nodes).astype("float16").astype("float32")[None]
    expected = exported.detector({"nodes": nodes, "mask": np.ones((1, num_frames), bool)})
    np.testing.assert_allclose(result.anomaly_score, np.asarray(expected["anomaly_score"])[0], atol=1e-5)
    np.testing.assert_allclose(result.patch_score, np.asarray(expected["patch_score"])[0], atol=1e-5)
    np.testing.assert_allclose(result.before_crf, np.asarray(expected["unary_probability"])[0], atol=1e-5)
    np.testing.assert_allclose(result.after_crf, np.asarray(expected["marginals"])[0, ..., 1], atol=1e-5)


@pytest.mark.parametrize("piece", [1, 5, 37])
def test_the_size_of_the_pieces_changes_no_bit(engine, piece):
    frames = some_frames(37)
    whole, in_pieces = score(Scorer(engine), frames, CLIP_FRAMES), score(Scorer(engine), frames, piece)
    for name, values in whole._asdict().items():
        np.testing.assert_array_equal(getattr(in_pieces, name), values, err_msg=name)


def test_a_push_returns_the_scores_that_have_become_final():
    scorer = Scorer(FakeEngine(), window_frames=4)
    assert scorer.margin_frames == 6
    frames = np.arange(30, dtype=np.uint8)[:, None, None, None] * np.ones((8, 8, 3), np.uint8)
    num_final = [len(scorer.push(frame[None]).anomaly_score) for frame in frames]
    # nodes come a snippet of 2 frames at a time; 4 frames are final as soon as 6 more are known
    assert {position + 1: count for position, count in enumerate(num_final) if count} == dict.fromkeys(
        range(10, 31, 4), 4
    )
    rest = scorer.finish()
    assert rest.anomaly_score.tolist() == list(range(24, 30))
    assert rest.patch_score.shape == (6, 1)
    assert scorer.engine.extracted == [2] * 15
    assert scorer.engine.scored == [
        list(range(10)),
        list(range(14)),
        list(range(2, 18)),
        list(range(6, 22)),
        list(range(10, 26)),
        list(range(14, 30)),
        list(range(18, 30)),
    ]


def test_two_sources_share_an_engine_and_not_their_frames(engine):
    frames = some_frames(20)
    first, second = Scorer(engine), Scorer(engine)
    parts = []
    for start in range(0, 20, 2):
        parts.append(first.push(frames[start : start + 2]))
        second.push(frames[::-1][start : start + 2])
    mixed = FrameScores.join([*parts, first.finish()])
    np.testing.assert_array_equal(mixed.anomaly_score, score(Scorer(engine), frames, 20).anomaly_score)


def test_no_frames_have_no_scores(engine):
    assert [len(values) for values in Scorer(engine).finish()] == [0, 0, 0, 0]


@pytest.mark.parametrize("quality", [50, 90, 100])
def test_frames_are_compressed_to_the_last_bit_as_in_training(quality):
    frames = some_frames(4)
    decoded = [tf.io.decode_jpeg(jpeg_bytes(frame, quality), dct_method="INTEGER_ACCURATE") for frame in frames]
    np.testing.assert_array_equal(as_recorded(frames, quality), decoded)


def test_windows_give_the_scores_of_the_whole_video(exported, engine):
    frames, in_windows = some_frames(400), Scorer(engine, window_frames=60)
    assert 2 * in_windows.margin_frames + 60 < 400
    whole, parts = score(Scorer(engine), frames, 50), score(in_windows, frames, 50)
    tolerance = exported.config.detector.tolerance
    np.testing.assert_allclose(parts.anomaly_score, whole.anomaly_score, atol=tolerance)
    np.testing.assert_allclose(parts.patch_score, whole.patch_score, atol=tolerance)


def test_a_baseline_scores_the_whole_video_at_once():
    engine = FakeEngine()
    engine.info = model_info(train_detector={"model": "sultani"})
    frames = np.zeros((60, 8, 8, 3), np.uint8)
    assert len(score(Scorer(engine, window_frames=4), frames, 10).anomaly_score) == 60
    assert [len(nodes) for nodes in engine.scored] == [60]


class MessageEngine:
    """A node is a frame's first pixel; messages of the CRF travel far before they fade."""

    version = "1"

    def __init__(self, alignment, context_frames=0):
        cliques = {"temporal_localities": (6,), "max_iterations": 6, "context_frames": context_frames}
        self.info = model_info(3, detector=cliques)
        options = cliques | {"tolerance": 0.0, "score_from": "marginals", "node_normalization": "none"}
        self.detector = AnomalyDetector(2, 2, alignment=alignment, hidden_units=2, **options)
        self.detector.build({"nodes": (None, None, 1, 3)})
        self.detector.attention.query.kernel.assign(np.zeros((3, 2)))  # equal weights in a clique
        self.detector.f_u.kernel.assign([[1.0, -1.0]] * 3)
        self.detector.crf.cell.raw_compatibility.assign([[0.0, 2.4], [2.4, 0.0]])

    def extract(self, frames):
        return {"nodes": frames[:, :1, 0].astype(np.float32) / 128 - 1}

    def score_nodes(self, inputs):
        nodes = inputs["nodes"]
        outputs = self.detector({"nodes": nodes[None], "mask": np.ones((1, len(nodes)), bool)})
        return {name: np.asarray(value)[0] for name, value in outputs.items()}


class HalfMargin(Scorer):
    margin_frames = property(lambda self: Scorer.margin_frames.fget(self) // 2)


def test_the_margin_holds_every_message_and_half_of_it_does_not():
    frames = some_frames(200)[:, :8, :8]
    for alignment in ("centered", "causal"):
        engine = MessageEngine(alignment)
        whole, in_windows = score(Scorer(engine), frames, 50), score(Scorer(engine, window_frames=30), frames, 50)
        np.testing.assert_allclose(in_windows.anomaly_score, whole.anomaly_score, atol=2e-6)
    assert Scorer(engine).margin_frames == 48
    halved = score(HalfMargin(engine, window_frames=30), frames, 50)
    assert np.abs(halved.anomaly_score - whole.anomaly_score).max() > 1e-4


@pytest.mark.parametrize("alignment", ["centered", "causal"])
def test_the_margin_holds_the_context_of_a_frame_and_that_of_the_messages_does_not(alignment):
    frames = np.sort(some_frames(400)[:, :8, :8], axis=0)[::-1 if alignment == "causal" else 1]
    engine = MessageEngine(alignment, context_frames=150)
    whole, in_windows = score(Scorer(engine), frames, 50), score(Scorer(engine, window_frames=30), frames, 50)
    np.testing.assert_allclose(in_windows.anomaly_score, whole.anomaly_score, atol=2e-6)
    engine.info.config["detector"]["context_frames"] = 0
    without = score(Scorer(engine, window_frames=30), frames, 50)
    assert np.abs(without.anomaly_score - whole.anomaly_score).max() > 1e-4


def test_no_more_nodes_than_a_window_and_its_margins_are_scored_at_once():
    engine = FakeEngine()
    scorer = Scorer(engine, window_frames=60)
    frames = np.zeros((700, 8, 8, 3), np.uint8)
    assert len(score(scorer, frames, 10).anomaly_score) == 700
    assert max(map(len, engine.scored)) <= 60 + 2 * scorer.margin_frames and len(engine.scored) > 5


@pytest.mark.parametrize("megabytes, expected", [(64, 744), (20, 100), (2, 96)])
def test_the_nodes_of_a_window_fit_into_a_request(megabytes, expected):
    engine = FakeEngine()
    detector = {"temporal_localities": [1, 8], "max_iterations": 10}  # 96 frames on each side of a window
    engine.info = SimpleNamespace(**vars(model_info(1280, detector=detector)) | {"num_patches": 14})
    engine.max_request_bytes = megabytes << 20
    assert Scorer(engine).window_frames == expected


def test_a_model_of_features_is_refused_with_the_way_out():
    engine = SimpleNamespace(info=SimpleNamespace(name="door", clip_frames=0), version="3")
    with pytest.raises(UserError, match=r"`door` version 3 scores features, not videos: .*`score_nodes`"):
        Scorer(engine)


@pytest.mark.parametrize("num_patches, expected", [(1, 2048), (14, 2048), (196, 293)])
def test_a_window_of_many_patches_has_fewer_frames(num_patches, expected):
    engine = FakeEngine()
    engine.info = SimpleNamespace(**vars(model_info()) | {"num_patches": num_patches})
    assert Scorer(engine).window_frames == expected
    assert Scorer(engine, window_frames=7).window_frames == 7
