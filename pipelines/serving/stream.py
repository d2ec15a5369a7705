"""Score a stream without an end: constant memory, and constant work per frame."""

import numpy as np

from pipelines.config import UserError
from pipelines.serving.scorer import Scorer


class StreamScorer(Scorer):
    """Scores one stream as soon as a score is final, with the scores that ``Scorer`` gives to the whole video.

    1. Frames become nodes once, a snippet at a time: the nodes of a frame depend on its whole snippet. The calls of a
       video network overlap by its temporal reach, so it takes at least as many new frames as it repeats.
    2. The nodes of the last ``frames_before`` frames are kept, as context of the cliques that reach back.
    3. A frame is scored once ``lag_frames`` frames behind it are known. One call of the detector scores all frames of
       a snippet, so that its work on the context is shared by ``clip_frames`` frames.

    With a lag below ``full_lag_frames`` the cliques are cut at the newest frame, as at the end of a video.

    Args:
        engine: A ``pipelines.serving.engines.Engine``.
        lag_frames: Frames to wait for after a frame; None: as many as its score depends on, none with causal cliques.

    Raises:
        UserError: The model takes features instead of frames, or needs the whole video.

    Example:

        scorer = StreamScorer(engine)
        for frames in pieces:
            scores = scorer.push(frames)
    """

    def __init__(self, engine, lag_frames=None):
        super().__init__(engine, window_frames=1)
        if self.window_frames != 1:
            model = self.info.config["train_detector"]["model"]
            raise UserError(
                f"model `{self.info.name}` is the baseline `{model}`, which compares a frame with all frames of its "
                "video, so it cannot score a stream. Use `vad score`, or train the anomaly_detector."
            )
        full = self.full_lag_frames
        self.lag_frames = full if lag_frames is None else min(lag_frames, full)
        # The cliques of the first frames of a stream are shifted inwards, so they reach further.
        widest = max(self.info.config.get("detector", {}).get("temporal_localities", (1,)))
        self._num_first = full + widest if full and self.lag_frames == full else 0

    @property
    def frames_per_call(self):
        """Number of frames that are turned into nodes at once."""
        snippets = max(1, -(-sum(self.info.temporal_reach) // self.info.clip_frames))
        return (snippets if self.info.temporal_reach[1] else 1) * self.info.clip_frames

    @property
    def full_lag_frames(self):
        """Number of frames after a frame on which its score depends."""
        return self._reach()[1]

    @property
    def frames_before(self):
        """Number of frames before a frame on which its score depends."""
        return self._reach()[0]

    def _reach(self):
        """Frames before and after a frame that influence its score: a clique, its messages, the context score."""
        detector = self.info.config.get("detector", {})
        widest, context = max(detector.get("temporal_localities", (1,))), detector.get("context_frames", 0)
        # A score that is read from the marginals also depends on the frames whose messages arrive.
        messages = 0 if self.info.score_from == "scorer" else detector.get("max_iterations", 0)
        if detector.get("alignment", "centered") == "causal":
            return max((1 + messages) * (widest - 1), context), 0
        # The clique of the newest frame is shifted inwards, so it reaches back by all its frames.
        before = widest - 1 + messages * ((widest - 1) // 2)
        return max(before, context), max((1 + messages) * (widest // 2), context // 2)

    def _final_scores(self):
        """Return the ``FrameScores`` of the frames that have ``lag_frames`` frames behind them."""
        ready = self._num_nodes - self._num_scored - self.lag_frames
        if ready <= 0 or self._num_nodes < self._num_first:
            return self._no_scores()
        self._num_first = 0
        return self._score(ready, self.lag_frames)

    def warm_up(self):
        """Score black frames and forget their scores: the first call of a model takes longer than all later ones."""
        side, count = self.info.image_size_px, 2 * self.frames_per_call + self._num_first + self.lag_frames
        for _ in range(-(-count // self.frames_per_call)):
            self.push(np.zeros((self.frames_per_call, side, side, 3), np.uint8))
        self.finish()
