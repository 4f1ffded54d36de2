"""What is known of a family of Video LLMs: where its video tokens lie, and how to hand them back."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.video_processing_utils import BaseVideoProcessor

from pave.bases.facts import MINIMUM_TRANSFORMERS, Facts, check_seam
from pave.bases.layout import (
    LEAD,
    Cut,
    VideoShape,
    cut,
    deepstack_of,
    deepstack_to,
    fill,
    one_after_another,
    rows_of,
    stacked,
    with_lead,
)
from pave.bases.lengthen import Lengthened, lengthen
from pave.bases.output import VideoOutput
from pave.bases.times import frame_times, mean_of_frames
from pave.bases.tower import BaseTower
from pave.encoders.tower import Tower
from pave.errors import InputError
from pave.types import VideoTokens, check_times

__all__ = ["MINIMUM_TRANSFORMERS", "Family", "check_seam", "unplaced"]


class Family(Facts, ABC):
    """One family of Video LLMs; a subclass a file, registered by ``model_type`` in :data:`pave.bases.registry`.

    A subclass is mostly data, the fields of :class:`pave.bases.facts.Facts`. It must say the :meth:`shapes` of videos;
    with :meth:`vision` its patches can ask with features from before the projector, too.
    """

    @abstractmethod
    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        """Return steps T and grid of each video, from what the base's processor made, before anything is encoded.

        Args:
            inputs: The model inputs of the batch.
            times_sec: For each video the times of its frames or steps; they tell videos apart where no input does.
        """

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        """Return the features before the projector of every video token (tokens,Cq), in the order of the tokens."""
        raise InputError(
            f"bases of family {self.config.model_type!r} have no features before the projector at the places of their "
            "video tokens; set query: projected"
        )

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        """Return the finest features (T,rows,columns,Cq) of frames of one size, each seen for itself.

        They are one a patch, unless the tower merges patches itself.
        """
        return self.merged(core, output, inputs)

    def merged(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        """Return features (T,rows,columns,Cq) of frames of one size, pooled as the base pools."""
        rows, columns = self.shapes(inputs)[0][1]
        return self.vision(core, output, inputs).unflatten(0, (-1, rows, columns))

    def split(
        self, core: nn.Module, output: Any, inputs: Mapping[str, Any], vision: bool, shapes: Sequence[VideoShape]
    ) -> list[VideoTokens]:
        """Cut the encoder's output into videos; rows and times are set later (see :func:`unplaced`).

        Args:
            core: The inner model that made ``output``.
            output: What the frozen video path returned.
            inputs: The model inputs of the batch.
            vision: Whether features from before the projector are wanted, too.
            shapes: Of the videos.
        """
        parts = cut(rows_of(output.pooler_output), shapes, self.lead, self.tail)
        before: Sequence[Tensor | None] = [None] * len(parts)
        if vision and self.vision_width is not None:
            before = [part.tokens for part in cut(self.vision(core, output, inputs), shapes)]
        kept = deepstack_of(output, [part.tokens[..., 0].numel() for part in parts])
        return [
            self._video(part, features, beside, shape[1])
            for part, features, beside, shape in zip(parts, before, kept, shapes, strict=True)
        ]

    def _video(self, part: Cut, vision: Tensor | None, kept: dict[str, Tensor], grid: tuple[int, int]) -> VideoTokens:
        if self.lead:
            kept = {**kept, LEAD: part.lead}
        return replace(unplaced(part.tokens, vision, part.tail, grid), kept=kept)

    def join(self, videos: Sequence[VideoTokens], layout: str) -> Any:
        """Lay the videos' tokens in the container that the base's forward expects (``pooler_output``)."""
        parts: list[Tensor] = []
        for video in videos:
            laid = [self.lay(video, layout)] if self.entries == "video" else list(with_lead(video))
            if video.appended is not None:
                laid[-1] = torch.cat([laid[-1], video.appended])
            parts += laid
        return stacked(parts) if self.is_tensor else tuple(parts)

    def lay(self, video: VideoTokens, layout: str) -> Tensor:
        """Return all tokens of a video (n,C) in the order of its placeholders."""
        return torch.cat([with_lead(video).flatten(0, 1), video.tail])

    @property
    def frame_grid(self) -> tuple[int, int] | None:
        """Rows and columns of a frame's pooled features; ``None`` if the size of the frame decides them."""
        return None

    def frame_inputs(self, processor: BaseVideoProcessor, frames: Tensor) -> dict[str, Tensor]:
        """Return the base's inputs for frames uint8 (T,3,H,W), each seen for itself: a video that holds still."""
        shown = [frame.repeat(self.frames_per_step, 1, 1, 1) for frame in frames.split(1)]
        made = processor(shown, do_sample_frames=False, return_tensors="pt")
        return {name: value for name, value in made.items() if isinstance(value, Tensor)}

    def frame_features(self, core: Any, inputs: Mapping[str, Tensor], pooled: bool) -> Tensor:
        """Return features (T,rows,columns,Cq) from before the projector.

        Args:
            core: The inner model.
            inputs: The base's inputs, as :meth:`frame_inputs` made them.
            pooled: Whether the base's own pooling is applied; otherwise they are the finest that the tower gives.
        """
        # A tower counted without weights is given the places of its patches, which it cannot work out.
        output = self._call(core, self.method, inputs, ("position_ids",))
        return (self.merged if pooled else self.finest)(core, output, inputs)

    def tower(self, model: PreTrainedModel, video_processor: BaseVideoProcessor) -> Tower:
        """Return the frozen vision tower of a base, for encoders of frames of their own.

        Args:
            model: The base.
            video_processor: The base's own video processor, which scales the frames.

        Raises:
            InputError: If the family's features of a frame are not known.
        """
        if self.vision_width is None:
            raise InputError(
                f"the tower of family {self.config.model_type!r} gives no features of a frame that are known; "
                "give the encoder a model of its own"
            )
        return BaseTower(self, model, video_processor)

    def batched(self, name: str, parts: Sequence[Tensor]) -> Any:
        """Return one input of several videos, each as the base's processor made it alone, as that of one batch.

        Args:
            name: Of the input.
            parts: The input of each video, in the order of their samples.

        Raises:
            InputError: If the base cannot take these videos in one batch.
        """
        return one_after_another(name, parts, self.axes.get(name, 0))

    def place_counts(self, shapes: Sequence[VideoShape], layout: str, inputs: Mapping[str, Any]) -> list[int]:
        """Number of placeholders of each video: as many as tokens, unless the base drops some after the seam."""
        return [self.token_count(steps, grid, layout) for steps, grid in shapes]

    def must_encode(self, inputs: Mapping[str, Any]) -> bool:
        """Whether the base cannot take these pixels itself, so that its videos are encoded even without a patch."""
        return False

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Check that what must stay beside encoded videos is there.

        Raises:
            InputError: If it is not, or the features of the videos are given already.
        """
        missing = [name for name in self.beside if inputs.get(name) is None]
        if missing:
            raise InputError(
                f"inputs lack {', '.join(missing)}, without which {self.config.model_type} misplaces its video; "
                "pass on all that its processor made"
            )
        given = inputs.get("mm_encoder_outputs")
        if given is not None and given.get(self.key) is not None:
            raise InputError("a patch acts on videos, but mm_encoder_outputs holds them encoded; give videos= instead")

    def encode(
        self, model: PreTrainedModel, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None, vision: bool
    ) -> list[VideoTokens]:
        """Run the frozen video path of a base, once for the whole batch, without gradients.

        Args:
            model: The base.
            inputs: Its inputs, as its own processor made them.
            times_sec: For each video the times of its frames (F,) or steps (T,), seconds, or the metadata that its
                processor returned; ``None`` if unknown, and the times are then NaN.
            vision: Whether features from before the projector are wanted, too.

        Raises:
            InputError: If inputs are missing, or the times do not fit the videos.
        """
        self.check(inputs)
        missing = [name for name in (self.pixels, *self.needs) if inputs.get(name) is None]
        if missing:
            raise InputError(f"inputs lack {', '.join(missing)}; pass on all that the base's processor made")
        times = None if times_sec is None else [frame_times(entry, at) for at, entry in enumerate(times_sec)]
        with torch.no_grad():
            core = model.base_model
            shapes = self.shapes(inputs, times)
            videos = self.split(core, self._call(core, self.method, inputs), inputs, vision, shapes)
        if times is None:
            return videos
        if len(times) != len(videos):
            raise InputError(
                f"video_times_sec has {len(times)} entries, the batch {len(videos)} videos; give one a video"
            )
        return self.timed(videos, inputs, times)

    def timed(
        self, videos: Sequence[VideoTokens], inputs: Mapping[str, Any], times: Sequence[Tensor]
    ) -> list[VideoTokens]:
        """Return the videos with the times of their steps, from those of their frames or steps."""
        return [
            replace(video, times_sec=self.step_times(given, video.tokens.shape[0], index))
            for index, (video, given) in enumerate(zip(videos, times, strict=True))
        ]

    def encode_images(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Any:
        """Run the frozen image path, for images that share a batch with encoded videos."""
        with torch.no_grad():
            return self._call(model.base_model, "get_image_features", inputs)

    def _call(self, core: Any, method: str, inputs: Mapping[str, Any], more: tuple[str, ...] = ()) -> Any:
        # The signature of the class: wrappers such as FSDP's hide the instance's.
        names = [*inspect.signature(getattr(type(core), method)).parameters, *more]
        renamed = self.arguments if method == self.method else {}
        taken = {name: renamed.get(name, name) for name in names}
        given = {name: inputs[source] for name, source in taken.items() if source in inputs}
        given = cast_pixels(given, core.dtype)
        return getattr(core, method)(**given, return_dict=True)

    def places(self, input_ids: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """Return where the placeholders of videos stand, of the shape of ``input_ids``."""
        return input_ids == self.placeholder_id

    def place(
        self,
        videos: Sequence[VideoTokens],
        input_ids: Tensor,
        layout: str,
        inputs: Mapping[str, Any] | None = None,
    ) -> list[VideoTokens]:
        """Set each video's row in the batch, by counting placeholders in order.

        Raises:
            InputError: If the placeholders do not hold the videos exactly.
        """
        room = self.places(input_ids, inputs or {}).sum(dim=1).tolist()
        shapes = [(video.tokens.shape[0], video.grid) for video in videos]
        sizes = self.place_counts(shapes, layout, inputs or {})
        rows = fill(room, sizes)
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
        times = mean_of_frames(frame_times(times_sec, index), [self.frames_per_step] * steps)
        check_times(times, steps, f"video_times_sec[{index}]")
        return times

    def lengthen(
        self, inputs: Mapping[str, Any], videos: Sequence[VideoTokens], layout: str
    ) -> tuple[dict[str, Any], Lengthened | None]:
        """Make room in a batch for the tokens that patches append, and return it with where its tokens now stand.

        Args:
            inputs: The inputs of the base.
            videos: The videos, placed and patched.
            layout: Layout of video and newline tokens.

        Raises:
            InputError: If an input has one entry a token, and nothing says which a new token gets.
        """
        if all(video.appended is None for video in videos):
            return dict(inputs), None
        shapes = [(video.tokens.shape[0], video.grid) for video in videos]
        sizes = self.place_counts(shapes, layout, inputs)
        places = self.places(inputs["input_ids"], inputs)
        lengthened = lengthen(places, inputs.get("attention_mask"), videos, sizes)
        return lengthened.fill(inputs, self.placeholder_id), lengthened

    def output(self, videos: Sequence[VideoTokens], layout: str) -> BaseModelOutputWithPooling:
        """Return the encoder output that carries ``videos`` into the base's ``forward`` or ``generate``."""
        return VideoOutput(pooler_output=self.join(videos, layout), deepstack_features=deepstack_to(videos))

    def hand_over(
        self, model: PreTrainedModel, inputs: Mapping[str, Any], videos: Sequence[VideoTokens], layout: str
    ) -> dict[str, Any]:
        """Return the inputs of the base with encoded videos in place of pixels; images beside them are encoded, too.

        Raises:
            InputError: If an input is missing that must stay beside the videos.
        """
        self.check(inputs)
        # Not every base casts what it is given to the type of its embeddings.
        dtype = model.get_input_embeddings().weight.dtype
        cast = [video.cast(dtype) for video in videos]
        rest = self.without_pixels(inputs)
        encoded: dict[str, Any] = {**(rest.get("mm_encoder_outputs") or {}), self.key: self.output(cast, layout)}
        if rest.get("pixel_values") is not None:
            encoded["image"] = self.encode_images(model, rest)
            del rest["pixel_values"]
        return {**rest, "mm_encoder_outputs": encoded}

    @contextmanager
    def generating(self, model: PreTrainedModel, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Inside this, the base's ``generate`` understands what is yielded of :meth:`hand_over`."""
        yield inputs

    def without_pixels(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs that stay beside already encoded videos."""
        return {name: value for name, value in inputs.items() if name != self.pixels}


def cast_pixels(inputs: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Return inputs whose pixels are of a float type: processors make float32, and not every tower casts them."""
    return {
        name: value.to(dtype) if name.startswith("pixel_values") and isinstance(value, Tensor) else value
        for name, value in inputs.items()
    }


def unplaced(tokens: Tensor, vision: Tensor | None, tail: Tensor, grid: tuple[int, int]) -> VideoTokens:
    """Return video tokens whose times and row in the batch are still to be set."""
    times_sec = torch.full((tokens.shape[0],), torch.nan, dtype=torch.float64)
    return VideoTokens(tokens=tokens, vision=vision, tail=tail, times_sec=times_sec, grid=grid, row=-1)
