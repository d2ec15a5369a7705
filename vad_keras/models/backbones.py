"""Backbones of the feature extractor, as a plain dict: how each is built and what it expects of its input."""

import warnings
from pathlib import Path
from typing import Any, Literal

import keras
from keras import layers

from vad_keras.models.video_networks import VIDEO_BACKBONES, build_video_backbone


def small_backbone(
    input_shape: tuple[int, int, int], include_top: bool = False, weights: str | None = None
) -> keras.Model:
    """Four strided convolutions, ``(H / 16, W / 16, 96)``: trains from scratch on a CPU, for tests and the demo."""
    if include_top or weights is not None:
        raise ValueError("The small backbone has neither a classifier nor published weights.")
    images = x = keras.Input(input_shape)
    for index, filters in enumerate((16, 32, 64, 96)):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", kernel_initializer="he_normal")(x)
        if index == 0:
            x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
    return keras.Model(images, x, name="small")


Backbone = Literal["resnet50", "mobilenet_v2", "small", "mc3_18"]

# A pixel p in 0..255 enters a backbone as `p * scale - offset`, in the order of `channels`.
BACKBONES: dict[str, dict[str, Any]] = {
    "resnet50": {
        "build": keras.applications.ResNet50,
        "channels": "BGR",
        "scale": 1.0,
        "offset": (103.939, 116.779, 123.68),
    },
    "mobilenet_v2": {
        "build": keras.applications.MobileNetV2,
        "channels": "RGB",
        "scale": 1.0 / 127.5,
        "offset": (1.0, 1.0, 1.0),
    },
    "small": {"build": small_backbone, "channels": "RGB", "scale": 1.0 / 127.5, "offset": (1.0, 1.0, 1.0)},
    **VIDEO_BACKBONES,
}


def build_backbone(
    name: str, image_size: int, weights: str | Path | None = None, layer: str | None = None
) -> keras.Model:
    """Build the convolutional part of a backbone, images ``(N, S, S, 3)`` to maps ``(N, h, w, C)``.

    A video backbone takes clips ``(B, K, S, S, 3)`` of any size instead, see ``build_video_backbone``.

    Args:
        name: key of ``BACKBONES``.
        image_size: ``S``.
        weights: None, ``"imagenet"`` (image backbones) or the path of a weights file.
        layer: name of the layer whose maps are taken, such as ``"block_13_expand_relu"`` of MobileNetV2 or
            ``"layer3"`` of MC3-18; None: the last one.

    Raises:
        ValueError: for an unknown name or layer, or a weights file of another architecture.
        FileNotFoundError: when the weights file is not there.

    Example:

    >>> build_backbone("small", 64).output_shape
    (None, 4, 4, 96)
    """
    if name not in BACKBONES:
        raise ValueError(f"`backbone` must be one of {tuple(BACKBONES)}. Received: {name!r}.")
    if weights == "imagenet" and (name == "small" or name in VIDEO_BACKBONES):
        raise ValueError(
            f'There are no "imagenet" `weights` of the backbone {name!r}. Use None, a file or another backbone.'
        )
    if name in VIDEO_BACKBONES:
        return build_video_backbone(name, weights, layer)
    published = weights if weights == "imagenet" else None
    backbone = BACKBONES[name]["build"](input_shape=(image_size, image_size, 3), include_top=False, weights=published)
    if weights is not None and published is None:
        load_backbone_weights(backbone, name, Path(weights))
    return backbone if layer is None else _cut(backbone, layer)


def _cut(backbone: keras.Model, layer: str) -> keras.Model:
    """The backbone up to a layer."""
    names = [one.name for one in backbone.layers if len(one.output.shape) == 4]
    if layer not in names:
        raise ValueError(f"`backbone_layer` must be one of {names} of {backbone.name!r}. Received: {layer!r}.")
    return keras.Model(backbone.input, backbone.get_layer(layer).output, name=backbone.name)


def load_backbone_weights(backbone: keras.Model, name: str, path: Path) -> None:
    """Load a ``.weights.h5`` (``save_weights``) or a ``.h5`` of ``keras.applications``; errors name the file."""
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights file {path} does not exist. Give the path of a .weights.h5 file without classifier, "
            '"imagenet" (downloads) or None (random).'
        )
    try:
        with warnings.catch_warnings():  # Keras walks some layers twice and warns of the second, empty walk
            warnings.filterwarnings("ignore", message="Skipping nested container")
            backbone.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds for a file that is not theirs
        raise ValueError(
            f"The weights file {path} does not fit the backbone {name!r} without classifier: {error}"
        ) from error
