"""The exported model: four signatures around the two Keras models, everything from JPEG bytes to scores in the graph.

A detector that was trained on feature files has no extractor and is exported with ``score_nodes`` only.

Every signature takes videos without padding (there is no mask): all videos of a batch have the same length. Frames are
cut into snippets of K as by ``vad prepare``, the last one is padded with masked zeros, and the backbone runs over a few
snippets at a time, so that its memory does not grow with the length of a video.
"""

import keras
import tensorflow as tf

from vad_keras import spec

SNIPPETS_PER_STEP = 4
JPEG_START = b"\xff\xd8"
SCORE_KEYS = (spec.ANOMALY_SCORE, spec.PATCH_SCORE, spec.MARGINALS, spec.UNARY_PROBABILITY, spec.ITERATIONS)


class NodeSignatures:
    """Signatures of a detector alone.

    Args:
        detector: A built ``AnomalyDetector``, or a baseline with the same inputs (nodes of a video to scores).
        num_patches: Patches per frame, G.
        feature_dim: Channels per node, C.

    Raises:
        RuntimeError: Keras does not run on TensorFlow; a SavedModel is a TensorFlow graph.
    """

    clip_frames = image_size_px = 0  # it takes no frames
    scales = ()

    def __init__(self, detector, num_patches, feature_dim):
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(
                f"only the TensorFlow backend writes a SavedModel. Received: KERAS_BACKEND={keras.backend.backend()}. "
                "Models trained on another backend load on TensorFlow: set KERAS_BACKEND=tensorflow and export again."
            )
        self.models = [detector]
        self.detector = detector
        self.num_patches, self.feature_dim = int(num_patches), int(feature_dim)

    def score_nodes(self, nodes):
        """Score nodes: float32 ``(B, T, G, C)``, whole videos."""
        return self._scores(_with_content(nodes, "nodes"))

    def endpoints(self):
        """Return name -> function and the specification of its input."""
        nodes = tf.TensorSpec((None, None, self.num_patches, self.feature_dim), tf.float32, "nodes")
        return {"serving_default": (self.score_nodes, nodes), "score_nodes": (self.score_nodes, nodes)}

    def save(self, folder):
        """Write the SavedModel with all signatures into ``folder``."""
        archive = keras.export.ExportArchive()
        for model in self.models:
            archive.track(model)
        for name, (function, specification) in self.endpoints().items():
            archive.add_endpoint(name, function, [specification])
        archive.write_out(str(folder), verbose=False)

    def _scores(self, nodes):
        mask = tf.ones(tf.shape(nodes)[:2], tf.bool)
        outputs = self.detector({spec.NODES: nodes, spec.MASK: mask}, training=False)
        return {
            key: tf.cast(outputs[key], tf.int32 if key == spec.ITERATIONS else tf.float32)
            for key in SCORE_KEYS
            if key in outputs
        }


