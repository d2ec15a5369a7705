"""Random access to the snippets of ``clips/``: each is read from its byte range, without scanning the shard."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.listing.manifest import read_manifest, shard_paths
from pipelines.data.records import check_shards, damaged, parse_clip
from pipelines.run.folder import RunFolder

HEADER_BYTES = 12  # of a TFRecord: length (8) and its checksum (4); a checksum of the data (4) follows them
FOOTER_BYTES = 4


class Clips:
    """Snippets of a prepared dataset.

    Args:
        folder: ``clips/`` of a run.
        clip_frames: K.
        image_size_px: Side of the square frames.

    Raises:
        UserError: The folder has no records, or they do not match the manifest.
    """

    def __init__(self, folder, clip_frames, image_size_px):
        self.folder = Path(folder)
        self.clip_frames = clip_frames
        self.image_size_px = image_size_px
        self.manifest = read_manifest(folder)
        snippets, records = list(self._snippets()), list(self._records())
        if len(snippets) == len(records):
            self._locations = dict(zip(snippets, records, strict=True))
        else:  # the manifest may omit some of the recorded videos
            check_shards(shard_paths(folder, "clips"))  # or a shard is damaged
            self._locations = {_identity(_read(*record)): record for record in records}
        if not set(snippets) <= self._locations.keys():
            raise UserError(
                f"{folder} holds {len(records)} snippets, but its manifest lists {len(snippets)} with "
                f"data.clip_frames = {clip_frames}. Run `vad prepare` again with the current settings."
            )

    def num_snippets(self, video):
        """Return the number of snippets of a video; the last may be short."""
        return -(-video.num_sampled // self.clip_frames)

    def _snippets(self):
        """Yield ``(video_id, snippet index)`` in record order."""
        return ((video.video_id, i) for video in self.manifest.videos for i in range(self.num_snippets(video)))

    def _records(self):
        """Yield ``(path, offset, length)`` of the data of each record."""
        for path in shard_paths(self.folder, "clips"):
            size = path.stat().st_size
            with open(path, "rb") as file:
                while header := file.read(HEADER_BYTES):
                    (length,) = struct.unpack_from("<Q", header.ljust(HEADER_BYTES, b"\0"))
                    if len(header) < HEADER_BYTES or file.tell() + length + FOOTER_BYTES > size:
                        raise damaged(path, f"truncated record at {file.tell() - len(header)}")
                    yield str(path), file.tell(), length
                    file.seek(length + FOOTER_BYTES, 1)

    def check(self, videos=None):
        """Compare the shards that hold some videos with their checksums.

        Args:
            videos: ``VideoInfo`` entries; None: all videos of the manifest.

        Raises:
            UserError: A shard is damaged.
        """
        videos = self.manifest.videos if videos is None else videos
        check_shards(dict.fromkeys(self._locations[video.video_id, 0][0] for video in videos))

    def read(self, video_id, snippet):
        """Read the serialized example of one snippet. Its shard is checked first.

        Raises:
            UserError: The shard is damaged.
        """
        path, offset, length = self._locations[video_id, snippet]
        check_shards([path])
        return _read(path, offset, length)

    def frame_indices(self, video):
        """Return the original indices of the sampled frames of a video, a list of length T."""
        indices = []
        for snippet in range(self.num_snippets(video)):
            example = tf.train.Example.FromString(self.read(video.video_id, snippet))
            indices += example.features.feature["frame_indices"].int64_list.value
        return indices

    def read_frame(self, video, frame_index):
        """Return the last sampled frame up to an original frame, uint8 ``(S, S, 3)``.

        Raises:
            UserError: The shard is damaged.
        """
        sampled = np.searchsorted(self.frame_indices(video), frame_index, side="right") - 1
        snippet, position = divmod(max(int(sampled), 0), self.clip_frames)
        with self.naming_damage():
            record = self.read(video.video_id, snippet)
            return parse_clip(record, self.clip_frames, self.image_size_px)["frames"].numpy()[position]

    @contextlib.contextmanager
    def naming_damage(self):
        """Name the shard when a picture inside the block cannot be decoded, although its checksum is right.

        The pictures are searched only after an error, since that decodes all of them.

        Raises:
            UserError: In place of the error of TensorFlow.
        """
        try:
            yield
        except tf.errors.InvalidArgumentError:
            for location in self._locations.values():
                try:
                    parse_clip(_read(*location), self.clip_frames, self.image_size_px)
                except tf.errors.InvalidArgumentError:
                    raise UserError(
                        f"{location[0]} is damaged (a picture cannot be decoded). Delete it, then run `vad prepare`."
                    ) from None
            raise

    def dataset(self, snippets, videos=None):
        """Read snippets in a given order. Their shards are checked first.

        Args:
            snippets: Function that returns an iterator of ``(video_id, snippet index)``; called once per epoch.
            videos: ``VideoInfo`` entries of the snippets; None: any of the manifest.

        Returns:
            ``tf.data.Dataset`` of the output of ``parse_clip``, one snippet per element.

        Raises:
            UserError: A shard is damaged.
        """
        self.check(videos)

        def serialized():
            return (_read(*self._locations[snippet]) for snippet in snippets())

        records = tf.data.Dataset.from_generator(serialized, output_signature=tf.TensorSpec([], tf.string))
        return records.map(
            lambda record: parse_clip(record, self.clip_frames, self.image_size_px), num_parallel_calls=tf.data.AUTOTUNE
        )


def open_clips(config):
    """Open the clips of the run that a ``Config`` describes."""
    return Clips(RunFolder.of(config).clips, config.data.clip_frames, config.data.image_size_px)


def _read(path, offset, length):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def _identity(record):
    """Return ``(video_id, snippet index)`` of a serialized snippet."""
    feature = tf.train.Example.FromString(record).features.feature
    return feature["video_id"].bytes_list.value[0].decode(), feature["snippet_index"].int64_list.value[0]
