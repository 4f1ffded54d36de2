"""What is known of a family of Video LLMs: where its video tokens lie, and how to hand them back."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.tower import BaseTower
from pave.config import PatchConfig
from pave.encoders.tower import Tower
from pave.errors import InputError
from pave.types import VideoTokens, check_times

MINIMUM_TRANSFORMERS = "5.18"


class Family(ABC):
    """One family of Video LLMs; a subclass a file, registered by ``model_type`` in :data:`pave.bases.registry`.

    Args:
        config: The configuration of the base.
    """

    layouts: ClassVar[tuple[str, ...]] = ("native",)
    """Orders of video and newline tokens that the family can produce; the first is the base's own."""

    pixels: ClassVar[str] = "pixel_values_videos"
    """The input that holds the video's pixels."""

    frames_per_step: int = 1
    """Frames that the tower merges into one step."""

    language_model: ClassVar[str] = "model.language_model"
    """Path of the language model inside the base, where LoRA goes."""

    vision_tower: ClassVar[str] = "model.vision_tower"
    """Path of the vision tower inside the base."""

    def __init__(self, config: PretrainedConfig) -> None:
        self.config = config

    @property
    def token_dim(self) -> int:
        """Language-model width C."""
        return int(self.config.get_text_config().hidden_size)

    @property
    @abstractmethod
    def vision_dim(self) -> int:
        """Width of the features before the projector."""

    @property
    @abstractmethod
    def placeholder_id(self) -> int:
        """Token id that marks the places of the video tokens."""

    @abstractmethod
    def split(self, core: nn.Module, output: Any, inputs: Mapping[str, Any], vision: bool) -> list[VideoTokens]:
        """Cut the encoder's output into videos; rows and times are set later (see :func:`unplaced`).

        Args:
            core: The inner model that made ``output``.
            output: What ``get_video_features`` returned.
            inputs: The model inputs of the batch.
            vision: Whether features from before the projector are wanted, too.
        """

    @abstractmethod
    def join(self, videos: list[VideoTokens], layout: str) -> Any:
        """Lay the videos' tokens in the container that the base's forward expects (``pooler_output``)."""

    @abstractmethod
    def shapes(self, inputs: Mapping[str, Any]) -> list[tuple[int, tuple[int, int]]]:
        """Return steps T and grid of each video, from what the base's processor made, before anything is encoded."""

    @property
    def frame_grid(self) -> tuple[int, int] | None:
        """Rows and columns of a frame's pooled features; ``None`` if the size of the frame decides them."""
        return None

    @abstractmethod
    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        """Return the base's inputs for frames uint8 (T,3,H,W), each seen for itself."""

    @abstractmethod
    def frame_features(self, core: Any, inputs: Mapping[str, Tensor], pooled: bool) -> Tensor:
        """Return features (T,rows,columns,Cq) from before the projector, pooled as the base pools if so wanted.

        Args:
            core: The inner model.
            inputs: The base's inputs, as :meth:`frame_inputs` made them.
            pooled: Whether the base's own pooling is applied.
        """

    def tower(self, model: PreTrainedModel, video_processor: BaseVideoProcessor) -> Tower:
        """Return the frozen vision tower of a base, for encoders of frames of their own.

        Args:
            model: The base.
            video_processor: The base's own video processor, which scales the frames.
        """
        return BaseTower(self, model, video_processor)

    def query_dim(self, place: str) -> int:
        """Width of the queries taken from ``vision`` or ``projected`` places."""
        return self.token_dim if place == "projected" else self.vision_dim

    def fit(self, config: PatchConfig, base: str) -> PatchConfig:
        """Return a patch's configuration with the widths that the base decides filled in, or checked.

        Args:
            config: Of the patch.
            base: Name of the base, for error messages.

        Raises:
            InputError: If a width or the layout does not fit the base.
        """
        widths = {"query_dim": self.query_dim(config.query), "token_dim": self.token_dim}
        for field, width in widths.items():
            if getattr(config, field) not in (0, width):
                raise InputError(f"patch: {field} is {getattr(config, field)}, but base {base!r} has {width}")
        if config.layout not in self.layouts:
            choices = ", ".join(map(repr, self.layouts))
            raise InputError(f"patch: base {base!r} has no layout {config.layout!r}; choose from {choices}")
        return replace(config, **widths)

    def token_count(self, steps: int, grid: tuple[int, int], layout: str) -> int:
        """Number of placeholder tokens that a video of ``steps`` steps takes."""
        return steps * grid[0] * grid[1]

    def encode(
        self, model: PreTrainedModel, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None, vision: bool
    ) -> list[VideoTokens]:
        """Run the frozen video path of a base, once for the whole batch, without gradients.

        Args:
            model: The base.
            inputs: Its inputs, as its own processor made them.
            times_sec: For each video the times of its frames (F,) or steps (T,), seconds; ``None`` if unknown, and the
                times are then NaN.
            vision: Whether features from before the projector are wanted, too.

        Raises:
            InputError: If the times do not fit the videos.
        """
        with torch.no_grad():
            core = model.base_model
            videos = self.split(core, self._call(core.get_video_features, inputs), inputs, vision)
        if times_sec is None:
            return videos
        if len(times_sec) != len(videos):
            raise InputError(
                f"video_times_sec has {len(times_sec)} entries, the batch {len(videos)} videos; give one a video"
            )
        return [
            replace(video, times_sec=self.step_times(times, video.tokens.shape[0], index))
            for index, (video, times) in enumerate(zip(videos, times_sec, strict=True))
        ]

    def encode_images(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Any:
        """Run the frozen image path, for images that share a batch with encoded videos."""
        with torch.no_grad():
            return self._call(model.base_model.get_image_features, inputs)

    def _call(self, method: Any, inputs: Mapping[str, Any]) -> Any:
        # The signature of the class: wrappers such as FSDP's hide the instance's.
        names = inspect.signature(getattr(type(method.__self__), method.__name__)).parameters
        return method(**{name: inputs[name] for name in names if name in inputs}, return_dict=True)

    def place(self, videos: Sequence[VideoTokens], input_ids: Tensor, layout: str) -> list[VideoTokens]:
        """Set each video's row in the batch, by counting placeholders in order.

        Raises:
            InputError: If the placeholders do not hold the videos exactly.
        """
        room = (input_ids == self.placeholder_id).sum(dim=1).tolist()
        sizes = [self.token_count(video.tokens.shape[0], video.grid, layout) for video in videos]
        rows = _fill(room, sizes)
        if rows is None:
            raise InputError(
                f"input_ids hold {room} video placeholders a row, but the videos in layout {layout!r} take {sizes}; "
                "make the inputs with this base's processor and the layout of its patches"
            )
        return [replace(video, row=row) for video, row in zip(videos, rows, strict=True)]

    def step_times(self, times_sec: Any, steps: int, index: int) -> Tensor:
        """Return the times of a video's steps (T,); frames that the base merges into one step get their mean.

        Raises:
            InputError: If there is neither one time a step nor one a frame, or the times are unusable.
        """
        times = torch.as_tensor(times_sec, dtype=torch.float64)
        if times.ndim == 1 and self.frames_per_step > 1 and times.shape[0] != steps:
            missing = steps * self.frames_per_step - times.shape[0]
            if 0 <= missing < self.frames_per_step:
                times = torch.cat([times, times[-1:].expand(missing)]).view(steps, -1).mean(dim=1)
        check_times(times, steps, f"video_times_sec[{index}]")
        return times

    def output(self, videos: list[VideoTokens], layout: str) -> BaseModelOutputWithPooling:
        """Return the encoder output that carries ``videos`` into the base's ``forward`` or ``generate``."""
        return BaseModelOutputWithPooling(pooler_output=self.join(videos, layout))

    def without_pixels(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs that stay beside already encoded videos."""
        return {name: value for name, value in inputs.items() if name != self.pixels}

    def lora_targets(self, model: PreTrainedModel) -> list[str]:
        """Return the full names of every linear layer of the language model's layers."""
        inside = self.language_model + "."
        return [
            name for name, module in model.named_modules() if name.startswith(inside) and isinstance(module, nn.Linear)
        ]


def unplaced(tokens: Tensor, vision: Tensor | None, tail: Tensor, grid: tuple[int, int]) -> VideoTokens:
    """Return video tokens whose times and row in the batch are still to be set."""
    times_sec = torch.full((tokens.shape[0],), torch.nan, dtype=torch.float64)
    return VideoTokens(tokens=tokens, vision=vision, tail=tail, times_sec=times_sec, grid=grid, row=-1)


def check_seam(model_class: type) -> None:
    """Check that a base takes encoded videos in ``forward``.

    Raises:
        InputError: If it does not; the message names the version of transformers that is needed.
    """
    if "mm_encoder_outputs" not in inspect.signature(model_class.forward).parameters:
        raise InputError(
            f"{model_class.__name__}.forward takes no mm_encoder_outputs; install transformers>={MINIMUM_TRANSFORMERS}"
        )


def _fill(room: list[int], sizes: list[int]) -> list[int] | None:
    """Assign items of ``sizes`` in order to rows with ``room``; ``None`` if they do not fill them exactly."""
    rows, row, left = [], 0, list(room)
    for size in sizes:
        while row < len(left) and left[row] == 0:
            row += 1
        if row == len(left) or left[row] < size:
            return None
        left[row] -= size
        rows.append(row)
    return rows if not any(left) else None
