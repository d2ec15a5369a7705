"""Train and score from a program or a notebook, by the code of ``vad train`` and ``vad score``."""

import base64
import csv
import html
import json
from dataclasses import dataclass
from pathlib import Path

from pipelines.cli import EXIT_DONE, EXIT_INTERRUPTED
from pipelines.cli import app as commands
from pipelines.cli.config import init
from pipelines.cli.options import load_named
from pipelines.config import Config, UserError
from pipelines.config.toml import toml_value
from pipelines.report.evaluation.tables import METRICS
from pipelines.report.html.score_page import ALARM_COLUMNS, ALARMS_JSON, PAGE
from pipelines.run.folder import RunFolder
from pipelines.serving.exported import exported_model
from pipelines.serving.video_scores import data_frame, score_video

FIGURES = ("curves.png", "timelines.png")


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: what ``vad train`` has written into its folder. A notebook shows it with its curves.

    Args:
        config: ``Config`` of the run.
        complete: Whether no input was skipped; ``summaries/`` in the folder lists those that were.
    """

    config: Config
    complete: bool = True

    @property
    def folder(self):
        """Folder of the run."""
        return RunFolder.of(self.config).path

    @property
    def model(self):
        """Folder of the exported version."""
        return exported_model(RunFolder.of(self.config))

    @property
    def metrics(self):
        """Metrics of the test videos by name, such as ``{"frame_auc": 0.87}``; empty without test videos."""
        path = RunFolder.of(self.config).evaluation_metrics
        if not path.exists():
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
        system = content["systems"][self.config.train_detector.model]
        return {name: entry["mean"] for name, entry in system["metrics"].items()}

    def score(self, video, threshold=None):
        """Score a video file with the exported model; see ``score``."""
        return score(video, self.model, threshold=threshold)

    def score_videos(self, *inputs, **options):
        """Score videos and folders with the exported model; see ``score_videos``."""
        return score_videos(*inputs, model=self.folder, **options)

    def to_frame(self):
        """Return one row per test video as a ``pandas.DataFrame``. It needs pandas.

        Raises:
            UserError: The run has no test videos, or pandas is not installed.
        """
        path = RunFolder.of(self.config).evaluation / "videos.csv"
        if not path.exists():
            raise UserError(f"{self.folder} has no test videos. Mark some in the column `subset` of labels.csv.")
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        frame = data_frame({name: [row[name] for row in rows] for name in rows[0]})
        numbers = ["label", "num_frames", "num_abnormal_frames", "frame_auc", "max_score", "mean_score"]
        return frame.assign(**{name: [float(value or "nan") for value in frame[name]] for name in numbers})

    def plot(self):
        """Return ROC and precision-recall curves as a Pillow image; None without figures of the evaluation."""
        from PIL import Image

        path = RunFolder.of(self.config).evaluation / FIGURES[0]
        return Image.open(path) if path.exists() else None

    def _repr_html_(self):
        found = self.metrics
        rows = [(title, found[key]) for key, title in METRICS.items() if found.get(key) is not None]
        cells = "".join(f"<tr><td>{html.escape(title)}</td><td>{value:.3f}</td></tr>" for title, value in rows)
        paths = [RunFolder.of(self.config).evaluation / name for name in FIGURES]
        pictures = [base64.b64encode(path.read_bytes()).decode() for path in paths if path.exists()]
        shown = [f'<img src="data:image/png;base64,{picture}">' for picture in pictures]
        return f"<p><b>{html.escape(str(self.folder))}</b></p><table>{cells}</table>{''.join(shown)}"


@dataclass(frozen=True)
class ScoredVideos:
    """Results of several videos: what ``vad score`` has written into a folder. A notebook shows its page.

    Args:
        folder: The folder.
        complete: Whether no video was skipped; the page lists those that were.
    """

    folder: Path
    complete: bool = True

    @property
    def page(self):
        """The page of all videos, ``report.html``."""
        return self.folder / PAGE

    @property
    def alarms(self):
        """Alarms of all videos, dicts as in ``alarms.json``; the video with the highest score comes first."""
        return json.loads((self.folder / ALARMS_JSON).read_text(encoding="utf-8"))["alarms"]

    def to_frame(self):
        """Return one row per alarm as a ``pandas.DataFrame``. It needs pandas."""
        alarms = self.alarms
        return data_frame({name: [alarm[name] for alarm in alarms] for name in ALARM_COLUMNS})

    def _repr_html_(self):
        page = html.escape(self.page.read_text(encoding="utf-8"))
        frame = f'<iframe srcdoc="{page}" sandbox="allow-scripts" style="width: 100%; height: 40em; border: 0">'
        return f"<p>{html.escape(str(self.page))}: open it in a browser to play the videos.</p>{frame}</iframe>"


def train(folder="", config="", settings=(), weights=""):
    """Train on a folder of videos with ``labels.csv``, evaluate and export. A stopped training resumes.

    Args:
        folder: Folder of the videos. Its settings are those of ``vad config init``, written to ``FOLDER.toml`` once.
        config: TOML file or bundled configuration, instead of a folder.
        settings: Changes, such as ``["train_detector.epochs=20"]``.
        weights: With ``folder``: pretrained weights, see ``vad config init``.

    Returns:
        ``TrainedRun``.

    Raises:
        UserError: There is neither a folder nor a configuration, or what they hold cannot be trained on.

    Example:

        import pipelines

        run = pipelines.train("my_videos")
        print(run.metrics["frame_auc"], run.score("new_video.mp4").alarms)
    """
    if bool(folder) == bool(config):
        raise UserError("`train` takes either a folder of videos or a configuration: `train('my_videos')`.")
    if folder:
        config = f"{Path(folder).resolve().name}.toml"
        if not Path(config).exists():
            init(Path(folder), weights=str(weights), output=config)
    settings = list(settings)
    status = commands.train(str(config), settings)
    if status == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return TrainedRun(load_named(str(config), settings), complete=status == EXIT_DONE)


def score(video, model="", server="", threshold=None, **options):
    """Score a video file.

    Args:
        video: Video file.
        model: Folder of an exported model, of one of its versions, or of the run that exported it.
        server: Address of TensorFlow Serving instead, ``grpc://HOST:8500`` or ``http://HOST:8501``.
        threshold: A score at or above it is an alarm; None: that of the model.
        **options: For a server, see ``pipelines.serving.score_video``.

    Returns:
        ``pipelines.serving.VideoScores``.

    Raises:
        UserError: The model or the server cannot be used.
        VideoError: The file cannot be used.

    Example:

        import pipelines

        video = pipelines.score("door.mp4", model="runs/my_videos")
        video.to_frame().to_csv("door.csv")
    """
    if model and RunFolder(model).exported.exists():
        model = exported_model(RunFolder(model))
    return score_video(video, str(model), server, threshold, **options)


def score_videos(*inputs, model="", server="", output="", annotate=False):
    """Score video files and folders of videos, and write scores, timelines and ``report.html``.

    A video that the same model has already scored is kept. A video that cannot be used is skipped.

    Args:
        *inputs: Videos, or folders of videos.
        model: As for ``score``.
        server: As for ``score``.
        output: Folder of the results; empty: ``scores/`` in the folder of the run.
        annotate: Also write each video with its score, patches and alarms drawn over it.

    Returns:
        ``ScoredVideos``.

    Raises:
        UserError: There is no video, or the model or the server cannot be used.

    Example:

        import pipelines

        videos = pipelines.score_videos("new_videos", model="runs/my_videos")
        print(videos.page, videos.alarms)
    """
    run = RunFolder(model) if model and RunFolder(model).exported.exists() else None
    settings = [f"work_dir={toml_value(str(run.path))}"] if run else []
    named = {"model": "" if run else str(model), "server": server, "output": str(output), "annotate": annotate}
    status = commands.score([str(path) for path in inputs], **named, overrides=settings)
    if status == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    folder = Path(output) if output else RunFolder.of(load_named(None, settings)).scores
    return ScoredVideos(folder, complete=status == EXIT_DONE)
