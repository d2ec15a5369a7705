"""The exported model: five signatures around the two Keras models, everything from JPEG bytes to scores in the graph.

A detector that was trained on feature files has no extractor and is exported with ``score_nodes`` and ``describe``.
``describe`` returns ``model.json``: a client needs nothing but the address of a server.

Every signature takes videos without padding (there is no mask): all videos of a batch have the same length. Frames are
cut into snippets of K as by ``vad prepare``, the last one is padded with masked zeros, and the backbone runs over a few
snippets at a time, so that its memory does not grow with the length of a video. A video network also gets the frames
around them, so that its maps are those of the whole video.

A server passes inputs of any shape to the graph. So the graph itself refuses what the model cannot score, as an
``INVALID_ARGUMENT``.
"""

import keras
import tensorflow as tf

from pipelines.serving.model_info import DESCRIBE, DESCRIPTION, QUERY
from vad_keras import spec

SNIPPETS_PER_STEP = 4
WINDOW_FRAMES = 128  # about so many frames go through a video network at once, without their context
JPEG_START = b"\xff\xd8"
MAX_PICTURE_PX = 1 << 26  # a JPEG file of some kilobytes may claim to be much larger
SCORE_KEYS = (
    spec.ANOMALY_SCORE,
    spec.CONTEXT_SCORE,
    spec.PATCH_SCORE,
    spec.MARGINALS,
    spec.UNARY_PROBABILITY,
    spec.ITERATIONS,
)


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
    temporal_reach = (0, 0)

    def __init__(self, detector, num_patches, feature_dim):
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(
                f"only the TensorFlow backend writes a SavedModel. Received: KERAS_BACKEND={keras.backend.backend()}. "
                "Models trained on another backend load on TensorFlow: set KERAS_BACKEND=tensorflow and export again."
            )
        self.models = [detector]
        self.detector = detector
        self.num_patches, self.feature_dim = int(num_patches), int(feature_dim)
        self.takes_prior = detector.uses_prior
        self._detect = tf.function(self._detect_anomalies, autograph=False)  # traced once, not per signature

    def score_nodes(self, nodes):
        """Score nodes: float32 ``(B, T, G, C)``, whole videos."""
        return self._scores({spec.NODES: self._checked(nodes, "nodes", self.feature_dim)})

    def score_nodes_with_prior(self, nodes, prior):
        """Score nodes, float32 ``(B, T, G, C)``, and their prior, float32 ``(B, T, G)``, NaN where it is unknown."""
        nodes, prior = self._checked(nodes, "nodes", self.feature_dim), self._checked(prior, "prior")
        return self._scores({spec.NODES: nodes, spec.PRIOR: prior})

    def _checked(self, values, name, *channels):
        """Return ``values`` after a check that they have the shape ``(B, T, G, ...)``, and that nodes are finite."""
        values = _with_content(values, name, (None, None, self.num_patches, *channels))
        if name == "prior":
            return values
        return tf.debugging.assert_all_finite(values, f"`{name}` must be finite")

    def endpoints(self):
        """Return name -> function and the specifications of its inputs."""
        nodes = tf.TensorSpec((None, None, self.num_patches, self.feature_dim), tf.float32, "nodes")
        endpoint = (self.score_nodes, [nodes])
        if self.takes_prior:
            prior = tf.TensorSpec((None, None, self.num_patches), tf.float32, "prior")
            endpoint = (self.score_nodes_with_prior, [nodes, prior])
        return {"serving_default": endpoint, "score_nodes": endpoint}

    def save(self, folder, description=""):
        """Write the SavedModel with all signatures into ``folder``.

        Args:
            folder: Folder of the version.
            description: Content of ``model.json``, which ``describe`` returns once per entry of its input.
        """

        def describe(query):
            return {DESCRIPTION: tf.fill(tf.shape(query), description)}

        # An input with a batch axis, because a server may batch requests and its REST API wants one.
        endpoints = {**self.endpoints(), DESCRIBE: (describe, [tf.TensorSpec((None,), tf.string, QUERY)])}
        graphs = {}  # by function; `keras.export.ExportArchive` would trace a function twice for each of its names
        for function, inputs in endpoints.values():
            if function not in graphs:
                graphs[function] = tf.function(function, inputs, autograph=False).get_concrete_function()
        module = tf.Module()
        module.weights = [variable.value for model in self.models for variable in model.variables]
        tf.saved_model.save(module, str(folder), {name: graphs[function] for name, (function, _) in endpoints.items()})

    def _scores(self, inputs):
        """Score a dict of nodes and, for a detector that takes it, their prior."""
        return self._detect({key: value for key, value in inputs.items() if key != spec.PRIOR or self.takes_prior})

    def _detect_anomalies(self, inputs):
        mask = tf.ones(tf.shape(inputs[spec.NODES])[:2], tf.bool)
        outputs = self.detector({**inputs, spec.MASK: mask}, training=False)
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
        snippets_per_step: Snippets that go through the backbone at once; None: 4, of a video network about 128 frames.
            It bounds the memory and changes no score.
        past_only: Of a video network: a snippet sees the frames before it and none after it.
        crop: Cut the centre of frames of another size than the model's, as ``vad prepare`` does with ``data.crop``.

    Raises:
        RuntimeError: Keras does not run on TensorFlow; a SavedModel is a TensorFlow graph.
        ValueError: The detector takes a prior, and the extractor gives none.
    """

    def __init__(self, extractor, detector, snippets_per_step=None, past_only=False, crop=False):
        super().__init__(detector, 0, 0)
        settings = extractor.get_config()
        self.extractor, self.crop = extractor, crop
        self._extract_blocks = tf.function(self._nodes_of_blocks, autograph=False)
        self.models = [extractor, detector]
        self.scales = tuple(settings["scales"])
        self.clip_frames = int(settings["clip_frames"])
        self.image_size_px = int(settings["image_size"])
        self.num_patches, self.feature_dim = spec.num_patches(self.scales), sum(extractor.channel_groups)
        reach = extractor.temporal_reach
        self.temporal_reach = (reach, 0 if past_only else reach)
        if self.takes_prior and not extractor.has_prior:
            raise ValueError("the detector takes a prior, but the extractor was trained without `prior_labels`.")
        # A block of consecutive snippets of one video shares its context; a step takes several blocks.
        self.block_snippets = max(1, WINDOW_FRAMES // self.clip_frames) if reach and not past_only else 1
        self.blocks_per_step = SNIPPETS_PER_STEP if self.block_snippets == 1 else 1
        if snippets_per_step and self.block_snippets == 1:
            self.blocks_per_step = snippets_per_step
        elif snippets_per_step:
            self.block_snippets = snippets_per_step

    def score_frames(self, frames):
        """Score raw frames: uint8 ``(B, T, H, W, 3)``, RGB, any height and width."""
        return self._scores(self._nodes_of_frames(frames)[0])

    def score_jpeg(self, jpeg_bytes):
        """Score JPEG files: strings ``(B, T)``, each of any size."""
        jpeg_bytes = _with_content(jpeg_bytes, "jpeg_bytes", (None, None))
        return self._scores(self._nodes_of_videos(jpeg_bytes, self._decode)[0])

    def extract(self, frames):
        """Return nodes ``(B, T, G, C)`` of raw frames and the snippet classifier's probability per frame ``(B, T)``.

        An extractor with a prior also returns ``prior`` ``(B, T, G)``.
        """
        inputs, probability = self._nodes_of_frames(frames)
        return {**inputs, spec.ANOMALY_SCORE: probability}

    def _nodes_of_frames(self, frames):
        return self._nodes_of_videos(_with_content(frames, "frames", (None, None, None, None, 3)), self._fit)

    def endpoints(self):
        """Return name -> function and the specification of its input."""
        frames = tf.TensorSpec((None, None, None, None, 3), tf.uint8, "frames")
        jpeg_bytes = tf.TensorSpec((None, None), tf.string, "jpeg_bytes")
        return super().endpoints() | {
            "serving_default": (self.score_jpeg, [jpeg_bytes]),
            "score_jpeg": (self.score_jpeg, [jpeg_bytes]),
            "score_frames": (self.score_frames, [frames]),
            "extract": (self.extract, [frames]),
        }

    def _nodes_of_blocks(self, frames, mask, block_snippets):
        """Blocks with their context, ``(n, before + m K + after, S, S, 3)`` -> values of ``n m K`` frames."""
        before, num_frames = self.temporal_reach[0], block_snippets * self.clip_frames
        maps = self.extractor.feature_maps(frames, mask)[:, before : before + num_frames]
        maps = tf.reshape(maps, (-1, self.clip_frames, *self.extractor.map_shape))
        mask = tf.reshape(mask[:, before : before + num_frames], (-1, self.clip_frames))
        outputs = self.extractor({"maps": maps, spec.MASK: mask}, training=False)
        values = {key: tf.cast(outputs[key], tf.float32) for key in (spec.NODES, spec.PRIOR) if key in outputs}
        values = {key: tf.reshape(value, (-1, *value.shape[2:])) for key, value in values.items()}
        probability = tf.cast(outputs["anomaly_probability"], tf.float32)
        return values | {spec.ANOMALY_SCORE: tf.repeat(probability, self.clip_frames)}

    def _shapes(self):
        """Shape of what ``_nodes_of_blocks`` gives per frame."""
        shapes = {spec.NODES: (self.num_patches, self.feature_dim), spec.ANOMALY_SCORE: ()}
        return shapes | ({spec.PRIOR: (self.num_patches,)} if self.extractor.has_prior else {})

    def _nodes_of_videos(self, videos, to_frames):
        """Loop over groups of blocks: ``(B, T, ...)`` -> nodes ``(B, T, G, C)`` and prior, and probability ``(B, T)``.

        ``to_frames`` turns ``(n, ...)`` gathered elements and their locations (video, time step) into uint8 frames.
        """
        num_videos, num_frames = tf.shape(videos)[0], tf.shape(videos)[1]
        snippets_per_video = (num_frames + self.clip_frames - 1) // self.clip_frames
        blocks_per_video = (snippets_per_video + self.block_snippets - 1) // self.block_snippets
        # Blocks of about equal size. Of no frames there are none, which the check above refuses in its own words.
        block_snippets = (snippets_per_video + blocks_per_video - 1) // tf.maximum(blocks_per_video, 1)
        num_blocks, shapes = num_videos * blocks_per_video, self._shapes()

        def step(start, arrays):
            blocks = tf.range(start, tf.minimum(start + self.blocks_per_step, num_blocks))
            frames, mask = self._gather(videos, blocks, blocks_per_video, block_snippets * self.clip_frames, to_frames)
            values = self._extract_blocks(frames, mask, block_snippets)
            index = start // self.blocks_per_step
            return start + self.blocks_per_step, {key: arrays[key].write(index, values[key]) for key in shapes}

        def array(shape):
            options = {"infer_shape": False, "element_shape": (None, *shape)}
            return tf.TensorArray(tf.float32, size=0, dynamic_size=True, **options)

        loop = (0, {key: array(shape) for key, shape in shapes.items()})
        _, arrays = tf.while_loop(lambda start, _: start < num_blocks, step, loop, parallel_iterations=1)
        found = {
            key: tf.reshape(arrays[key].concat(), (num_videos, -1, *shape))[:, :num_frames]
            for key, shape in shapes.items()
        }
        probability = found.pop(spec.ANOMALY_SCORE)
        return found, probability

    def _gather(self, videos, blocks, blocks_per_video, block_frames, to_frames):
        """Gather the frames of some blocks with their context, and the mask; zeros outside of the video."""
        before, after = self.temporal_reach
        side, length = self.image_size_px, before + block_frames + after
        num_videos, num_frames = tf.shape(videos)[0], tf.shape(videos)[1]
        steps = (blocks % blocks_per_video)[:, None] * block_frames - before + tf.range(length)
        mask = (steps >= 0) & (steps < num_frames)
        video = tf.repeat(blocks // blocks_per_video, length)
        locations = tf.stack([video, tf.reshape(steps, [-1])], axis=1)
        locations = tf.clip_by_value(locations, 0, tf.stack([num_videos, num_frames]) - 1)
        frames = to_frames(tf.gather_nd(videos, locations), locations)
        frames = tf.reshape(frames, (-1, length, side, side, 3))
        return frames * tf.cast(mask[:, :, None, None, None], tf.uint8), mask

    def _fit(self, frames, locations=None):
        """Resize ``(n, H, W, 3)`` to the model's square; frames of this size stay as they are."""
        side = self.image_size_px
        size = [round(side / part) for part in spec.CENTER_CROP] if self.crop else (side, side)

        def resize():
            resized = tf.image.resize(frames, size, antialias=True)
            resized = tf.image.crop_to_bounding_box(resized, (size[0] - side) // 2, (size[1] - side) // 2, side, side)
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
                size = tf.cast(tf.io.extract_jpeg_shape(jpeg)[:2], tf.int64)
            too_large = [f"a JPEG file of more than {MAX_PICTURE_PX} pixels: video", where[0], "frame", where[1]]
            checked = tf.debugging.Assert(tf.reduce_prod(size) <= MAX_PICTURE_PX, too_large)
            with tf.control_dependencies([checked]):
                frame = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
            return self._fit(frame[None])[0]

        side = self.image_size_px
        return tf.map_fn(decode, (jpegs, locations), fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8))


def _with_content(values, name, shape):
    """Return ``values`` after a check of their shape, and that no axis is empty."""
    # Not tf.ensure_shape, which is left out of a graph whose input claims to have this shape.
    values = tf.raw_ops.EnsureShape(input=values, shape=tf.TensorShape(shape), name=f"shape_of_{name}")
    axes = "(B, T)" if len(shape) < 5 else "(B, T, H, W)"
    message = f"`{name}` must hold at least one video and one frame: the shape starts with {axes}"
    checked = tf.debugging.assert_positive(tf.shape(values), message=message)
    with tf.control_dependencies([checked] if checked is not None else []):
        return tf.identity(values)
