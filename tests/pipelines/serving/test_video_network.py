"""A video network and its prior in the exported graph and in the scorer: the numbers of the whole video."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from pipelines.serving import scorer as scoring
from pipelines.serving import signatures as exporting
from pipelines.serving.engines.saved_model import SavedModelEngine
from pipelines.serving.model_info import ModelInfo
from pipelines.serving.scorer import FrameScores, Scorer, as_recorded
from pipelines.serving.signatures import ServingSignatures
from pipelines.serving.warmup import warmup_inputs
from vad_keras.models import RelationAwareExtractor

SIDE, CLIP_FRAMES, NUM_FRAMES = 16, 4, 27


@keras.saving.register_keras_serializable("tests")
class PriorDetector(keras.Model):
    """Scores are those of the nodes alone, plus the prior where the model takes it."""

    def __init__(self, uses_prior=True, **kwargs):
        super().__init__(**kwargs)
        self.uses_prior = uses_prior

    def call(self, inputs, training=False):
        score = ops.mean(inputs["nodes"], axis=-1)
        if self.uses_prior:
            score = score + inputs["prior"]
        return {"anomaly_score": ops.max(score, axis=-1), "patch_score": score}


@pytest.fixture(scope="module")
def extractor():
    keras.utils.set_random_seed(3)
    options = {"image_size": SIDE, "clip_frames": CLIP_FRAMES, "gate_dim": 4, "relation_units": 8, "scales": (1,)}
    prior = {"prior_labels": ("fight", "no fight"), "prior_abnormal": ("fight",)}
    return RelationAwareExtractor("mc3_18", **options, **prior, seed=0)


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (2, NUM_FRAMES, SIDE, SIDE, 3)).astype("uint8")


def whole_maps(extractor, frames, past_only):
    """Maps ``(T, h, w, C)`` of one video, as a snippet sees it."""
    if not past_only:
        return np.asarray(extractor.feature_maps(frames[None]))[0]
    parts = []
    for stop in range(CLIP_FRAMES, len(frames) + CLIP_FRAMES, CLIP_FRAMES):
        maps = np.asarray(extractor.feature_maps(frames[None, :stop]))[0]
        parts.append(maps[stop - CLIP_FRAMES :])
    return np.concatenate(parts)


def expected_of(extractor, frames, past_only=False):
    """Nodes, prior and probability of the frames of one video."""
    maps, found = whole_maps(extractor, frames, past_only), []
    for first in range(0, len(maps), CLIP_FRAMES):
        part = maps[first : first + CLIP_FRAMES]
        padding = CLIP_FRAMES - len(part)
        mask = np.arange(CLIP_FRAMES)[None] < len(part)
        outputs = extractor({"maps": np.pad(part, [(0, padding), (0, 0), (0, 0), (0, 0)])[None], "mask": mask})
        values = [np.asarray(outputs[key])[0, mask[0]] for key in ("nodes", "prior")]
        found.append([*values, np.repeat(outputs["anomaly_probability"], len(part))])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("past_only", [False, True])
@pytest.mark.parametrize("num_frames", [3, NUM_FRAMES])
def test_the_graph_gives_the_nodes_of_the_whole_video(extractor, frames, past_only, num_frames, monkeypatch):
    monkeypatch.setattr(exporting, "WINDOW_FRAMES", 12)
    signatures = ServingSignatures(extractor, PriorDetector(), past_only=past_only)
    assert signatures.temporal_reach == (5, 0 if past_only else 5)
    found = signatures.extract(frames[:, :num_frames])
    assert found.keys() == {"nodes", "prior", "anomaly_score"}
    for video in range(2):
        expected = expected_of(extractor, frames[video, :num_frames], past_only)
        for key, values in zip(("nodes", "prior", "anomaly_score"), expected, strict=True):
            close(found[key][video], values)


@pytest.mark.parametrize("past_only", [False, True])
def test_a_scorer_gives_the_scores_of_the_whole_video(extractor, frames, past_only, monkeypatch):
    monkeypatch.setattr(scoring, "FRAMES_PER_CALL", 8)
    monkeypatch.setattr(scoring, "SNIPPETS_PER_CALL", 2)
    signatures = ServingSignatures(extractor, PriorDetector(), past_only=past_only)
    scorer = Scorer(engine_of(signatures))
    parts = [scorer.push(frames[0, start : start + 5]) for start in range(0, NUM_FRAMES, 5)]
    found = FrameScores.join([*parts, scorer.finish()])
    nodes, prior, _ = expected_of(extractor, as_recorded(frames[0], 100), past_only)
    close(found.patch_score, nodes.mean(-1) + prior)
    after = 0 if past_only else 5
    assert scorer.engine.lengths[:2] == [8 + after, 16 + after]  # 8 new frames, 8 of context, and those after them


def engine_of(signatures):
    """An engine of the signatures themselves."""
    info = ModelInfo("door", CLIP_FRAMES, 1, 512, (1,), SIDE, 0.0, 100, 0.5)
    lengths = []

    def extract(frames):
        lengths.append(len(frames))
        outputs = signatures.extract(frames[None])
        return {key: outputs[key][0].numpy() for key in ("nodes", "prior")}

    def score_nodes(inputs):
        outputs = signatures.score_nodes_with_prior(**{key: value[None] for key, value in inputs.items()})
        return {key: value[0].numpy() for key, value in outputs.items()}

    info = SimpleNamespace(**vars(info) | {"temporal_reach": signatures.temporal_reach})
    return SimpleNamespace(info=info, version="1", extract=extract, score_nodes=score_nodes, lengths=lengths)


def test_an_exported_model_takes_the_prior_beside_the_nodes(extractor, frames, tmp_path):
    signatures = ServingSignatures(extractor, PriorDetector())
    signatures.score_frames(frames[:1, :4])  # builds the detector
    signatures.save(tmp_path)
    options = {"temporal_reach": signatures.temporal_reach, "takes_prior": signatures.takes_prior}
    ModelInfo("door", CLIP_FRAMES, 1, 512, (1,), SIDE, 0.0, 100, 0.5, **options).write(tmp_path)
    engine = SavedModelEngine(tmp_path)
    assert (engine.info.temporal_reach, engine.info.takes_prior) == ((5, 5), True)
    inputs = engine.extract(frames[0])
    nodes, prior, _ = expected_of(extractor, frames[0])
    close(inputs["nodes"], nodes)
    close(inputs["prior"], prior)
    close(engine.score_nodes(inputs)["patch_score"], nodes.mean(-1) + prior)
    warmup = warmup_inputs(signatures)["score_nodes"]
    assert {key: value.shape for key, value in warmup.items()} == {"nodes": (1, 5, 1, 512), "prior": (1, 5, 1)}


def test_a_detector_without_a_prior_gets_the_nodes_alone(extractor, frames):
    signatures = ServingSignatures(extractor, PriorDetector(uses_prior=False))
    close(signatures.score_frames(frames[:1, :4])["patch_score"][0], expected_of(extractor, frames[0, :4])[0].mean(-1))
    assert [spec.name for spec in signatures.endpoints()["score_nodes"][1]] == ["nodes"]


def test_a_detector_that_needs_a_prior_is_not_exported_without_one():
    plain = RelationAwareExtractor("small", image_size=32, clip_frames=4, gate_dim=0, relation_units=4)
    with pytest.raises(ValueError, match="trained without `prior_labels`"):
        ServingSignatures(plain, PriorDetector())
