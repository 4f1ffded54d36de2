"""What the frozen video path of a base makes of video files, brought to the CPU, to be kept in place of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from accelerate.utils import send_to_device

from pave.data.features import Features, PreparedVideo
from pave.data.processor import PaveProcessor
from pave.model import PaveModel
from pave.types import VideoTokens

EncodedVideo = tuple[PreparedVideo, VideoTokens]
"""A video without its pixels, and its video tokens."""


def encode_files(
    model: PaveModel, processor: PaveProcessor, paths: Sequence[Path], vision: bool | None = None
) -> list[EncodedVideo]:
    """Encode videos in one call.

    Args:
        model: The model.
        processor: Its processor.
        paths: The videos.
        vision: Whether features from before the projector are wanted, too; by default if a patch asks with them.

    Raises:
        InputError: If a file is no video that can be read.
    """
    return encode_prepared(model, processor, [processor.read_video(path) for path in paths], vision)


def encode_prepared(
    model: PaveModel, processor: PaveProcessor, prepared: Sequence[PreparedVideo], vision: bool | None = None
) -> list[EncodedVideo]:
    """Encode videos that were read already; arguments are those of :func:`encode_files`."""
    # A prompt that is nothing but the video: all that the frozen video path reads.
    inputs = processor.collator("right")([Features(video.expansion, video) for video in prepared])
    del inputs["side"]
    times_sec = inputs.pop("video_times_sec")
    inputs = send_to_device(inputs, model.device)
    encoded = model.encode_videos(inputs, times_sec, vision)
    return [
        (replace(video, inputs=model.family.without_pixels(video.inputs)), tokens.to("cpu"))
        for video, tokens in zip(prepared, encoded, strict=True)
    ]
