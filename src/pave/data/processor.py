"""PaveProcessor: the base's own processor and chat template, from a conversation and frames to model inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import AutoProcessor, ProcessorMixin
from transformers.video_utils import VideoMetadata

from pave.bases.family import Family
from pave.data.collator import IGNORED, Collator
from pave.data.conversation import ChatTokenizer, Messages
from pave.data.features import Features, PreparedVideo, Turns
from pave.data.reference_chat import ReferenceChat
from pave.errors import InputError
from pave.media.reference_frames import sample_reference_frames, squash
from pave.media.video import Frames, sample_frames
from pave.model import PaveModel
from pave.shipped import locate, shipped_bases
from pave.types import SideChannel, VideoTokens

CLOCK_HZ = 1000
"""Ticks a second in which frame times are told to the base's processor."""

Preset = Literal["pave", "reference"]

REFERENCE_SCALING = {
    "do_resize": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
"""What the base's processor does to frames that were squashed as the reference does it: SigLIP's normalisation."""


class PaveProcessor:
    """Makes model inputs from a conversation, a video and its side channels.

    Args:
        base_processor: The base's own processor.
        family: The family of the base.
        layout: Layout of video and newline tokens that the model's patches share.
        frames: Number of frames sampled from a video file.
        preset: How frames and conversations become inputs (see :class:`pave.config.Preprocessing`).

    Raises:
        InputError: If the base's processor has no chat template, or the preset does not suit the base.
    """

    def __init__(
        self, base_processor: ProcessorMixin, family: Family, layout: str, frames: int, preset: Preset = "pave"
    ) -> None:
        self.base_processor = base_processor
        self.family = family
        self.layout = layout
        self.frames = frames
        self.preset = preset
        self.chat = _chat(base_processor, family, preset)
        tokenizer = base_processor.tokenizer
        # Some bases write a video into a conversation with another token than the one at its tokens' places.
        written = getattr(base_processor, "video_token", None)
        self.video_id: int = tokenizer.convert_tokens_to_ids(written) if written else family.placeholder_id
        self.pad_id: int = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    @classmethod
    def from_model(cls, model: PaveModel, frames: int | None = None, preset: Preset | None = None) -> PaveProcessor:
        """Load the processor that stands beside a model's base.

        Args:
            model: The model; its patches decide the layout and, by default, the number of frames and the preset.
            frames: Number of frames sampled from a video file.
            preset: How frames and conversations become inputs; ``pave`` where no patch says otherwise.

        Raises:
            InputError: If the base has no processor, nothing says how many frames to sample, or the patches disagree.
        """
        base_processor = load_base_processor(model)
        count = _frames(model) if frames is None else frames
        return cls(base_processor, model.family, model.layout, count, preset or _preset(model))

    def collator(self, padding_side: Literal["left", "right"], channels: Sequence[str] = ()) -> Collator:
        """Return what makes batches of samples: padded left to generate, right to train."""
        return Collator(self.pad_id, padding_side, self.family, tuple(channels))

    def read_video(self, path: Path) -> PreparedVideo:
        """Sample frames from a file and prepare them.

        Raises:
            InputError: If the file is no video that can be read.
        """
        return self.prepare_video(self.sample(path))

    def sample(self, path: Path) -> Frames:
        """Sample frames from a file.

        Raises:
            InputError: If the file is no video that can be read.
        """
        sample = sample_reference_frames if self.preset == "reference" else sample_frames
        return sample(path, self.frames)

    def prepare_video(self, frames: Frames) -> PreparedVideo:
        """Run the base's processor on decoded frames, and learn which tokens it makes of a video."""
        scaling: Mapping[str, Any] = {}
        if self.preset == "reference":
            side = self.family.config.vision_config.image_size
            frames, scaling = replace(frames, pixels=squash(frames.pixels, side)), REFERENCE_SCALING
        text = self.chat.render([{"role": "user", "content": "?"}], video=True)
        special = self.chat.starts_bare(text)
        full = self.base_processor(
            text=[text],
            videos=[frames.pixels],
            text_kwargs={"add_special_tokens": special},
            videos_kwargs={
                "do_sample_frames": False,
                "input_data_format": "channels_last",
                "video_metadata": [_metadata(frames)],
                **scaling,
            },
            return_tensors="pt",
        )
        shape = full["input_ids"].shape
        tensors = {name: value for name, value in full.items() if isinstance(value, Tensor)}
        tokenwise = {name: value[0] for name, value in tensors.items() if value.shape == shape}
        inputs = {name: value for name, value in tensors.items() if name not in tokenwise}
        plain = self.base_processor.tokenizer(text, add_special_tokens=special)["input_ids"]
        pattern, begin, end = _difference(plain, tokenwise["input_ids"].tolist(), self.video_id)
        expansion = {name: values[begin:end] for name, values in tokenwise.items()}
        return PreparedVideo(
            inputs=inputs,
            times_sec=np.asarray(frames.times_sec, dtype=np.float64),
            pattern=pattern,
            expansion=self._laid_out(expansion, inputs),
        )

    def tokenise(self, messages: Messages, video: bool, answer: bool) -> Turns:
        """Return a conversation as tokens, before its video is known.

        Args:
            messages: Turns of user and assistant.
            video: Whether a video stands before the first question.
            answer: Keep and mark the answers, to learn them; otherwise end where the last answer is to be generated.

        Raises:
            InputError: If the conversation does not fit, or its text holds the base's video placeholder.
        """
        turns = self.chat.answered(messages, video) if answer else self.chat.prompt(messages, video)
        for index in {self.video_id, self.family.placeholder_id}:
            if int((turns.ids == index).sum()) != int(video and index == self.video_id):
                token = self.base_processor.tokenizer.convert_ids_to_tokens(index)
                raise InputError(
                    f"the conversation holds the base's video placeholder {token!r}; take it out of the text"
                )
        return turns

    def features(
        self,
        turns: Turns,
        video: PreparedVideo | None = None,
        side: Mapping[str, SideChannel | None] | None = None,
        encoded: VideoTokens | None = None,
    ) -> Features:
        """Put a video into its conversation; ``labels`` are added where answers are marked."""
        tokens = {"input_ids": turns.ids, "attention_mask": torch.ones_like(turns.ids)}
        if turns.answer.any():
            tokens["labels"] = torch.where(turns.answer, turns.ids, IGNORED)
        if video is not None:
            tokens = self._with_video(tokens, video)
        return Features(tokens, video, encoded, side or {})

    def __call__(
        self,
        messages: str | Messages,
        video: Path | Frames | None = None,
        side: Mapping[str, SideChannel | None] | None = None,
    ) -> dict[str, Any]:
        """Return a batch of one, to ask a model: the arguments of :meth:`pave.PaveModel.generate`.

        Args:
            messages: A question, or a conversation that ends with one.
            video: A video file, decoded frames, or ``None`` for text only.
            side: Channel to its side channel.

        Raises:
            InputError: If the video or the conversation cannot be used.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        prepared = None
        if video is not None:
            prepared = self.prepare_video(video) if isinstance(video, Frames) else self.read_video(Path(video))
        turns = self.tokenise(messages, prepared is not None, answer=False)
        features = self.features(turns, prepared, side)
        return self.collator("left", tuple(side or {}))([features])

    def decode(self, ids: Tensor, prompt_length: int) -> list[str]:
        """Return the text of generated rows (B,L), without their prompts and special tokens."""
        texts = self.base_processor.tokenizer.batch_decode(ids[:, prompt_length:], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _with_video(self, tokens: Mapping[str, Tensor], video: PreparedVideo) -> dict[str, Tensor]:
        ids = tokens["input_ids"]
        place = int((ids == self.video_id).nonzero()[0])
        start = place - video.pattern.index(self.video_id)
        stop = start + len(video.pattern)
        if tuple(ids[max(start, 0) : stop].tolist()) != video.pattern:
            raise InputError("the base's processor replaces more than the chat template writes for a video")
        length = len(video.expansion["input_ids"])
        filler = {"labels": IGNORED}
        widened = {}
        for name in {**tokens, **video.expansion}:
            own = tokens.get(name, torch.zeros_like(ids))
            middle = video.expansion.get(name, own.new_full((length,), filler.get(name, 0)))
            widened[name] = torch.cat([own[:start], middle, own[stop:]])
        return widened

    def _laid_out(self, expansion: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Resize the run of placeholders from the base's own layout to that of the patches."""
        steps, grid = self.family.shapes(inputs)[0]
        marks = (expansion["input_ids"] == self.family.placeholder_id).nonzero().flatten()
        (native,) = self.family.place_counts([(steps, grid)], self.family.layouts[0], inputs)
        if len(marks) != native:
            raise InputError(
                f"the base's processor wrote {len(marks)} placeholders for a video of {native} tokens; "
                "processor and model do not belong together"
            )
        if self.layout == self.family.layouts[0]:
            return dict(expansion)
        first, last = int(marks[0]), int(marks[-1])
        if last - first + 1 != native:
            raise InputError(f"layout {self.layout!r} needs a base that keeps its video tokens together; use 'native'")
        count = self.family.token_count(steps, grid, self.layout)
        return {
            name: torch.cat([values[:first], values[first].repeat(count), values[last + 1 :]])
            for name, values in expansion.items()
        }


def load_base_processor(model: PaveModel) -> ProcessorMixin:
    """Load the processor that stands beside a model's base.

    Raises:
        InputError: If there is none.
    """
    folder = locate(model.record.name, shipped_bases(), "base", model.record.revision)
    try:
        return AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{folder}: holds no processor that can be loaded ({reason})") from None


def _difference(plain: Sequence[int], full: Sequence[int], placeholder: int) -> tuple[tuple[int, ...], int, int]:
    """Find what the base's processor put in place of the template's video.

    Returns:
        The replaced tokens of ``plain``, which hold the placeholder; begin and end of their replacement in ``full``.
    """
    place = plain.index(placeholder)
    begin = 0
    while begin < place and plain[begin] == full[begin]:
        begin += 1
    after = 0
    while after < len(plain) - place - 1 and plain[-1 - after] == full[-1 - after]:
        after += 1
    return tuple(plain[begin : len(plain) - after]), begin, len(full) - after


def _metadata(frames: Frames) -> VideoMetadata:
    """Tell the base's processor the true times: frame numbers on a clock of :data:`CLOCK_HZ` ticks a second."""
    times_sec = np.asarray(frames.times_sec, dtype=np.float64)
    count = len(times_sec)
    step_sec = float(times_sec[-1] - times_sec[0]) / (count - 1) if count > 1 else 2 * float(times_sec[0])
    height, width = frames.pixels.shape[1:3]
    return VideoMetadata(
        total_num_frames=max(round(step_sec * count * CLOCK_HZ), count),
        fps=CLOCK_HZ,
        width=width,
        height=height,
        duration=step_sec * count,
        frames_indices=[round(float(time_sec) * CLOCK_HZ) for time_sec in times_sec],
    )


def _chat(base_processor: ProcessorMixin, family: Family, preset: Preset) -> ChatTokenizer | ReferenceChat:
    if preset == "pave":
        return ChatTokenizer(base_processor)
    if "grid" not in family.layouts:
        raise InputError("preset 'reference' is for LLaVA-OneVision bases, as the reference's are; use preset 'pave'")
    return ReferenceChat(base_processor, family.placeholder_id)


def _preset(model: PaveModel) -> Preset:
    presets: dict[str, Preset] = {name: preprocessing.preset for name, preprocessing in model.preprocessing.items()}
    if len(set(presets.values())) > 1:
        listed = ", ".join(f"{name} {preset!r}" for name, preset in presets.items())
        raise InputError(f"the patches were made with different presets ({listed}); use those of one preset together")
    return next(iter(presets.values()), "pave")


def _frames(model: PaveModel) -> int:
    counts = {name: preprocessing.frames for name, preprocessing in model.preprocessing.items()}
    if not counts:
        raise InputError("nothing says how many frames to sample; give the number of frames")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(
            f"the patches were made for different numbers of frames ({listed}); give the number of frames"
        )
    return next(iter(counts.values()))
