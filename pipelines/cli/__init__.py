"""The command `vad`."""

from pipelines.cli.app import main

__all__ = ["main"]
