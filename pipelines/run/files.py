"""JSON files that are whole or not there, without NaN."""

import json
import math
import os
from pathlib import Path


def write_json(path, content):
    """Write JSON under a temporary name and rename it, so that a reader never sees half a file.

    A figure that does not exist (NaN, such as the AUC of videos of one label) becomes null: JSON knows no NaN.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


def _without_nan(content):
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
