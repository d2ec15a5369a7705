"""Scores frames with an exported model alone: no Keras, no class of this project's core."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.config import UserError
from pipelines.serving.model_info import read_model_info
from pipelines.serving.versions import version_folder
from vad_keras import spec

SNIPPETS_PER_CALL = 4
WINDOW_FRAMES = 2048


class VideoScores(NamedTuple):
    """What the model says about the sampled frames of one video."""

    frame_indices: np.ndarray  # int64 (T,)
    anomaly_score: np.ndarray  # float32 (T,)
    patch_score: np.ndarray  # float32 (T, G)
    before_crf: np.ndarray  # float32 (T, G), probability of "abnormal" from the unary term alone
    after_crf: np.ndarray  # float32 (T, G), the same after the message passing


class SavedScorer:
    """An exported model, loaded.

    A video is streamed: its nodes are scored in windows with enough frames on both sides that every clique and every
    mean-field message is there, so that memory does not grow with the length of the video.

    Args:
        path: Folder of a version, or of a model (its newest version is taken).
        window_frames: Sampled frames that are scored at once.

    Attributes:
        folder: The version's folder.
        info: Its `ModelInfo`.

    Raises:
        UserError: when there is no exported model at `path`, or one that takes no frames.
    """

    def __init__(self, path, window_frames=WINDOW_FRAMES):
        self.folder = version_folder(path)
        self.info = read_model_info(self.folder)
        if not self.info.clip_frames:
            raise UserError(
                f"{self.folder} scores features, not videos: it was trained on feature files and has no extractor. "
                "Send nodes to its signature `score_nodes`, or train on videos."
            )
        self.window_frames = window_frames
        self._model = tf.saved_model.load(str(self.folder))
        self._signatures = self._model.signatures

    @property
    def margin_frames(self):
        """Frames on each side of a window from which a message can reach it."""
        detector = self.info.config.get("detector", {})
        widest = max(detector.get("temporal_localities", (1,)))
        return (detector.get("max_iterations", 0) + 2) * widest

    def score(self, snippets):
        """Scores one video.

        Args:
            snippets: Iterator of `pipelines.data.video.Snippet`s.

        Returns:
            `VideoScores` of its sampled frames.
        """
        indices = []
        parts = list(self._in_windows(self._nodes(snippets, indices)))
        return VideoScores(np.concatenate(indices), *(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _nodes(self, snippets, indices):
        """Nodes ``(n, G, C)`` of a few snippets at a time; the frames' indices are appended to `indices`."""
        group = []
        for snippet in snippets:
            indices.append(snippet.frame_indices[snippet.mask])
            group.append(snippet.frames[snippet.mask])
            if len(group) == SNIPPETS_PER_CALL:
                yield self._extract(group)
                group = []
        if group:
            yield self._extract(group)

    def _extract(self, group):
        frames = self.as_recorded(np.concatenate(group))
        nodes = self._signatures["extract"](frames=frames[None])[spec.NODES][0]
        return nodes.numpy().astype(np.float16)  # as `extract` stores them for training and evaluation

    def as_recorded(self, frames):
        """Frames ``(n, S, S, 3)`` after the JPEG compression under which the models were trained."""
        jpegs = [
            tf.io.encode_jpeg(frame, quality=self.info.jpeg_quality, chroma_downsampling=False) for frame in frames
        ]
        return tf.stack([tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE") for jpeg in jpegs])

    def _in_windows(self, groups):
        """What `VideoScores` holds, window by window; the margins before and after a window are only looked at."""
        held, length, scored, margin = [], 0, 0, self.margin_frames
        for group in groups:
            held.append(group)
            length += len(group)
            while length - scored >= self.window_frames + margin:
                nodes = np.concatenate(held)
                end = scored + self.window_frames
                yield self._score_nodes(nodes[: end + margin], scored, end)
                drop = max(end - margin, 0)
                held, length, scored = [nodes[drop:]], length - drop, end - drop
        if length > scored:
            yield self._score_nodes(np.concatenate(held), scored, length)

    def _score_nodes(self, nodes, start, end):
        outputs = self._signatures["score_nodes"](nodes=nodes[None].astype(np.float32))
        outputs = {key: value[0, start:end].numpy() for key, value in outputs.items() if key != spec.ITERATIONS}
        scores = outputs[spec.ANOMALY_SCORE]
        patch_scores = outputs.get(spec.PATCH_SCORE, np.repeat(scores[:, None], nodes.shape[1], axis=1))
        before = outputs.get(spec.UNARY_PROBABILITY, patch_scores)
        after = outputs[spec.MARGINALS][..., spec.ABNORMAL] if spec.MARGINALS in outputs else patch_scores
        return scores, patch_scores, before, after
