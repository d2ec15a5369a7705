"""Tests of pipelines.cli.options."""

import os
import subprocess
import sys

import pytest

from pipelines.cli.options import BUNDLED_CONFIGS, bundled_names, load_named, repeat_overrides
from pipelines.config import UserError, all_settings, load_config
from pipelines.data.datasets import DATASETS
from pipelines.experiments.systems import system_names


def test_a_bundled_configuration_is_found_by_its_name_with_or_without_suffix():
    expected = load_config(BUNDLED_CONFIGS / "demo.toml", ["seed=3"])
    assert load_named("demo", ["seed=3"]) == load_named("demo.toml", ["seed=3"]) == expected


def test_a_file_is_taken_before_a_bundled_one_of_the_same_name_and_a_folder_is_not(tmp_path, monkeypatch):
    (tmp_path / "demo.toml").write_text("seed = 9\n")
    (tmp_path / "bench").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_named("demo.toml", None) == load_config(overrides=["seed=9"])
    assert load_named("bench", None) == load_config(BUNDLED_CONFIGS / "bench.toml")
    assert load_named(None, None) == load_config()


def test_an_unknown_name_is_answered_with_the_nearest_or_all_bundled_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no configuration file at ucsd_pd2\. Did you mean the bundled `ucsd_ped2`\?"):
        load_named("ucsd_pd2", None)
    with pytest.raises(UserError) as caught:
        load_named("nope", None)
    assert str(caught.value) == f"no configuration file at nope. Bundled configurations: {', '.join(bundled_names())}."
    with pytest.raises(UserError, match=r"no configuration file at runs/nope\.toml\. Check the path"):
        load_named("runs/nope.toml", None)
    (tmp_path / "settings.toml").write_text("")
    with pytest.raises(UserError, match=r"Did you mean `settings\.toml`\?"):
        load_named("setings.toml", None)


def test_given_options_become_overrides():
    assert repeat_overrides(["seed=1"], 0, None, 2, None) == ["seed=1", "repeat.folds=0", "repeat.jobs=2"]
    assert repeat_overrides(None, None, None, None, None) == []
    assert repeat_overrides(None, None, None, None, 3) == ["search.inner_folds=3"]


def completed(line):
    """What the shell offers for the last word of a command line, as its completion script asks for it."""
    words = line.split(" ")
    code = (
        "import sys; from pipelines.cli import main\n"
        "try: main()\n"
        "finally: print([name for name in ('tensorflow', 'keras') if name in sys.modules], file=sys.stderr)"
    )
    ask = {"_VAD_COMPLETE": "complete_bash", "COMP_WORDS": line.replace(" ", "\n"), "COMP_CWORD": str(len(words) - 1)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=os.environ | ask, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0 and result.stderr == "[]\n", result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vad tr", ["train", "train-extractor", "train-detector"]),
        ("vad train --config ", bundled_names()),
        ("vad train --config uc", [name for name in bundled_names() if name.startswith("uc")]),
        ("vad compare r", ["rtfm"]),
        ("vad compare ", system_names("rivals")),
        ("vad ablate ", system_names("ablations")),
        ("vad train --set evaluate.", [f"{key}=" for key in all_settings() if key.startswith("evaluate.")]),
        ("vad datasets check ", list(DATASETS)),
    ],
)
def test_the_shell_completes(line, expected):
    assert sorted(completed(line)) == sorted(expected)


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_a_completion_script_is_printed_and_installed(tmp_path):
    command = [sys.executable, "-m", "pipelines"]
    home = os.environ | {"HOME": str(tmp_path)}

    def vad(option):
        options = {"env": home, "capture_output": True, "text": True, "timeout": 300, "check": True}
        return subprocess.run(["bash", "-c", '"$@"; exit $?', "bash", *command, option], **options).stdout

    assert "_VAD_COMPLETE=complete_bash" in vad("--show-completion")
    vad("--install-completion")
    assert "vad" in (tmp_path / ".bashrc").read_text()
