"""The marker that says which settings a finished or resumable step belongs to."""

from pipelines.run.files import write_text


def is_marked(path, settings):
    """Whether the marker at ``path`` exists and names these settings.

    Args:
        path: ``Path`` of the marker.
        settings: Fingerprint of everything that decides the result.
    """
    try:
        return path.read_text(encoding="utf-8") == settings
    except (OSError, UnicodeDecodeError):
        return False


def mark(path, settings):
    """Write the marker, in one step."""
    write_text(path, settings)
