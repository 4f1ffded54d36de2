"""How each family of transformers' video models takes a clip of frames and gives tokens, in one form for all."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig

from pave.errors import InputError


class VideoFamily:
    """VideoMAE: tokens in order of time, then rows and columns, no others.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        self.config = config

    @property
    def frames(self) -> int:
        """Frames in a clip."""
        return int(self.config.num_frames)

    @property
    def tubelet(self) -> int:
        """Frames that make one step of tokens."""
        return int(self.config.tubelet_size)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures that the model takes."""
        return _pair(self.config.image_size)

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of a patch."""
        return _pair(self.config.patch_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a step's tokens."""
        return (self.size[0] // self.patch[0], self.size[1] // self.patch[1])

    @property
    def width(self) -> int:
        """Feature width D."""
        return int(self.config.hidden_size)

    @staticmethod
    def part_of(model: nn.Module) -> nn.Module:
        """Return the part of the model that encodes video."""
        return model

    def tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """Return tokens (B,steps,rows,columns,D) of clips (B,frames,3,H,W)."""
        return self._laid_out(module(pixel_values=pixels).last_hidden_state)

    def _laid_out(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(1, (self.frames // self.tubelet, *self.grid))


class VJEPA2Family(VideoFamily):
    """V-JEPA 2: its encoder, without the predictor that only training uses."""

    @property
    def frames(self) -> int:
        """Frames in a clip."""
        return int(self.config.frames_per_clip)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures that the model takes."""
        return _pair(self.config.crop_size)

    @staticmethod
    def part_of(model: nn.Module) -> nn.Module:
        """Return the encoder."""
        encoder: Any = model.encoder
        return encoder

    def tokens(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """Return tokens (B,steps,rows,columns,D) of clips (B,frames,3,H,W)."""
        return self._laid_out(module(pixel_values_videos=pixels).last_hidden_state)


class TimesformerFamily(VideoFamily):
    """TimeSformer: a token for the whole clip first, then for each place its tokens in order of time."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        if config.attention_type == "space_only":
            raise InputError("frames: a TimeSformer that attends to space only has no steps; name one with time")

    @property
    def tubelet(self) -> int:
        """Frames that make one step of tokens, one."""
        return 1

    def _laid_out(self, tokens: Tensor) -> Tensor:
        return tokens[:, 1:].unflatten(1, (*self.grid, self.frames)).movedim(3, 1)


class VivitFamily(VideoFamily):
    """ViViT: as VideoMAE, after a token for the whole clip."""

    @property
    def tubelet(self) -> int:
        """Frames that make one step of tokens."""
        return int(self.config.tubelet_size[0])

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of a patch."""
        return (int(self.config.tubelet_size[1]), int(self.config.tubelet_size[2]))

    def _laid_out(self, tokens: Tensor) -> Tensor:
        return super()._laid_out(tokens[:, 1:])


FAMILIES: dict[str, type[VideoFamily]] = {
    "timesformer": TimesformerFamily,
    "videomae": VideoFamily,
    "vivit": VivitFamily,
    "vjepa2": VJEPA2Family,
}
"""By ``model_type`` of the model's configuration."""


def _pair(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
