"""TensorBoard images during a training: the scores of a few fixed videos, epoch by epoch."""

import os

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from pipelines.data.bags import whole_bags
from pipelines.data.clips import open_clips
from pipelines.data.listing.manifest import MANIFEST_NAME
from pipelines.report.plots.canvas import png_bytes
from pipelines.report.plots.heat_map import heat_map_figure, score_maps
from pipelines.report.plots.timeline import timeline_figure
from pipelines.run.folder import RunFolder
from vad_keras import spec

IMAGE_VIDEOS = 2  # of validation and of training each
MAX_FRAMES = 5
MIN_ASPECT = 0.25  # of a picture; more extreme proportions are squeezed


class ScoreImages(keras.callbacks.Callback):
    """Write a score timeline and a patch heat map of each video at the end of every n-th epoch.

    The heat map shows up to five frames, among them the one with the highest score: the patch scores that decided it,
    and those before and after the CRF. A model
    without patch scores gets the timeline alone. ``keras.callbacks.TensorBoard`` writes the scalars.

    Args:
        log_dir: Folder of the event files, such as ``logs/train_detector/images``.
        read_videos: Function of the model that is called once, at the first use. It returns a list of dicts with
            ``title``, ``nodes`` ``(T, G, C)``, ``times_sec`` ``(T,)`` and, where known, ``prior`` ``(T, G)``,
            ``frame_labels`` ``(T,)``, ``frames`` ``(T, H, W, 3)`` and ``aspect``, width by height of the video.
        every_epochs: Number of epochs between two images.
        scales: Scales of the patches; empty when patches are not a grid over the frame: timelines alone.
        threshold: A score at or above it is an alarm.

    Raises:
        ValueError: ``every_epochs`` is below 1.
    """

    def __init__(self, log_dir, read_videos, every_epochs=1, scales=spec.DEFAULT_SCALES, threshold=0.5):
        super().__init__()
        if every_epochs < 1:
            raise ValueError(f"`every_epochs` must be at least 1. Received: {every_epochs}.")
        self.log_dir = os.fspath(log_dir)
        self.read_videos = read_videos
        self.every_epochs = every_epochs
        self.scales = scales
        self.threshold = threshold
        self.videos = None
        self.writer = None

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every_epochs:
            return
        if self.videos is None:
            self.videos = list(self.read_videos(self.model))
            self.writer = tf.summary.create_file_writer(self.log_dir)
        with self.writer.as_default(step=epoch):
            for video in self.videos:
                self._write(video)
        self.writer.flush()

    def on_train_end(self, logs=None):
        if self.writer is not None:
            self.writer.close()
            self.videos = self.writer = None

    def _write(self, video):
        outputs = self._outputs({key: np.asarray(video[key]) for key in (spec.NODES, spec.PRIOR) if key in video})
        scores = outputs[spec.ANOMALY_SCORE]
        labels, title = video.get("frame_labels"), video["title"]
        _image(f"timeline/{title}", timeline_figure(video["times_sec"], scores, self.threshold, labels, title))
        if spec.PATCH_SCORE not in outputs or not self.scales:
            return
        patches = outputs[spec.PATCH_SCORE]
        before = outputs.get(spec.UNARY_PROBABILITY, patches)
        after = outputs[spec.MARGINALS][..., spec.ABNORMAL] if spec.MARGINALS in outputs else patches
        frames = video.get("frames")
        chosen = _spread_frames(scores)
        score_from = getattr(self.model, "score_from", "scorer")
        maps = score_maps(patches[chosen], before[chosen], after[chosen], score_from)
        texts = [f"{video['times_sec'][index]:.1f} s, score {scores[index]:.2f}" for index in chosen]
        frames = None if frames is None else [_in_proportion(frames[i], video.get("aspect")) for i in chosen]
        _image(f"patches/{title}", heat_map_figure(frames, maps, self.scales, texts))

    def _outputs(self, inputs):
        """Outputs of the model for one video, without the batch axis."""
        inputs = {key: value[None].astype("float32") for key, value in inputs.items()}
        mask = np.ones((1, inputs[spec.NODES].shape[1]), bool)
        outputs = self.model({**inputs, spec.MASK: mask}, training=False)
        return {
            name: keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))[0] for name, value in outputs.items()
        }


def _spread_frames(scores):
    """Indices of evenly spaced frames; the one nearest to the highest score is replaced by it."""
    chosen = np.unique(np.linspace(0, len(scores) - 1, MAX_FRAMES).round().astype(int))
    peak = int(np.argmax(scores))
    chosen[np.argmin(np.abs(chosen - peak))] = peak
    return chosen


def _in_proportion(frame, aspect):
    """Widen or narrow a frame, which the models see as a square, to the proportions of its video; None: leave it."""
    height, width = frame.shape[:2]
    width = round(height * min(max(aspect, MIN_ASPECT), 1 / MIN_ASPECT)) if aspect else width
    return np.asarray(Image.fromarray(frame).resize((width, height)))


def _image(name, figure):
    tf.summary.image(name, tf.io.decode_png(png_bytes(figure), channels=3)[None])


def score_images(config, training, validation, logs, every_epochs):
    """Return the ``ScoreImages`` of a few validation videos and, apart from them, training videos; abnormal ones first.

    Args:
        config: ``Config`` of the run.
        training, validation: ``VideoInfo``s.
        logs: Folder of the event files of the training.
        every_epochs: Number of epochs between two images.
    """
    parts = {"validation": validation, "training": training}
    chosen = [
        (f"{part}/{video.video_id}", video)
        for part, videos in parts.items()
        for video in sorted(videos, key=lambda video: -video.label)[:IMAGE_VIDEOS]
    ]
    return ScoreImages(
        logs / "images",
        lambda detector: [{"title": title} | _inputs_of(config, video, detector.uses_prior) for title, video in chosen],
        every_epochs=every_epochs,
        scales=() if config.features.root else config.extractor.scales,
        threshold=config.alarms.threshold,
    )


def _inputs_of(config, video, prior):
    """Nodes, prior and times of one video, and its frames if the clips still exist, as ``ScoreImages`` reads them."""
    run_folder = RunFolder.of(config)
    inputs, _, origin = next(iter(whole_bags(run_folder.nodes, [video], prior=prior)))
    read = {
        **{key: inputs[key].numpy()[0] for key in (spec.NODES, spec.PRIOR) if key in inputs},
        "times_sec": origin["frame_indices"].numpy()[0] / video.fps,
    }
    if not config.features.root and (run_folder.clips / MANIFEST_NAME).exists():
        clips = open_clips(config)
        snippets = [(video.video_id, snippet) for snippet in range(clips.num_snippets(video))]
        frames = [clip["frames"].numpy() for clip in clips.dataset(lambda: iter(snippets), [video])]
        read["frames"] = np.concatenate(frames)[: video.num_sampled]
        read["aspect"] = video.width / video.height
    return read
