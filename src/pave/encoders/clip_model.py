"""A pretrained video model over a whole video, shown to it in overlapping clips."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoVideoProcessor

from pave.encoders.clips import cut_clips, plan_clips
from pave.encoders.frame_steps import FrameSteps, batches_of_frames
from pave.encoders.pretrained import Pretrained
from pave.encoders.video_families import FAMILIES, VideoFamily
from pave.errors import InputError


class ClipModel:
    """A pretrained video model that is shown overlapping clips.

    Args:
        pretrained: The model, with its video processor.
        overlap: Share of a clip that the next one repeats.
        dtype: Of its weights.
        device: Where it runs.
        batch_size: Clips that are encoded at once.

    Raises:
        InputError: If it cannot be read, is of an unknown family, or its processor makes pictures of another size.
    """

    def __init__(self, pretrained: Pretrained, overlap: float, dtype: str, device: str, batch_size: int) -> None:
        self.overlap = overlap
        self.dtype = dtype
        self.device = device
        self.batch_size = batch_size
        self._pretrained = pretrained
        self._model_config = pretrained.config(FAMILIES)
        self.family: VideoFamily = FAMILIES[self._model_config.model_type](self._model_config)
        self._processor = pretrained.load(AutoVideoProcessor)
        made, taken = self._pixels(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape[-2:], self.family.size
        if tuple(made) != taken:
            raise InputError(
                f"frames: the processor of {pretrained.model} makes pictures of {made[1]} x {made[0]}, its model "
                f"takes {taken[1]} x {taken[0]}; mend its preprocessor_config.json"
            )

    @property
    def steps(self) -> int:
        """Steps of tokens in a clip."""
        return self.family.frames // self.family.tubelet

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or a hash of the folder's files."""
        return self._pretrained.identity(self._model_config)

    @cached_property
    def module(self) -> nn.Module:
        """The part of the model that encodes video."""
        return self.family.part_of(self._pretrained.weights(self.family.part_of, self.dtype, self.device))

    def count_clips(self, frames: int) -> int:
        """Return the number of clips over so many frames."""
        return len(plan_clips(math.ceil(frames / self.family.tubelet), self.steps, self._hop))

    def flops_a_clip(self) -> int:
        """Return the floating-point operations for one clip."""
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            self._tokens(torch.zeros(1, self.family.frames, 3, *self.family.size))
        return counter.get_total_flops()

    def features(self, path: Path, steps: FrameSteps) -> Iterator[Tensor]:
        """Return tokens (steps,rows,columns,D) in batches, every step once and in order."""
        clips = plan_clips(math.ceil(len(steps) / self.family.tubelet), self.steps, self._hop)
        frames = batches_of_frames(path, steps.frames_sec, self.family.frames)
        pixels = cut_clips((self._pixels(batch) for batch in frames), clips, self.steps, self.family.tubelet)
        for start in range(0, len(clips), self.batch_size):
            batch = clips[start : start + self.batch_size]
            tokens = self._tokens(torch.stack([next(pixels) for _ in batch]))
            for clip, made in zip(batch, tokens, strict=True):
                yield made[clip.kept_from - clip.start : clip.kept_to - clip.start]

    @property
    def _hop(self) -> int:
        return max(1, round(self.steps * (1 - self.overlap)))

    def _pixels(self, frames: Tensor) -> Tensor:
        made: Any = self._processor([frames], do_sample_frames=False, return_tensors="pt")
        (pixels,) = (value for name, value in made.items() if name.startswith("pixel_values"))
        return pixels[0]

    @torch.no_grad()
    def _tokens(self, pixels: Tensor) -> Tensor:
        weight = next(self.module.parameters())
        return self.family.tokens(self.module, pixels.to(weight.device, weight.dtype)).cpu()
