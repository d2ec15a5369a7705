"""The folder of a run: the only place that knows the names of what is in it."""

import shlex
from pathlib import Path

from pipelines.config import UserError, config_to_dict
from pipelines.run.files import write_json


class RunFolder:
    """Paths of everything that the stages of a run read and write. A property creates nothing.

    Args:
        path: ``work_dir`` of the configuration.
    """

    def __init__(self, path):
        self.path = Path(path)

    @classmethod
    def of(cls, config):
        """The folder of the run that a ``Config`` describes."""
        return cls(config.work_dir)

    @property
    def config(self):
        """The settings that the last command used."""
        return self.path / "config.json"

    def write_config(self, config):
        """Write the effective configuration to ``config.json`` and return its path."""
        return write_json(self.config, config_to_dict(config))

    @property
    def clips(self):
        """Records of JPEG frames, written by ``vad prepare``."""
        return self.path / "clips"

    @property
    def maps(self):
        """Feature maps of a frozen backbone, shared by all trainings of the run."""
        return self.path / "maps"

    @property
    def nodes(self):
        """Records of node features, written by ``vad extract`` or ``vad import-features``."""
        return self.path / "nodes"

    @property
    def extractor(self):
        """The trained extractor."""
        return self.path / "extractor.keras"

    @property
    def detector(self):
        """The trained detector."""
        return self.path / "detector.keras"

    def need_trained(self, path):
        """Return the command that writes ``extractor`` or ``detector``.

        Raises:
            UserError: The file does not exist.
        """
        command = f"vad train-{path.stem}"
        if not path.is_file():
            raise UserError(f"{path} does not exist. Run `{command}` first, or `vad train` for all stages.")
        return command

    @property
    def exported(self):
        """The model that this run exported last, see ``pipelines.serving.exported``."""
        return self.path / "export.json"

    @property
    def evaluation(self):
        """Report of ``vad evaluate``."""
        return self.path / "evaluation"

    @property
    def evaluation_metrics(self):
        """Metrics of ``vad evaluate``, for programs."""
        return self.evaluation / "metrics.json"

    @property
    def evaluation_scores(self):
        """Scores of the test videos, ``{video_id: (num_frames,)}``."""
        return self.evaluation / "scores.npz"

    @property
    def evaluation_patch_scores(self):
        """Patch scores of the test videos that have pixel masks, see ``write_patch_scores``."""
        return self.evaluation / "patch_scores.npz"

    def need_evaluation(self):
        """Check that the run was evaluated.

        Raises:
            UserError: It was not, or there is no such folder.
        """
        if not self.path.is_dir():
            raise UserError(f"no run at {self.path}: there is no such folder. Give the work_dir of an evaluated run.")
        paths = (self.evaluation_metrics, self.evaluation_scores)
        missing = next((path for path in paths if not path.is_file()), None)
        if missing:
            command = shlex.join(["vad", "evaluate", "--set", f"work_dir={self.path}"])
            raise UserError(f"{missing} does not exist. Run `{command}` first.")

    @property
    def scores(self):
        """Results of ``vad score``."""
        return self.path / "scores"

    @property
    def live(self):
        """Events, clips and scores of ``vad watch``."""
        return self.path / "live"

    @property
    def calibration(self):
        """Thresholds and curves of ``vad calibrate``."""
        return self.path / "calibration"

    @property
    def collected(self):
        """Videos and labels of ``vad collect``."""
        return self.path / "collected"

    @property
    def folds(self):
        """Folders of the trainings of ``vad repeat``, ``vad compare`` and ``vad ablate``, runs themselves."""
        return self.path / "folds"

    @property
    def repeats(self):
        """Report of ``vad repeat``."""
        return self.path / "repeats"

    @property
    def comparison(self):
        """Report of ``vad compare``."""
        return self.path / "comparison"

    @property
    def ablation(self):
        """Report of ``vad ablate``."""
        return self.path / "ablation"

    @property
    def report(self):
        """Report of ``vad report``."""
        return self.path / "report"

    @property
    def bench(self):
        """Table of ``vad bench``."""
        return self.path / "bench.md"

    @property
    def logs(self):
        """TensorBoard logs of all stages."""
        return self.path / "logs"

    def logs_of(self, stage):
        """TensorBoard logs of one training stage."""
        return self.logs / stage

    def state_of(self, stage):
        """What a training stage resumes from, its history and its marker."""
        return self.path / "state" / stage

    @property
    def summaries(self):
        """One JSON file per stage: what it did and what it skipped."""
        return self.path / "summaries"
