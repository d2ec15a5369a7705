"""A stream is scored with the numbers of the whole video, at constant work."""


import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.model_info import ModelInfo
from pipelines.serving.scorer import Scorer
from pipelines.serving.stream import StreamScorer
from tests.pipelines.serving.test_scorer import CLIP_FRAMES, score, some_frames
from vad_keras.models import AnomalyDetector


class DetectorEngine:
    """A detector with random weights on nodes that are the first pixels of their frame."""

    version = "1"

    def __init__(self, localities=(1, 3, 8), iterations=3, **options):
        config = {"temporal_localities": localities, "max_iterations": iterations, **options}
        facts = {"clip_frames": CLIP_FRAMES, "image_size_px": 8, "num_patches": 2, "jpeg_quality": 100}
        facts |= {"name": "random", "temporal_reach": (0, 0), "scales": (1,), "frames_per_sec": 0.0, "threshold": 0.5}
        self.info = ModelInfo(**facts, feature_dim=3, config={"detector": config})
        self.detector = AnomalyDetector(4, 4, hidden_units=4, tolerance=0.0, node_normalization="none", **config)
        self.detector.build({"nodes": (None, None, 2, 3)})
        rng = np.random.default_rng(0)
        for weight in self.detector.trainable_variables:
            weight.assign(np.asarray(weight) + rng.normal(0, 0.7, weight.shape))
        self.extracted, self.scored = [], []

    def extract(self, frames):
        self.extracted.append(len(frames))
        return {"nodes": frames[:, :2, 0].astype(np.float32) / 64 - 2}

    def score_nodes(self, inputs):
        nodes = inputs["nodes"]
        self.scored.append(len(nodes))
        outputs = self.detector({"nodes": nodes[None], "mask": np.ones((1, len(nodes)), bool)})
        return {name: np.asarray(outputs[name])[0] for name in ("anomaly_score", "patch_score")}


def test_files_and_streams_turn_as_many_frames_into_nodes_at_once():
    engine = DetectorEngine()
    for scorer in (Scorer(engine), StreamScorer(engine)):
        score(scorer, some_frames(3 * CLIP_FRAMES + 1)[:, :8, :8], 5)
    assert engine.extracted == 2 * [CLIP_FRAMES, CLIP_FRAMES, CLIP_FRAMES, 1], "kernels depend on the size of a batch"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"score_from": "marginals", "localities": (7,)},
        {"score_from": "mean", "alignment": "causal"},
        {"context_frames": 21},
    ],
    ids=str,
)
def test_a_stream_has_the_scores_of_the_whole_video(options):
    engine, frames = DetectorEngine(**options), some_frames(54)[:, :8, :8]
    whole = score(Scorer(engine), frames, 54)
    stream = score(StreamScorer(engine), frames, 6)
    np.testing.assert_allclose(stream.anomaly_score, whole.anomaly_score, atol=1e-5)
    np.testing.assert_allclose(stream.patch_score, whole.patch_score, atol=1e-5)
    assert (StreamScorer(engine).full_lag_frames == 0) == (options.get("alignment") == "causal")


def test_the_full_lag_is_not_longer_than_needed():
    engine, frames = DetectorEngine(), some_frames(24)[:, :8, :8]
    whole = score(Scorer(engine), frames, 24)
    short = score(StreamScorer(engine, lag_frames=StreamScorer(engine).full_lag_frames - 1), frames, 1)
    assert np.abs(short.anomaly_score - whole.anomaly_score).max() > 1e-5


@pytest.mark.parametrize("num_frames", [1, 6, 37])
def test_an_exported_model_gives_a_stream_the_scores_of_the_whole_video(exported, num_frames):
    engine, frames = SavedModelEngine(exported.folder), some_frames(num_frames)
    whole, stream = score(Scorer(engine), frames, 8), score(StreamScorer(engine), frames, 1)
    np.testing.assert_allclose(stream.anomaly_score, whole.anomaly_score, atol=1e-5)
    np.testing.assert_allclose(stream.patch_score, whole.patch_score, atol=1e-5)


def test_a_frame_is_scored_as_soon_as_its_snippet_and_its_clique_are_complete():
    causal, centered = StreamScorer(DetectorEngine(alignment="causal")), StreamScorer(DetectorEngine())
    frames = some_frames(20)[:, :8, :8]
    assert [len(causal.push(frame[None]).anomaly_score) for frame in frames] == [0, 0, 0, 4] * 5
    assert centered.lag_frames == 4
    assert [len(centered.push(frame[None]).anomaly_score) for frame in frames] == [0] * 11 + [8] + [0, 0, 0, 4] * 2


def test_with_a_shorter_lag_the_cliques_are_cut_at_the_newest_frame():
    engine, frames = DetectorEngine(), some_frames(40)[:, :8, :8]
    early = StreamScorer(engine, lag_frames=0).push(frames).anomaly_score
    np.testing.assert_array_equal(early, score(Scorer(engine), frames, 40).anomaly_score)
    assert StreamScorer(engine, lag_frames=99).lag_frames == 4


def test_work_and_memory_do_not_grow_with_the_stream():
    engine, frames = DetectorEngine(score_from="marginals"), some_frames(4)[:, :8, :8]
    engine.detector = lambda inputs: {name: np.zeros(inputs["mask"].shape) for name in ("anomaly_score", "patch_score")}
    scorer = StreamScorer(engine)
    for _ in range(75):
        scorer.push(frames)
    assert engine.extracted == [CLIP_FRAMES] * 75  # every frame once
    assert len(set(engine.scored[-50:])) == 1
    assert engine.scored[-1] == scorer.frames_before + CLIP_FRAMES + scorer.lag_frames
    assert sum(len(part["nodes"]) for part in scorer._nodes) <= engine.scored[-1]


def test_a_baseline_that_needs_the_whole_video_is_refused():
    engine = DetectorEngine()
    engine.info.config["train_detector"] = {"model": "sultani"}
    with pytest.raises(UserError, match=r"`random` is the baseline `sultani`.*`vad score`"):
        StreamScorer(engine)
