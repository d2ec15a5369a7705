"""Score the frames of one video or live source as they arrive, with any engine. It needs no TensorFlow."""

import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipelines.config import UserError
from pipelines.serving.model_info import SNIPPETS_PER_CALL
from vad_keras import spec

FRAMES_PER_CALL = 112  # at least, of a video network, whose calls overlap
WINDOW_FRAMES, WINDOW_NODES = 2048, 57344  # at most, of a window


class FrameScores(NamedTuple):
    """Scores of consecutive frames."""

    anomaly_score: np.ndarray  # float32 (n,)
    patch_score: np.ndarray  # float32 (n, G)
    before_crf: np.ndarray  # float32 (n, G), probability of "abnormal" from the unary term alone
    after_crf: np.ndarray  # float32 (n, G), the same after the message passing

    @classmethod
    def join(cls, parts):
        """Join scores of consecutive pieces of a video, at least one."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))


class Scorer:
    """Scores one video or source; the next one takes a scorer of its own, with the same engine.

    The frames of a video network are extracted in overlapping pieces, so that its maps are those of the whole video.
    Nodes are scored in windows. A window has enough frames on both sides that every clique and every mean-field
    message inside it is complete, so the memory does not grow with the length of the video. A baseline may compare a
    frame with all others, so it scores the whole video at once, when it ends.

    Args:
        engine: A ``pipelines.serving.engines.Engine``.
        window_frames: Frames whose scores become final at once; None: 2048, or fewer of many patches.

    Raises:
        UserError: The model takes features instead of frames.

    Example:

        scorer = Scorer(engine)
        parts = [scorer.push(frames) for frames in pieces]
        scores = FrameScores.join([*parts, scorer.finish()])
    """

    def __init__(self, engine, window_frames=None):
        self.engine, self.info = engine, engine.info
        if not self.info.clip_frames:
            raise UserError(
                f"model `{self.info.name}` version {engine.version} scores features, not videos: it was trained on "
                "feature files and has no extractor. Send nodes to its signature `score_nodes`, or train on videos."
            )
        model = self.info.config.get("train_detector", {}).get("model", "anomaly_detector")
        affordable = min(WINDOW_FRAMES, -(-WINDOW_NODES // self.info.num_patches), self._frames_per_request())
        self.window_frames = (window_frames or affordable) if model == "anomaly_detector" else math.inf
        self._frames = np.zeros((0, self.info.image_size_px, self.info.image_size_px, 3), np.uint8)
        self._num_context = 0  # that many of the frames have nodes and are context for the next ones
        self._nodes, self._num_nodes = [], 0
        self._num_scored = 0  # that many of the nodes have a score and are context for the next ones

    @property
    def margin_frames(self):
        """Number of frames on each side of a window that its scores depend on: by messages, or as their context."""
        detector = self.info.config.get("detector", {})
        widest = max(detector.get("temporal_localities", (1,)))
        return max((detector.get("max_iterations", 0) + 2) * widest, detector.get("context_frames", 0))

    @property
    def frames_before(self):
        """Number of scored frames that are kept as context of the next ones."""
        return self.margin_frames

    @property
    def frames_per_call(self):
        """Number of frames that are turned into nodes at once."""
        snippets = getattr(self.engine, "snippets_per_call", SNIPPETS_PER_CALL)
        if self.info.temporal_reach[1]:
            snippets = max(snippets, FRAMES_PER_CALL // self.info.clip_frames)
        return snippets * self.info.clip_frames

    def _frames_per_request(self):
        """Return the frames of a window, without those on its sides, that fit into one request."""
        limit = getattr(self.engine, "max_request_bytes", None)
        if limit is None:
            return WINDOW_FRAMES
        bytes_per_frame = self.info.num_patches * self.info.feature_dim * np.dtype(np.float32).itemsize
        margin = self.margin_frames  # a shorter window would be scored for less than a third of what is sent
        return max(limit // bytes_per_frame - 2 * margin, margin, self.info.clip_frames)

    def push(self, frames):
        """Take the next frames and return the scores that have become final.

        Args:
            frames: uint8 ``(n, S, S, 3)``, RGB, sampled at the rate of the model. Any n.

        Returns:
            ``FrameScores`` of the earliest frames without a score so far, often of none.
        """
        self._frames = np.concatenate([self._frames, as_recorded(frames, self.info.jpeg_quality)])
        while len(self._frames) - self._num_context >= self.frames_per_call + self.info.temporal_reach[1]:
            self._extract(self.frames_per_call)
        return self._final_scores()

    def _final_scores(self):
        """Return the ``FrameScores`` of whole windows."""
        parts = [self._no_scores()]
        while self._num_nodes - self._num_scored >= self.window_frames + self.margin_frames:
            parts.append(self._score(self.window_frames, self.margin_frames))
        return FrameScores.join(parts)

    def finish(self):
        """Return the ``FrameScores`` of all remaining frames. The video ends here."""
        if len(self._frames) > self._num_context:
            self._extract(len(self._frames) - self._num_context)
        remaining = self._num_nodes - self._num_scored
        return self._score(remaining, 0) if remaining else self._no_scores()

    def _extract(self, num_frames):
        """Turn the next frames into nodes, stored in float16 as for training and evaluation."""
        before, after = self.info.temporal_reach
        first, last = self._num_context, self._num_context + num_frames
        values = self.engine.extract(self._frames[: last + after])
        values = {name: value[first:last] for name, value in values.items()}
        self._nodes.append(values | {spec.NODES: values[spec.NODES].astype(np.float16)})
        self._num_nodes += num_frames
        # The engine cuts snippets from the first frame on, so the context is whole snippets.
        self._num_context = min(-(-before // self.info.clip_frames) * self.info.clip_frames, last)
        self._frames = self._frames[last - self._num_context :]

    def _score(self, num_frames, margin):
        """Score the next frames, with the frames before them and ``margin`` frames after them as context."""
        values = {name: np.concatenate([part[name] for part in self._nodes]) for name in self._nodes[0]}
        start, end = self._num_scored, self._num_scored + num_frames
        inputs = {name: value[: end + margin].astype(np.float32) for name, value in values.items()}
        scores = _frame_scores(self.engine.score_nodes(inputs), self.info.num_patches)
        drop = max(end - self.frames_before, 0)
        self._nodes = [{name: value[drop:] for name, value in values.items()}]
        self._num_nodes, self._num_scored = self._num_nodes - drop, end - drop
        return FrameScores(*(values[start:end] for values in scores))

    def _no_scores(self):
        patches = np.zeros((0, self.info.num_patches), np.float32)
        return FrameScores(np.zeros(0, np.float32), patches, patches, patches)


def as_recorded(frames, quality):
    """Return uint8 frames ``(n, S, S, 3)`` after the JPEG compression under which the models were trained."""
    recorded = np.empty_like(frames)
    for position, frame in enumerate(frames):
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=quality, subsampling=0)  # 0: colour at full resolution
        recorded[position] = Image.open(buffer)
    return recorded


def _frame_scores(outputs, num_patches):
    """Fill in what a model does not give: a frame's score stands for its patches, a patch's score for its marginals."""
    scores = outputs[spec.ANOMALY_SCORE]
    patch_scores = outputs.get(spec.PATCH_SCORE, np.repeat(scores[:, np.newaxis], num_patches, axis=1))
    before = outputs.get(spec.UNARY_PROBABILITY, patch_scores)
    after = outputs[spec.MARGINALS][..., spec.ABNORMAL] if spec.MARGINALS in outputs else patch_scores
    return FrameScores(scores, patch_scores, before, after)
