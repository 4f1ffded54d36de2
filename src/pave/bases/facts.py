"""The facts of a family as data: what to call, what must stay beside it, and how its tokens are laid out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from pave.config import PatchConfig
from pave.errors import InputError

MINIMUM_TRANSFORMERS = "5.18"


class Facts:
    """The facts of one family of Video LLMs, and what follows from them without any input.

    Args:
        config: The configuration of the base.
    """

    layouts: ClassVar[tuple[str, ...]] = ("native",)
    """Orders of video and newline tokens that the family can produce; the first is the base's own."""

    method: ClassVar[str] = "get_video_features"
    """The frozen video path, a method of the inner model."""

    arguments: ClassVar[Mapping[str, str]] = {}
    """Its parameters that are named otherwise than the inputs they take."""

    key: ClassVar[Literal["video", "image"]] = "video"
    """Where ``mm_encoder_outputs`` holds its result."""

    pixels: ClassVar[str] = "pixel_values_videos"
    """The input that holds the video's pixels."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Inputs that the video path takes beside the pixels."""

    axes: ClassVar[Mapping[str, int]] = {}
    """Axes along which inputs of several videos follow one another in a batch, where it is not the first."""

    beside: ClassVar[tuple[str, ...]] = ()
    """Inputs that the language model needs beside encoded videos; without them some bases fail, and others do not."""

    placeholder: ClassVar[str] = "video_token_id"
    """Field of the configuration with the token id that marks the places of video tokens."""

    lead: ClassVar[int] = 0
    """Tokens that stand before those of each step."""

    tail: ClassVar[int] = 0
    """Tokens that end each video."""

    entries: ClassVar[Literal["video", "step"]] = "video"
    """What one entry of the base's container holds."""

    is_tensor: ClassVar[bool] = False
    """Whether the container is one tensor, not a sequence of them."""

    frames_per_step: int = 1
    """Frames that the base merges into one step."""

    vision_width: ClassVar[str | None] = "vision_config.hidden_size"
    """Field with the width of features before the projector; ``None`` where none has a video token's place."""

    language_model: ClassVar[str] = "model.language_model"
    """Path of the language model inside the base, where LoRA goes."""

    lora_without: ClassVar[tuple[str, ...]] = ()
    """Names in the paths of those linear layers of the language model that never get a LoRA."""

    vision_tower: ClassVar[str] = "model.vision_tower"
    """Path of the vision tower inside the base."""

    appends: ClassVar[bool] = False
    """Whether the tokens of a patch may follow a video's: more placeholders must not move those of its grid."""

    def __init__(self, config: PretrainedConfig) -> None:
        self.config = config

    @property
    def token_dim(self) -> int:
        """Language-model width C."""
        return int(self.config.get_text_config().hidden_size)

    @property
    def vision_dim(self) -> int:
        """Width of the features before the projector; 0 where none has a video token's place."""
        if self.vision_width is None:
            return 0
        value: Any = self.config
        for field in self.vision_width.split("."):
            value = getattr(value, field)
        return int(value)

    @property
    def placeholder_id(self) -> int:
        """Token id that marks the places of the video tokens."""
        return int(getattr(self.config, self.placeholder))

    def query_dim(self, place: str) -> int:
        """Width of the queries taken from ``vision`` or ``projected`` places."""
        return self.token_dim if place == "projected" else self.vision_dim

    def fit(self, config: PatchConfig, base: str) -> PatchConfig:
        """Return a patch's configuration with the widths that the base decides filled in, or checked.

        Args:
            config: Of the patch.
            base: Name of the base, for error messages.

        Raises:
            InputError: If a width, the place of the queries or the layout does not fit the base.
        """
        if config.type == "append" and not self.appends:
            raise InputError(
                f"patch: base {base!r} gives no place to tokens after those of its videos; set type: cross_attention"
            )
        if config.reads_vision and self.vision_width is None:
            raise InputError(
                f"patch: base {base!r} has no features before its projector at the places of its video tokens; "
                "set query: projected"
            )
        widths = {"query_dim": self.query_dim(config.query), "token_dim": self.token_dim}
        for field, width in widths.items():
            if getattr(config, field) not in (0, width):
                raise InputError(f"patch: {field} is {getattr(config, field)}, but base {base!r} has {width}")
        if config.layout not in self.layouts:
            choices = ", ".join(map(repr, self.layouts))
            raise InputError(f"patch: base {base!r} has no layout {config.layout!r}; choose from {choices}")
        return replace(config, **widths)

    def token_count(self, steps: int, grid: tuple[int, int], layout: str) -> int:
        """Number of tokens that a video of ``steps`` steps takes."""
        return steps * (self.lead + grid[0] * grid[1]) + self.tail

    def lora_targets(self, model: PreTrainedModel) -> list[str]:
        """Return the full names of every linear layer of the language model's layers, without its output layer.

        Full names, because peft rewrites a pattern for some mixtures of experts until it hits other layers.
        """
        inside, head = self.language_model + ".", model.get_output_embeddings()
        return [
            name
            for name, module in model.named_modules()
            if name.startswith(inside)
            and isinstance(module, nn.Linear)
            and module is not head
            and not set(name.split(".")) & set(self.lora_without)
        ]


def check_seam(model_class: type) -> None:
    """Check that a base takes encoded videos in ``forward``.

    Raises:
        InputError: If it does not; the message names the version of transformers that is needed.
    """
    if "mm_encoder_outputs" not in inspect.signature(model_class.forward).parameters:
        raise InputError(
            f"{model_class.__name__}.forward takes no mm_encoder_outputs; install transformers>={MINIMUM_TRANSFORMERS}"
        )
