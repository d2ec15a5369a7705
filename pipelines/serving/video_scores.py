"""Scores of one video file, with any engine: what ``vad score`` writes, for programs."""

import base64
import html
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.config import UserError
from pipelines.config.sections import AlarmsConfig
from pipelines.data.encode import Failed
from pipelines.data.frame_reading import FrameRequest, VideoFacts, read_frames
from pipelines.data.snippets import expand_to_frames
from pipelines.data.video import VideoError
from pipelines.report.plots.canvas import png_bytes
from pipelines.report.plots.timeline import timeline_figure
from pipelines.serving.alarms import AlarmRules, find_alarms
from pipelines.serving.engines import open_engine
from pipelines.serving.scorer import FrameScores, Scorer


@dataclass(frozen=True)
class VideoScores:
    """Scores of a video.

    Args:
        scores: One score per original frame in [0, 1], float64 ``(num_frames,)``.
        times_sec: Presentation time of each frame, float64 ``(num_frames,)``.
        rules: ``AlarmRules`` of its alarms.
        fps: Frames per second of the video.
        sampled: ``FrameScores`` of the frames that the model saw, with the scores of their patches.
        sampled_indices: Which original frames these are, int64 ``(T,)``.
        warning: What is wrong with the file, such as a missing end; empty: nothing.
        width, height: Size of the upright picture in pixels.
    """

    scores: np.ndarray
    times_sec: np.ndarray
    rules: AlarmRules
    fps: float
    sampled: FrameScores
    sampled_indices: np.ndarray
    warning: str = ""
    width: int = 0
    height: int = 0

    @property
    def threshold(self):
        """The score at which an alarm starts."""
        return self.rules.threshold

    @property
    def alarms(self):
        """``Alarm``s in order."""
        return find_alarms(self.scores, self.times_sec, self.rules, 1 / self.fps)

    def to_frame(self):
        """Return one row per frame, ``time_sec`` and ``score``, as a ``pandas.DataFrame``. It needs pandas."""
        return data_frame({"time_sec": self.times_sec, "score": self.scores})

    def plot(self):
        """Return the timeline as a Matplotlib figure."""
        spans = [(alarm.start_sec, alarm.end_sec) for alarm in self.alarms]
        return timeline_figure(self.times_sec, self.scores, self.threshold, alarms_sec=spans)

    def _repr_html_(self):
        times = [(f"{alarm.start_sec:.1f} to {alarm.end_sec:.1f} s", f"{alarm.max_score:.3f}") for alarm in self.alarms]
        rows = [f"<tr><td>{time}</td><td>{highest}</td></tr>" for time, highest in times]
        table = f"<table><tr><th>alarm</th><th>highest score</th></tr>{''.join(rows)}</table>" if rows else ""
        text = f"{len(self.scores):,} frames, highest score {self.scores.max():.3f}, threshold {self.threshold:g}"
        picture = base64.b64encode(png_bytes(self.plot())).decode()
        warning = f"<p>warning: {html.escape(self.warning)}</p>" if self.warning else ""
        return f'<p>{text}</p>{warning}{table}<img src="data:image/png;base64,{picture}">'


def data_frame(columns):
    """Return columns as a ``pandas.DataFrame``.

    Raises:
        UserError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise UserError("`to_frame` needs pandas. Install it: pip install pandas") from None
    return pandas.DataFrame(columns)


def score_video(path, model="", server="", threshold=None, **options):
    """Score a video file with an exported model, or with a server that has one.

    Args:
        path: Video file, or folder of frames.
        model: Folder of a model or of one of its versions.
        server: Address of TensorFlow Serving, ``grpc://HOST:8500`` or ``http://HOST:8501``.
        threshold: The score at which an alarm starts; None: that of the model.
        **options: For a server: ``name`` of the model there (``"vad"``), ``version``, ``label``, ``timeout_sec``.

    Returns:
        ``VideoScores``.

    Raises:
        UserError: The model or the server cannot be used.
        VideoError: The file cannot be used.
        ServerError: The server failed while it scored.

    Example:

        from pipelines.serving import score_video

        video = score_video("door.mp4", server="grpc://localhost:8500")
        print(video.times_sec[video.scores.argmax()], video.alarms)
    """
    engine = open_engine(model, server, **options)
    try:
        return score_with(engine, path, threshold)
    finally:
        engine.close()


def score_with(engine, path, threshold=None, progress=iter, decoder=None, alarms=None):
    """Score a video file with an engine, which further videos may share.

    Args:
        engine: A ``pipelines.serving.engines.Engine``.
        path, threshold: As for ``score_video``.
        progress: Function that passes snippets on and may show how many there were.
        decoder: ``DecodeProcess`` that reads the file; None: this process reads it.
        alarms: ``AlarmsConfig`` with the rules of alarms; None: its defaults.
    """
    info, scorer, parts, indices, facts = engine.info, Scorer(engine), [], [], []
    request = FrameRequest(Path(path), info.frames_per_sec, info.image_size_px, info.crop, info.clip_frames)

    def snippets():
        for result in read_results(request, decoder):
            if isinstance(result, VideoFacts):
                facts.append(result)
            else:
                yield result

    for snippet in progress(snippets()):
        parts.append(scorer.push(snippet.frames[snippet.mask]))
        indices.append(snippet.frame_indices[snippet.mask])
    (video,) = facts
    sampled, indices = FrameScores.join([*parts, scorer.finish()]), np.concatenate(indices)
    return VideoScores(
        scores=expand_to_frames(sampled.anomaly_score, indices, video.num_frames).astype(float),
        times_sec=video.times_sec,
        rules=AlarmRules.of_recording(alarms or AlarmsConfig(), info.threshold if threshold is None else threshold),
        fps=video.fps,
        sampled=sampled,
        sampled_indices=indices,
        warning=video.warning,
        width=video.width,
        height=video.height,
    )


def read_results(request, decoder=None):
    """Yield the snippets and, last, the ``VideoFacts`` of a video.

    Args:
        request: ``FrameRequest``.
        decoder: As for ``score_with``.

    Raises:
        VideoError: It cannot be decoded.
    """
    for result in decoder.results(request) if decoder else read_frames(request, None):
        if isinstance(result, Failed):
            raise VideoError(request.path, result.reason)
        yield result
