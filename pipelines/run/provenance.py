"""What a result comes from: the code and the command."""

import subprocess
import sys
from pathlib import Path


def provenance():
    """Commit (`-dirty`: with uncommitted changes; empty outside a git checkout) and command of this run."""
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {"commit": commit, "command": " ".join(["vad", *sys.argv[1:]])}
