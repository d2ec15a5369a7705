"""Feature maps of a frozen backbone, computed once for all trainings on the same clips: a float16 file and an index."""

import json
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.data.window_maps import plan_maps, window_maps
from pipelines.run.files import fingerprint, write_text

BATCH_SNIPPETS = 8


class MapCache:
    """Maps of every sampled frame of a prepared dataset.

    ``<fingerprint>.f16`` holds ``(frames, h, w, C)``, video after video. ``<fingerprint>.jsonl`` lists the videos that
    are complete, each with its frame indices and a checksum of both. The fingerprint depends on the backbone's weights
    and on the clips, so old maps are never used with another backbone or other clips. The maps of a video that do not
    match their checksum count as missing.

    Args:
        folder: ``maps/`` of a run.
        clips: ``Clips``.
        extractor: ``RelationAwareExtractor``; its backbone computes the maps.
        past_only: Of a video network: a snippet sees no frame after it. See ``window_maps``.
    """

    def __init__(self, folder, clips, extractor, past_only=False):
        self.clips, self.past_only = clips, past_only
        self.shape = extractor.map_shape
        name = _fingerprint(clips, extractor, past_only)
        self.data_path = Path(folder) / f"{name}.f16"
        self.index_path = Path(folder) / f"{name}.jsonl"
        self._starts, self._num_frames = {}, 0
        for video in clips.manifest.videos:
            self._starts[video.video_id] = self._num_frames
            self._num_frames += video.num_sampled
        self._entries = self._read_index()

    def _read_index(self):
        """Return the entry of each video whose maps are complete and not damaged."""
        if not self.index_path.exists() or not self.data_path.exists():
            return {}
        if self.data_path.stat().st_size != self._num_bytes:
            return {}
        data, found = self._open("r"), {}
        for line in self.index_path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)  # a killed run may leave half a line
                video = self.clips.manifest.by_id[entry["video_id"]]
                if entry["checksum"] == self._checksum(data, video, entry["frame_indices"]):
                    found[video.video_id] = entry
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def _checksum(self, data, video, frame_indices):
        start = self._starts[video.video_id]
        return zlib.crc32(json.dumps(frame_indices).encode(), zlib.crc32(data[start : start + video.num_sampled]))

    @property
    def _num_bytes(self):
        return 2 * self._num_frames * int(np.prod(self.shape))

    @property
    def missing_bytes(self):
        """Size of the maps that ``fill`` will compute."""
        missing = sum(video.num_sampled for video in self._missing)
        return self._num_bytes * missing // self._num_frames

    @property
    def _missing(self):
        return [video for video in self.clips.manifest.videos if video.video_id not in self._entries]

    @property
    def is_complete(self):
        """Whether the maps of all videos are there."""
        return not self._missing

    def fill(self, extractor, track=lambda snippets, total: snippets):
        """Compute the missing maps; maps of other weights or clips are removed.

        Args:
            extractor: The extractor that was passed to the constructor.
            track: Function that takes an iterator over the snippets and their number and returns the iterator, to show
                progress.

        Returns:
            The cache itself.
        """
        missing = self._missing
        if not missing:
            return self
        self._allocate()
        data = self._open("r+")
        done = self._write(extractor, missing, data)
        total = sum(self.clips.num_snippets(video) for video in missing)
        with open(self.index_path, "a", encoding="utf-8") as index:
            for video in track(_last_of_each(missing, self.clips, done), total):
                if video is None:
                    continue
                data.flush()
                indices = self.clips.frame_indices(video)
                entry = {"video_id": video.video_id, "frame_indices": indices}
                self._entries[video.video_id] = entry | {"checksum": self._checksum(data, video, indices)}
                index.write(json.dumps(self._entries[video.video_id]) + "\n")
                index.flush()
        return self

    def _allocate(self):
        """Remove outdated files and bring the data file to its full size."""
        self.data_path.parent.mkdir(parents=True, exist_ok=True)
        for path in [*self.data_path.parent.glob("*.f16"), *self.data_path.parent.glob("*.jsonl")]:
            if path.stem != self.data_path.stem:
                path.unlink()
        with open(self.data_path, "ab") as file:
            file.truncate(self._num_bytes)
        write_text(self.index_path, "".join(json.dumps(entry) + "\n" for entry in self._entries.values()))

    def _open(self, mode):
        return np.memmap(self.data_path, np.float16, mode, shape=(self._num_frames, *self.shape))

    def _write(self, extractor, videos, data):
        """Write the maps of the videos; yield once per snippet."""
        compute = self._window_maps if extractor.temporal_reach else self._snippet_maps
        for video, first, maps in compute(extractor, videos):
            start, stop = self._starts[video.video_id] + first, first + len(maps)
            data[start : start + len(maps)] = maps
            finished = stop == video.num_sampled
            num_done = self.clips.num_snippets(video) if finished else stop // self.clips.clip_frames
            yield from [None] * (num_done - first // self.clips.clip_frames)

    def _window_maps(self, extractor, videos):
        """Yield ``(video, first frame, maps)`` for each window of a video network."""
        for video, window, maps in window_maps(self.clips, extractor, videos, self.past_only):
            yield video, window.keep_start, maps

    def _snippet_maps(self, extractor, videos):
        """Yield ``(video, first frame, maps)`` for each snippet."""
        size, length = self.clips.image_size_px, self.clips.clip_frames

        @tf.function(input_signature=[tf.TensorSpec([None, length, size, size, 3], tf.uint8)])
        def compute(frames):
            return tf.cast(extractor.feature_maps(frames), tf.float16)

        snippets = [(video, i) for video in videos for i in range(self.clips.num_snippets(video))]
        order = [(video.video_id, i) for video, i in snippets]
        batches = self.clips.dataset(lambda: iter(order), videos).batch(BATCH_SNIPPETS).prefetch(2)
        every_maps = (maps for batch in batches for maps in compute(batch["frames"]).numpy())
        for (video, snippet), maps in zip(snippets, every_maps, strict=True):
            first = snippet * length
            yield video, first, maps[: video.num_sampled - first]

    def frame_indices(self, video):
        """Return the original indices of the sampled frames of a video."""
        return self._entries[video.video_id]["frame_indices"]

    def read(self, video, first=0, count=None):
        """Read snippets of a video, padded with zeros: maps float16 ``(n, K, h, w, C)`` and mask ``(n, K)``."""
        length = self.clips.clip_frames
        count = self.clips.num_snippets(video) - first if count is None else count
        start = self._starts[video.video_id] + first * length
        real = min(count * length, video.num_sampled - first * length)
        maps = np.zeros((count * length, *self.shape), np.float16)
        maps[:real] = self._memory[start : start + real]
        mask = np.arange(count * length) < real
        return maps.reshape(count, length, *self.shape), mask.reshape(count, length)

    @property
    def _memory(self):
        if not hasattr(self, "_opened"):
            self._opened = self._open("r")
        return self._opened

    def dataset(self, snippets):
        """Read snippets in the order of ``snippets`` (see ``Clips.dataset``), as dicts of ``maps`` and ``mask``."""

        def read():
            for video_id, snippet in snippets():
                maps, mask = self.read(self.clips.manifest.by_id[video_id], snippet, 1)
                yield {"maps": maps[0], "mask": mask[0]}

        length = self.clips.clip_frames
        signature = {
            "maps": tf.TensorSpec([length, *self.shape], tf.float16),
            "mask": tf.TensorSpec([length], tf.bool),
        }
        return tf.data.Dataset.from_generator(read, output_signature=signature)


def _last_of_each(videos, clips, snippets):
    """Yield once per snippet: the video with its last snippet, None before."""
    for video in videos:
        for left in reversed(range(clips.num_snippets(video))):
            next(snippets)
            yield None if left else video


def _fingerprint(clips, extractor, past_only):
    facts = [extractor.backbone_name, extractor.image_size, clips.clip_frames, clips.manifest.fingerprint]
    facts += [[video.video_id, video.num_sampled] for video in clips.manifest.videos]
    weights = extractor.backbone.get_weights()
    if extractor.temporal_reach:
        longest = max(video.num_sampled for video in clips.manifest.videos)
        facts += [extractor.video_backbone_name, plan_maps(extractor, longest, clips.clip_frames, past_only)]
    if extractor.video_backbone is not None:
        weights += extractor.video_backbone.get_weights()
    return fingerprint(facts, *(weight.tobytes() for weight in weights))
