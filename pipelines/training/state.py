"""State of a training stage: when its result is kept, what a stopped training resumes from, how its model is saved."""

import dataclasses
import shutil

import keras

import vad_keras.models.baselines  # noqa: F401 - registers all models for load_model
from pipelines.config import UserError
from pipelines.report.terminal.summary import counted
from pipelines.run.failures import describe, machine_error
from pipelines.run.files import content_hash, fingerprint
from pipelines.run.marker import is_marked, mark
from pipelines.training.checkpoints import HISTORY_NAME, read_history, save_whole


class TrainingState:
    """Files of one training stage in the folder of a run.

    Args:
        run: ``RunFolder``.
        stage: Name of the stage, such as ``"train_detector"``.
        output: Path of the trained model.
        settings: Fingerprint of everything that decides the result, see ``training_fingerprint``.
    """

    def __init__(self, run, stage, output, settings):
        self.folder = run.state_of(stage)
        self.backup = self.folder / "backup"
        self.logs = run.logs_of(stage)
        self.output = output
        self.settings = settings

    @property
    def is_finished(self):
        """Whether ``output`` is the result of a finished training with these settings, and not damaged since."""
        marker = self.folder / "finished"
        if not self.output.exists():
            return False
        # A marker of an earlier version has no hash.
        return is_marked(marker, self._finished) or is_marked(marker, self.settings)

    @property
    def _finished(self):
        return f"{self.settings} {content_hash(self.output)}"

    @property
    def history(self):
        """One dict per finished epoch, see ``read_history``."""
        return read_history(self.folder / HISTORY_NAME)

    def plan(self, epochs, videos):
        """Return what the training would do, in words; ``""`` if it is finished.

        Args:
            epochs: Epochs of the whole training.
            videos: Training videos.
        """
        if self.is_finished:
            return ""
        done = len(self.history) if is_marked(self.folder / "settings", self.settings) and self.backup.exists() else 0
        resume = f", resumed after epoch {done}" if done else ""
        size = f"{counted(len(videos), 'video')}, at most {counted(epochs, 'epoch')}"
        return f"train on {size}{resume}; write {self.output}"

    def discard_other(self):
        """Remove state and logs of a training with other settings. What this training can resume from stays."""
        if not is_marked(self.folder / "settings", self.settings):
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(self.logs, ignore_errors=True)
            mark(self.folder / "settings", self.settings)

    def save(self, model):
        """Save the trained model in one step and mark the training as finished."""
        save_whole(model.save, model, self.output)
        mark(self.folder / "finished", self._finished)
        self.remove_backup()

    def remove_backup(self):
        """Remove what a finished training resumes from no more."""
        shutil.rmtree(self.backup, ignore_errors=True)


def load_trained(run, path):
    """Load a model of a run that a training stage saved.

    Args:
        run: ``RunFolder``.
        path: Path of its extractor or detector.

    Raises:
        UserError: It does not exist, or is damaged.
    """
    command = run.need_trained(path)
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # of many kinds, depending on which byte is wrong
        if machine_error(error):
            raise
        raise UserError(f"{path} is damaged ({describe(error).rstrip('.')}). Run `{command}` again.") from error


def training_videos(manifest):
    """Return the labelled videos of a manifest that are not test videos."""
    return [video for video in manifest.videos if video.subset != "test" and video.label is not None]


def training_fingerprint(seed, sections, records_fingerprint, videos):
    """Return the fingerprint of everything that decides the result of a training.

    Args:
        seed: Seed of the run.
        sections: Sections of the configuration that the stage uses, dataclasses.
        records_fingerprint: Fingerprint of the clips or nodes.
        videos: Training videos, ``VideoInfo``.
    """
    facts = [seed, *map(dataclasses.asdict, sections), records_fingerprint]
    return fingerprint([*facts, [(video.video_id, video.label) for video in videos]])
