"""Video backbones of the feature extractor, as a plain dict: how each is built and what it expects of its input."""

from pathlib import Path
from typing import Any, Literal

import keras
from keras import layers, ops

from vad_keras import checks
from vad_keras.models.torch_weights import assign_arrays, read_state_dict
from vad_keras.typing import Shape, Tensor

Stage = Literal["layer1", "layer2", "layer3", "layer4"]
VideoBackbone = Literal["mc3_18"]
STAGES = {"layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}  # filters
BLOCKS = 2  # of two convolutions, per stage
HEAD = "fc"  # the classifier, which `ActionLogits` reads from the same file


@keras.saving.register_keras_serializable("vad_keras")
class MixedConvolution18(keras.Model):
    """torchvision's ``mc3_18`` without its classifier: clips of ``K`` frames to one map per frame.

    A residual network of 18 layers. The stem and the first stage are 3-D convolutions of 3 frames; the other stages are
    2-D and see each frame alone. No layer has a stride in time, and time is padded with zeros, as in PyTorch.

    Five convolutions over time reach ``TEMPORAL_REACH`` = 5 frames to each side. The map of a frame that has 5 frames
    before and 5 after it in the clip is therefore the same in every clip, of any length. Nearer to an end each of these
    convolutions sees zeros beyond it. Copies of the last frame are no such zeros: a clip that is filled up with copies
    has other maps in its last 5 real frames. With ``mask`` it has the maps of the clip alone, since masked frames are
    set to 0 before each convolution over time.

    torchvision's ``r3d_18`` and ``r2plus1d_18`` have strides in time: ``K`` frames give ``K / 8`` maps. So they cannot
    take its place here.

    Args:
        last_stage: ``"layer1"`` to ``"layer4"``: the maps are taken after this stage.
        **kwargs: ``name`` and ``dtype`` of the model.

    Call arguments:
        clips: normalised frames, ``(B, K, H, W, 3)``, see ``VIDEO_BACKBONES``; ``K``, ``H`` and ``W`` are free.
        mask: bool ``(B, K)``, True for real frames, or None.
        training: use the statistics of the batch (of its real frames) in batch norms.

    Output shape:
        ``(B, K, ceil(H / 16), ceil(W / 16), 512)``, 0 in padded frames. An earlier stage has maps of twice the size and
        half the channels.

    Example:

    >>> import numpy as np
    >>> tuple(MixedConvolution18()(np.zeros((2, 4, 32, 32, 3), "float32")).shape)
    (2, 4, 2, 2, 512)

    Reference:
        Tran, Wang, Torresani, Ray, LeCun, Paluri: A Closer Look at Spatiotemporal Convolutions for Action Recognition,
        CVPR 2018 (MC3).
    """

    TEMPORAL_REACH = 5

    def __init__(self, last_stage: Stage = "layer4", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checks.choice(tuple(STAGES), last_stage=last_stage)
        names = list(STAGES)
        self.last_stage, self.stages = last_stage, names[: names.index(last_stage) + 1]
        self.supports_masking = True
        self.input_spec = layers.InputSpec(ndim=5, axes={-1: 3})
        self.convolutions: dict[str, layers.Conv3D] = {}  # by torchvision's names
        self.norms: dict[str, layers.BatchNormalization] = {}
        self._add("stem", 3, 64, (3, 7, 7), 2)
        channels = 64
        for stage in self.stages:
            filters = STAGES[stage]
            kernel = (3 if stage == "layer1" else 1, 3, 3)
            for block in range(BLOCKS):
                stride = 2 if channels != filters else 1
                self._add(f"{stage}.{block}.conv1", channels, filters, kernel, stride)
                self._add(f"{stage}.{block}.conv2", filters, filters, kernel, 1)
                if stride > 1:
                    self._add(f"{stage}.{block}.downsample", channels, filters, (1, 1, 1), stride)
                channels = filters
        self.built = True

    def _add(self, unit: str, channels: int, filters: int, kernel: tuple[int, int, int], stride: int) -> None:
        """Add and build a convolution and its batch norm."""
        name = unit.replace(".", "_")
        convolution = layers.Conv3D(
            filters,
            kernel,
            strides=(1, stride, stride),
            padding="valid" if stride > 1 else "same",
            data_format="channels_last",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name=f"{name}_convolution",
        )
        norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy, name=f"{name}_norm")
        convolution.build((None, None, None, None, channels))
        norm.build((None, None, None, None, filters))
        self.convolutions[unit], self.norms[unit] = convolution, norm

    def call(self, clips: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        real = None if mask is None else ops.cast(mask, "bool")[:, :, None, None]
        x = ops.relu(self._unit("stem", clips, real, training))
        for stage in self.stages:
            for block in range(BLOCKS):
                x = self._residual_block(f"{stage}.{block}", x, real, training)
        return _real_frames(x, real)

    def _residual_block(self, name: str, x: Tensor, real: Tensor | None, training: bool) -> Tensor:
        shortcut = x
        if f"{name}.downsample" in self.convolutions:
            shortcut = self._unit(f"{name}.downsample", x, real, training)
        x = ops.relu(self._unit(f"{name}.conv1", x, real, training))
        return ops.relu(self._unit(f"{name}.conv2", x, real, training) + shortcut)

    def _unit(self, name: str, x: Tensor, real: Tensor | None, training: bool) -> Tensor:
        """Convolution and batch norm; PyTorch pads both sides alike, which "same" does without a stride only."""
        convolution = self.convolutions[name]
        if convolution.kernel_size[0] > 1:
            x = _real_frames(x, real)
        if convolution.padding == "valid" and max(convolution.kernel_size) > 1:
            x = ops.pad(x, [(0, 0), *((size // 2, size // 2) for size in convolution.kernel_size), (0, 0)])
        return self.norms[name](convolution(x), training=training, mask=real)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, num_frames, height, width, _ = input_shape
        stride = 2 ** len(self.stages)
        sides = (None if side is None else -(-side // stride) for side in (height, width))
        return (batch, num_frames, *sides, STAGES[self.last_stage])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "last_stage": self.last_stage}

    def load_torchvision_weights(self, path: str | Path) -> None:
        """Load torchvision's ``mc3_18`` from a ``.npz`` or ``.pth`` file, without classifier and later stages."""
        modules = {f"{unit}.0": layer for unit, layer in self.convolutions.items()}
        modules |= {f"{unit}.1": layer for unit, layer in self.norms.items()}
        ignored = [HEAD, *STAGES.keys() - set(self.stages)]
        assign_arrays(modules, read_state_dict(path), path, ignored)


def _real_frames(x: Tensor, real: Tensor | None) -> Tensor:
    """The same with 0 in padded frames."""
    return x if real is None else ops.where(real[..., None], x, ops.zeros_like(x))


# A pixel p in 0..255 enters a backbone as `p * scale - offset`, in the order of `channels`.
_MEAN, _DEVIATION = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)

VIDEO_BACKBONES: dict[str, dict[str, Any]] = {
    "mc3_18": {
        "build": MixedConvolution18,
        "video": True,
        "channels": "RGB",
        "scale": tuple(1 / (255 * deviation) for deviation in _DEVIATION),
        "offset": tuple(mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)),
        # As published: a frame is resized to 128 rows and 171 columns, then its centre is cropped.
        "image_size": 112,
        "stride": 16,
        "resize": (128, 171),
        "frame_rate": 15.0,
        "clip_frames": 16,
        "temporal_reach": MixedConvolution18.TEMPORAL_REACH,
    },
}


def build_video_backbone(name: str, weights: str | Path | None = None, layer: str | None = None) -> MixedConvolution18:
    """Build the convolutional part of a video network, clips ``(B, K, S, S, 3)`` to maps ``(B, K, h, w, C)``.

    Args:
        name: key of ``VIDEO_BACKBONES``.
        weights: None (random), or the path of a ``.npz`` or ``.pth`` file with torchvision's names.
        layer: stage whose maps are taken; None: the last one.

    Raises:
        ValueError: for an unknown name or stage, or a weights file of another architecture or with more than tensors.
        FileNotFoundError: when the weights file does not exist.

    Example:

    >>> build_video_backbone("mc3_18").compute_output_shape((None, 16, 112, 112, 3))
    (None, 16, 7, 7, 512)
    """
    if name not in VIDEO_BACKBONES:
        raise ValueError(f"`backbone` must be one of {tuple(VIDEO_BACKBONES)}. Received: {name!r}.")
    backbone: MixedConvolution18 = VIDEO_BACKBONES[name]["build"](layer or list(STAGES)[-1], name=name)
    if weights is not None:
        backbone.load_torchvision_weights(weights)
    return backbone
