"""Tests of pipelines.run.folder."""

import json

from pipelines.config import load_config
from pipelines.run.folder import RunFolder


def test_the_effective_configuration_is_written_beside_the_results(tmp_path):
    config = load_config(overrides=[f"work_dir={tmp_path}/run", "detector.temporal_localities=[1, 2]"])
    path = RunFolder.of(config).write_config(config)
    assert path == tmp_path / "run" / "config.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["detector"]["temporal_localities"] == [1, 2]
    assert stored["seed"] == 0


def test_asking_for_a_path_creates_nothing(tmp_path):
    run = RunFolder(tmp_path / "run")
    paths = [getattr(run, name) for name, value in vars(RunFolder).items() if isinstance(value, property)]
    paths += [run.logs_of("train_detector"), run.state_of("train_detector")]
    assert len(set(paths)) == len(paths) and all(run.path in path.parents for path in paths)
    assert not run.path.exists()
