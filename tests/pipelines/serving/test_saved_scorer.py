"""Scoring with the exported model alone, streamed in windows."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.decode_pool import jpeg_bytes
from pipelines.data.video import Snippet
from pipelines.serving.saved_scorer import SavedScorer

SIDE, CLIP_FRAMES = 32, 4


def some_snippets(num_frames, every=3):
    """Snippets as `VideoReader.snippets` yields them, of smooth random frames."""
    rng = np.random.default_rng(4)
    frames = rng.integers(0, 256, (num_frames, 4, 4, 3)).astype("uint8").repeat(8, axis=1).repeat(8, axis=2)
    indices = np.arange(num_frames) * every
    for start in range(0, num_frames, CLIP_FRAMES):
        part, index = frames[start : start + CLIP_FRAMES], indices[start : start + CLIP_FRAMES]
        padding = CLIP_FRAMES - len(part)
        yield Snippet(
            np.pad(part, [(0, padding), (0, 0), (0, 0), (0, 0)]),
            np.arange(CLIP_FRAMES) < len(part),
            np.pad(index, (0, padding), constant_values=-1),
            np.pad(index / 10, (0, padding), constant_values=-1).astype("float32"),
        )


@pytest.mark.parametrize("num_frames", [1, 6, 37])
def test_a_streamed_video_gets_the_scores_of_the_keras_models(exported, num_frames):
    scorer = SavedScorer(exported.folder)
    result = scorer.score(some_snippets(num_frames))
    nodes = []
    for snippet in some_snippets(num_frames):
        frames = np.zeros_like(snippet.frames)
        frames[snippet.mask] = scorer.as_recorded(snippet.frames[snippet.mask])
        outputs = exported.extractor({"frames": frames[None], "mask": snippet.mask[None]})
        nodes.append(np.asarray(outputs["nodes"])[0, snippet.mask])
    nodes = np.concatenate(nodes).astype("float16").astype("float32")[None]
    expected = exported.detector({"nodes": nodes, "mask": np.ones((1, num_frames), bool)})
    np.testing.assert_allclose(result.anomaly_score, np.asarray(expected["anomaly_score"])[0], atol=1e-5)
    np.testing.assert_allclose(result.patch_score, np.asarray(expected["patch_score"])[0], atol=1e-5)
    np.testing.assert_allclose(result.before_crf, np.asarray(expected["unary_probability"])[0], atol=1e-5)
    np.testing.assert_allclose(result.after_crf, np.asarray(expected["marginals"])[0, ..., 1], atol=1e-5)
    np.testing.assert_array_equal(result.frame_indices, np.arange(num_frames) * 3)


def test_frames_are_compressed_to_the_last_bit_as_prepare_does(exported):
    frames = next(some_snippets(4)).frames
    jpegs = [jpeg_bytes(frame, quality=90) for frame in frames]
    decoded = [tf.io.decode_jpeg(jpeg, dct_method="INTEGER_ACCURATE") for jpeg in jpegs]
    np.testing.assert_array_equal(SavedScorer(exported.folder).as_recorded(frames), decoded)


def test_windows_give_the_scores_of_the_whole_video(exported):
    whole = SavedScorer(exported.folder).score(some_snippets(400))
    in_windows = SavedScorer(exported.folder, window_frames=60)
    assert 2 * in_windows.margin_frames + 60 < 400
    parts = in_windows.score(some_snippets(400))
    tolerance = exported.config.detector.tolerance
    np.testing.assert_allclose(parts.anomaly_score, whole.anomaly_score, atol=tolerance)
    np.testing.assert_allclose(parts.patch_score, whole.patch_score, atol=tolerance)


def test_no_more_frames_than_a_window_and_its_margins_are_held(exported):
    scorer = SavedScorer(exported.folder, window_frames=60)
    score_nodes, lengths = scorer._score_nodes, []

    def spy(nodes, start, end):
        lengths.append(len(nodes))
        return score_nodes(nodes, start, end)

    scorer._score_nodes = spy
    scorer.score(some_snippets(700))
    assert max(lengths) <= 60 + 2 * scorer.margin_frames and len(lengths) > 5


def test_scoring_needs_neither_keras_nor_the_core(exported):
    program = f"""
import sys
sys.modules["keras"] = None  # an import of it fails from here on
import pipelines.stages.score
from pipelines.serving.saved_scorer import SavedScorer
scorer = SavedScorer({str(exported.folder)!r})
import numpy as np
frames = np.zeros((1, 3, 32, 32, 3), "uint8")
print(scorer._signatures["score_frames"](frames=frames)["anomaly_score"].shape)
loaded = [name for name in sys.modules if name.startswith("vad_keras.")]
assert loaded == ["vad_keras.spec"], loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "(1, 3)"


def test_a_folder_without_a_model_is_answered_with_the_way_out(tmp_path):
    with pytest.raises(UserError, match="Run `vad export` first"):
        SavedScorer(tmp_path)
