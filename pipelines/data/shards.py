"""Shards of a stage that may lose some of its inputs: which are finished, what became of each video. No TensorFlow.

A shard holds some videos in the order of the list. It appears under its name only when it is whole, with a note beside
it (`.json`) of what it was made from, what it holds and what was skipped; a second run keeps every shard whose note
still fits.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipelines.config import UserError
from pipelines.data.listing.manifest import VideoInfo, shard_name, write_json, write_manifest


@dataclass(frozen=True, eq=False)
class Shard:
    """Some videos, and the file their records go to.

    Args:
        path: The file.
        videos: `Video`s, in record order.
        fingerprint: Of all that decides the content.
    """

    path: Path
    videos: list
    fingerprint: str

    @property
    def note_path(self):
        """The note beside the file."""
        return self.path.with_suffix(".json")

    def note(self):
        """What is known of a finished shard; None when it is absent, outdated, damaged or worth another try."""
        try:
            note = json.loads(self.note_path.read_text(encoding="utf-8"))
            whole = note["bytes"] == self.path.stat().st_size
            current = note["fingerprint"] == self.fingerprint and "content" in note
            return note if whole and current and not note["retry"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_note(self, infos, skipped, retry=False):
        """Says that the file is finished.

        Args:
            infos: `VideoInfo`s of the videos in it.
            skipped: Pairs of a file that was left out and the reason.
            retry: Another run should try the skipped ones again.
        """
        note = {"fingerprint": self.fingerprint, "bytes": self.path.stat().st_size, "retry": retry}
        note["content"] = _hash_of_content(self.path, infos)
        note |= {"videos": [asdict(info) for info in infos], "skipped": [[str(file), text] for file, text in skipped]}
        write_json(self.note_path, note)


@dataclass(frozen=True)
class Collected:
    """What all shards of a folder hold together; `bytes` is their size."""

    videos: list
    skipped: list
    bytes: int


def plan_shards(folder, prefix, videos, size, fingerprint):
    """The shards of a list of videos.

    Args:
        folder: Where they go.
        prefix: `"clips"` or `"nodes"`.
        videos: `Video`s in the order of the list.
        size: Videos of a shard.
        fingerprint: Function of some videos that hashes all that decides their records.
    """
    groups = [videos[start : start + size] for start in range(0, len(videos), size)]
    return [
        Shard(Path(folder) / shard_name(prefix, index, len(groups)), group, fingerprint(group))
        for index, group in enumerate(groups)
    ]


def remove_outdated(folder, prefix, finished):
    """Remove what does not belong to the finished shards; return how many notes of an earlier plan were among it."""
    folder.mkdir(parents=True, exist_ok=True)
    keep = {path for shard in finished for path in (shard.path, shard.note_path)}
    outdated = [path for path in folder.glob(f"{prefix}-*-of-*") if path not in keep]
    for path in outdated:
        path.unlink()
    return sum(path.suffix == ".json" for path in outdated)


def write_manifest_of(folder, shards):
    """Write the manifest of finished shards and return what they hold, `Collected`.

    Its fingerprint is that of the content: videos that were copied or touched, and are the same, leave maps, nodes and
    trainings as good as they were.

    Raises:
        UserError: None of the videos could be used.
    """
    notes = [json.loads(shard.note_path.read_text(encoding="utf-8")) for shard in shards]
    videos = [VideoInfo.from_json(entry) for note in notes for entry in note["videos"]]
    skipped = [(file, reason) for note in notes for file, reason in note["skipped"]]
    if not videos:
        file, reason = skipped[0]
        raise UserError(f"none of the {len(skipped)} videos can be used. The first: {file}: {reason.rstrip('.')}.")
    fingerprint = hashlib.sha256("".join(note["content"] for note in notes).encode()).hexdigest()[:16]
    write_manifest(folder, videos, skipped, fingerprint)
    return Collected(videos, skipped, sum(note["bytes"] for note in notes))


def _hash_of_content(path, infos):
    """Of the records and of what is known of their videos, wherever those lie."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps([asdict(replace(info, path="")) for info in infos]).encode())
    return digest.hexdigest()


def describe_warnings(videos):
    """Words for a summary on the videos that were used with a warning; `""` when there are none."""
    damaged = [video for video in videos if video.warning]
    if not damaged:
        return ""
    first = f"{damaged[0].video_id}: {damaged[0].warning}"
    return f"; {len(damaged)} used with a warning (all in videos.json), the first {first}"
