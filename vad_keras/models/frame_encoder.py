"""Frames to feature maps: one backbone, or an image backbone and a video network side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import ops

from vad_keras import checks
from vad_keras.layers.temporal_relation import repeat_last_frame
from vad_keras.models.backbones import BACKBONES, build_backbone
from vad_keras.models.checked_model import CheckedModel
from vad_keras.models.frame_preprocessing import normalize_frames, resize_frames
from vad_keras.models.video_networks import VIDEO_BACKBONES
from vad_keras.typing import Tensor

DEFAULT_IMAGE_SIZE = 224


class FrameEncoder(CheckedModel):
    """A model that starts with the feature maps of frames; the arguments are those of ``RelationAwareExtractor``."""

    def __init__(
        self,
        backbone: str,
        weights: str | Path | None,
        image_size: int | None,
        train_backbone: bool,
        video_backbone: str | None,
        video_weights: str | Path | None,
        backbone_layer: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if image_size is None:
            image_size = BACKBONES.get(backbone, {}).get("image_size", DEFAULT_IMAGE_SIZE)
        checks.integers(1, image_size=image_size)
        self.backbone_name = backbone
        self.video_backbone_name = video_backbone
        self.image_size = image_size
        self.train_backbone = train_backbone
        self.backbone_layer = backbone_layer
        self.backbone = self._under_own_policy(build_backbone, backbone, image_size, weights, backbone_layer)
        self.video_backbone = None
        if video_backbone is not None:
            self._check_pair()
            self.video_backbone = self._under_own_policy(build_backbone, video_backbone, image_size, video_weights)
        self._freeze()

    def _under_own_policy(self, function: Callable[..., keras.Model], *arguments: Any) -> keras.Model:
        """Call with this model's dtype policy in force, since ``keras.applications`` know only the global one."""
        previous = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.dtype_policy)
        try:
            return function(*arguments)
        finally:
            keras.config.set_dtype_policy(previous)

    def _check_pair(self) -> None:
        if self.video_backbone_name not in VIDEO_BACKBONES or self.backbone_name in VIDEO_BACKBONES:
            raise ValueError(
                f"`video_backbone` must be one of {tuple(VIDEO_BACKBONES)}, beside an image `backbone`. Received: "
                f"{self.video_backbone_name!r} beside {self.backbone_name!r}."
            )

    @property
    def video_name(self) -> str | None:
        """Name of the video network, None without one."""
        return self.backbone_name if self.backbone_name in VIDEO_BACKBONES else self.video_backbone_name

    @property
    def temporal_reach(self) -> int:
        """Frames to each side on which the maps of a frame depend; 0 for image backbones."""
        return VIDEO_BACKBONES[self.video_name]["temporal_reach"] if self.video_name else 0

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Shape of the maps of a frame, ``(h, w, C)``."""
        shapes = self.network_shapes
        return (*shapes[0][:2], sum(shape[-1] for shape in shapes))

    @property
    def network_shapes(self) -> list[tuple[int, ...]]:
        """Shape of the maps of each network, ``(h, w, C)``; a video network beside another has maps of its size."""
        if self.backbone_name in VIDEO_BACKBONES:
            return [self.backbone.compute_output_shape((None, None, self.image_size, self.image_size, 3))[2:]]
        shapes = [self.backbone.output_shape[1:]]
        if self.video_backbone is not None:
            shapes.append((*shapes[0][:2], self.video_backbone.compute_output_shape((None,) * 5)[-1]))
        return shapes

    def _networks(self) -> list[tuple[keras.Model, dict[str, Any]]]:
        pairs = [(self.backbone, self.backbone_name), (self.video_backbone, self.video_backbone_name)]
        return [(network, BACKBONES[name]) for network, name in pairs if network is not None and name is not None]

    def _freeze(self) -> None:
        for network, _ in self._networks():
            network.trainable = self.train_backbone
            norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
            for layer in norms[1:]:
                layer.trainable = False

    def check_frames(self, frames: Tensor, clip_frames: int) -> None:
        """Raise a ``ValueError`` unless these are ``clip_frames`` frames of the size of the model."""
        size = self.image_size
        if tuple(frames.shape[1:]) != (clip_frames, size, size, 3):
            raise ValueError(
                f"`frames` must have shape (B, {clip_frames}, {size}, {size}, 3). "
                f"Received: {tuple(frames.shape)}. Pad and mask a short snippet, and resize frames of another size."
            )

    def feature_maps(self, frames: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        """Step 1 alone, of any number of frames: ``(B, n, S, S, 3)`` -> ``(B, n, h, w, C)``.

        Frames outside of ``mask``, ``(B, n)``, are unseen: a video backbone takes them as zeros. They may be at either
        end.
        """
        self.check_frames(frames, frames.shape[1])
        if mask is not None and training:
            frames = repeat_last_frame(frames, mask)  # so that padding never enters the first batch norm's statistics
        maps = [self._maps_of(network, expected, frames, mask, training) for network, expected in self._networks()]
        return maps[0] if len(maps) == 1 else ops.concatenate(maps, axis=-1)

    def _maps_of(
        self, network: keras.Model, expected: dict[str, Any], frames: Tensor, mask: Tensor | None, training: bool
    ) -> Tensor:
        """Maps of one network, ``(B, n, h, w, c)``."""
        options = {"training": training and self.train_backbone}
        num_frames, size = ops.shape(frames)[1], self.image_size
        images = ops.cast(ops.reshape(frames, (-1, size, size, 3)), "float32")
        if network is self.video_backbone:
            size = self.network_shapes[0][0] * expected["stride"]
            images = resize_frames(images, size)
        images = ops.cast(normalize_frames(images, expected), self.compute_dtype)
        if not expected.get("video"):
            maps = network(images, **options)
            return ops.reshape(maps, (-1, num_frames, *maps.shape[1:]))
        return network(ops.reshape(images, (-1, num_frames, size, size, 3)), mask=mask, **options)
