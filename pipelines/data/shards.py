"""Shards of a stage that skips videos it cannot use, and a note on each finished shard. Imports no TensorFlow.

A shard holds some videos in the order of the list. It gets its name only when it is complete. The note beside it
(``.json``) says what it was made from, what it holds and what was skipped. A second run keeps every shard whose note is
up to date.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipelines.config import UserError
from pipelines.data.listing.manifest import VideoInfo, shard_name, write_manifest
from pipelines.run.files import fingerprint, write_json


@dataclass(frozen=True, eq=False)
class Shard:
    """Some videos and the file that holds their records.

    Args:
        path: The file.
        videos: ``ListedVideo`` or ``VideoInfo`` entries, in record order.
        fingerprint: Hash of everything that decides the content.
    """

    path: Path
    videos: list
    fingerprint: str

    @property
    def note_path(self):
        """Path of the note beside the file."""
        return self.path.with_suffix(".json")

    def note(self):
        """Return the note of a finished shard; None when it is absent, outdated, damaged or to be tried again."""
        note = self._current_note()
        return note if note and note["content"] == self._content_of(note) else None

    @property
    def is_damaged(self):
        """Whether the shard was finished with these settings, but it or its note is damaged."""
        note = self._current_note()
        return bool(note) and self.path.exists() and note["content"] != self._content_of(note)

    def _current_note(self):
        try:
            note = json.loads(self.note_path.read_text(encoding="utf-8"))
            current = note["fingerprint"] == self.fingerprint and "content" in note
            return note if current and not note["retry"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _content_of(self, note):
        """Hash what the note describes; None when that cannot be read."""
        try:
            infos = [VideoInfo.from_json(entry) for entry in note["videos"]]
            whole = note["bytes"] == self.path.stat().st_size and all(len(pair) == 2 for pair in note["skipped"])
            return _content_hash(self.path, infos) if whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_note(self, infos, skipped, retry=False):
        """Mark the file as finished.

        Args:
            infos: ``VideoInfo`` of each video in it.
            skipped: Pairs of a file that was skipped and the reason.
            retry: Whether another run should try the skipped files again.
        """
        note = {"fingerprint": self.fingerprint, "bytes": self.path.stat().st_size, "retry": retry}
        note["content"] = _content_hash(self.path, infos)
        note |= {"videos": [asdict(info) for info in infos], "skipped": [[str(file), text] for file, text in skipped]}
        write_json(self.note_path, note)


@dataclass(frozen=True)
class Collected:
    """Content of all shards of a folder; ``bytes`` is their total size."""

    videos: list
    skipped: list
    bytes: int


def plan_shards(folder, prefix, videos, size, settings_of):
    """Divide a list of videos into shards.

    Args:
        folder: Folder of the shards.
        prefix: ``"clips"`` or ``"nodes"``.
        videos: ``ListedVideo`` or ``VideoInfo`` entries, in the order of the list.
        size: Videos per shard.
        settings_of: Function of some videos that returns the fingerprint of everything that decides their records.
    """
    groups = [videos[start : start + size] for start in range(0, len(videos), size)]
    return [
        Shard(Path(folder) / shard_name(prefix, index, len(groups)), group, settings_of(group))
        for index, group in enumerate(groups)
    ]


@dataclass(frozen=True)
class Reuse:
    """What of earlier shards is kept.

    Args:
        finished: The shards that are up to date.
        todo: The shards to write.
        damaged: Names of the files among ``todo`` that were finished, but are damaged.
        num_outdated: Number of other shards that were finished with other settings, files or labels.
    """

    finished: list
    todo: list
    damaged: list
    num_outdated: int = 0

    def __str__(self):
        """Describe it for a summary; ``""`` when there were no earlier shards."""
        total = len(self.finished) + len(self.todo)
        text = f"; {len(self.finished)} of {total} shards were finished before" if self.finished else ""
        if self.num_outdated:
            text += f"; {self.num_outdated} outdated shards were written again (settings, files or labels changed)"
        if self.damaged:
            text += f"; damaged and written again: {', '.join(self.damaged)}"
        return text


def reuse_finished(folder, prefix, shards):
    """Compare the shards of a folder with a plan, remove all but the finished ones, and return what is kept."""
    finished = [shard for shard in shards if shard.note() is not None]
    todo = [shard for shard in shards if shard not in finished]
    damaged = [shard.path.name for shard in todo if shard.is_damaged]
    folder.mkdir(parents=True, exist_ok=True)
    keep = {path for shard in finished for path in (shard.path, shard.note_path)}
    outdated = [path for path in folder.glob(f"{prefix}-*-of-*") if path not in keep]
    for path in outdated:
        path.unlink()
    num_outdated = sum(path.suffix == ".json" for path in outdated) - len(damaged)
    return Reuse(finished, todo, damaged, num_outdated)


def write_manifest_of(folder, shards):
    """Write the manifest of finished shards and return their content as ``Collected``.

    The fingerprint of the manifest is that of the content. So maps, nodes and trainings stay valid when videos were
    only copied or touched.

    Raises:
        UserError: No video could be used.
    """
    notes = [json.loads(shard.note_path.read_text(encoding="utf-8")) for shard in shards]
    videos = [VideoInfo.from_json(entry) for note in notes for entry in note["videos"]]
    skipped = [(file, reason) for note in notes for file, reason in note["skipped"]]
    if not videos:
        file, reason = skipped[0]
        raise UserError(f"none of the {len(skipped)} videos can be used. The first: {file}: {reason.rstrip('.')}.")
    write_manifest(folder, videos, skipped, fingerprint(*(note["content"].encode() for note in notes)))
    return Collected(videos, skipped, sum(note["bytes"] for note in notes))


def _content_hash(path, infos):
    """Hash the records and the facts about their videos, but not where those are stored."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps([asdict(replace(info, path="")) for info in infos]).encode())
    return digest.hexdigest()


def describe_warnings(videos):
    """Describe the videos that were used with a warning, for a summary; ``""`` when there are none."""
    damaged = [video for video in videos if video.warning]
    if not damaged:
        return ""
    first = f"{damaged[0].video_id}: {damaged[0].warning}"
    return f"; {len(damaged)} used with a warning (see videos.json), the first: {first}"