class ServingSignatures(NodeSignatures):
    """Signatures of an extractor and a detector.

    Args:
        extractor: A built ``RelationAwareExtractor`` (frames of a snippet to nodes).
        detector: A built ``AnomalyDetector``, or a baseline with the same inputs (nodes of a video to scores).
        snippets_per_step: Snippets that go through the backbone at once. It bounds the memory and changes no score.

    Raises:
        RuntimeError: Keras does not run on TensorFlow; a SavedModel is a TensorFlow graph.
    """

    def __init__(self, extractor, detector, snippets_per_step=SNIPPETS_PER_STEP):
        super().__init__(detector, 0, 0)
        settings = extractor.get_config()
        self.extractor = extractor
        self.models = [extractor, detector]
        self.scales = tuple(settings["scales"])
        self.snippets_per_step = snippets_per_step
        self.clip_frames = int(settings["clip_frames"])
        self.image_size_px = int(settings["image_size"])
        blank = tf.zeros((1, self.clip_frames, self.image_size_px, self.image_size_px, 3), tf.uint8)
        nodes, _ = self._nodes_of_snippets(blank, tf.ones((1, self.clip_frames), tf.bool))
        self.num_patches, self.feature_dim = nodes.shape[2:]

    def score_frames(self, frames):
        """Score raw frames: uint8 ``(B, T, H, W, 3)``, RGB, any height and width."""
        nodes, _ = self._nodes_of_videos(frames, self._fit)
        return self._scores(nodes)

    def score_jpeg(self, jpeg_bytes):
        """Score JPEG files: strings ``(B, T)``, each of any size."""
        nodes, _ = self._nodes_of_videos(jpeg_bytes, self._decode)
        return self._scores(nodes)

    def extract(self, frames):
        """Return nodes ``(B, T, G, C)`` of raw frames and the snippet classifier's probability per frame ``(B, T)``."""
        nodes, probability = self._nodes_of_videos(frames, self._fit)
        return {spec.NODES: nodes, spec.ANOMALY_SCORE: probability}

    def endpoints(self):
        """Return name -> function and the specification of its input."""
        frames = tf.TensorSpec((None, None, None, None, 3), tf.uint8, "frames")
        jpeg_bytes = tf.TensorSpec((None, None), tf.string, "jpeg_bytes")
        return super().endpoints() | {
            "serving_default": (self.score_jpeg, jpeg_bytes),
            "score_jpeg": (self.score_jpeg, jpeg_bytes),
            "score_frames": (self.score_frames, frames),
            "extract": (self.extract, frames),
        }

    def _nodes_of_snippets(self, frames, mask):
        outputs = self.extractor({"frames": frames, spec.MASK: mask}, training=False)
        return tf.cast(outputs[spec.NODES], tf.float32), tf.cast(outputs["anomaly_probability"], tf.float32)

    def _nodes_of_videos(self, videos, to_frames):
        """Loop over groups of snippets: ``(B, T, ...)`` -> nodes ``(B, T, G, C)`` and probability ``(B, T)``.

        ``to_frames`` turns ``(n, ...)`` gathered elements and their locations (video, time step) into uint8 frames.
        """
        videos = _with_content(videos, "frames")
        num_videos, num_frames = tf.shape(videos)[0], tf.shape(videos)[1]
        snippets_per_video = (num_frames + self.clip_frames - 1) // self.clip_frames
        num_snippets = num_videos * snippets_per_video

        def step(start, nodes, probability):
            snippets = tf.range(start, tf.minimum(start + self.snippets_per_step, num_snippets))
            frames, mask = self._gather(videos, snippets, snippets_per_video, to_frames)
            group_nodes, group_probability = self._nodes_of_snippets(frames, mask)
            index = start // self.snippets_per_step
            nodes = nodes.write(index, tf.reshape(group_nodes, (-1, self.num_patches, self.feature_dim)))
            probability = probability.write(index, tf.repeat(group_probability, self.clip_frames))
            return start + self.snippets_per_step, nodes, probability

        def array(shape):
            return tf.TensorArray(tf.float32, size=0, dynamic_size=True, infer_shape=False, element_shape=shape)

        loop = (0, array((None, self.num_patches, self.feature_dim)), array((None,)))
        _, nodes, probability = tf.while_loop(lambda start, *_: start < num_snippets, step, loop, parallel_iterations=1)
        nodes = tf.reshape(nodes.concat(), (num_videos, -1, self.num_patches, self.feature_dim))
        return nodes[:, :num_frames], tf.reshape(probability.concat(), (num_videos, -1))[:, :num_frames]

    def _gather(self, videos, snippets, snippets_per_video, to_frames):
        """Gather frames ``(n, K, side, side, 3)`` and mask ``(n, K)`` of some snippets; zeros after the last frame."""
        num_videos, num_frames = tf.shape(videos)[0], tf.shape(videos)[1]
        steps = (snippets % snippets_per_video)[:, None] * self.clip_frames + tf.range(self.clip_frames)
        mask = steps < num_frames
        video = tf.repeat(snippets // snippets_per_video, self.clip_frames)
        locations = tf.stack([video, tf.reshape(steps, [-1])], axis=1)
        locations = tf.minimum(locations, tf.stack([num_videos, num_frames]) - 1)
        frames = to_frames(tf.gather_nd(videos, locations), locations)
        frames = tf.reshape(frames, (-1, self.clip_frames, self.image_size_px, self.image_size_px, 3))
        return frames * tf.cast(mask[:, :, None, None, None], tf.uint8), mask

    def _fit(self, frames, locations=None):
        """Resize ``(n, H, W, 3)`` to the model's square; frames of this size stay as they are."""
        side = self.image_size_px

        def resize():
            resized = tf.image.resize(frames, (side, side), antialias=True)
            return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)

        fits = tf.reduce_all(tf.equal(tf.shape(frames)[1:3], side))
        return tf.ensure_shape(tf.cond(fits, lambda: frames, resize), (None, side, side, 3))

    def _decode(self, jpegs, locations):
        """Decode ``(n,)`` JPEG files; the error names the frame and the video that is not one."""

        def decode(one):
            jpeg, where = one
            problem = ["not a JPEG file: video", where[0], "frame", where[1]]
            checked = tf.debugging.Assert(tf.equal(tf.strings.substr(jpeg, 0, len(JPEG_START)), JPEG_START), problem)
            with tf.control_dependencies([checked]):
                frame = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
            return self._fit(frame[None])[0]

        side = self.image_size_px
        return tf.map_fn(decode, (jpegs, locations), fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8))


def _with_content(videos, name):
    """Return ``videos`` after a check that it holds a video and a frame."""
    message = f"`{name}` must hold at least one video and one frame: the shape starts with (B, T)"
    checked = tf.debugging.assert_positive(tf.shape(videos)[:2], message=message)
    with tf.control_dependencies([checked] if checked is not None else []):
        return tf.identity(videos)
