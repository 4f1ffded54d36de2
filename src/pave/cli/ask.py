"""``pave ask``: a question about one video, with or without patches."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pave.cli import print_json
from pave.cli.arguments import parse
from pave.errors import InputError, nearest
from pave.quiet import quieten

if TYPE_CHECKING:
    from pave.data.side import SideReader
    from pave.model import PaveModel
    from pave.types import SideChannel

SHIPPED_BASE = "blindspot"
OWN_SOUND = "audio"
OWN_CHANNELS = (OWN_SOUND, "frames")
"""Channels that a video file holds itself."""

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Run ``pave ask``."""
    parse(run, "pave ask", arguments)


def run(
    video: Path,
    question: str,
    base: str | None = None,
    patch: list[str] | None = None,
    audio: Path | None = None,
    side: dict[str, str] | None = None,
    frames: int | None = None,
    max_new_tokens: int = 64,
    balance: bool = False,
    json: bool = False,
) -> None:
    """Ask a question about a video, with or without patches.

    Args:
        video: Any video file that PyAV opens; for patches of the preset 'reference' also a folder of numbered .jpg.
        question: The question.
        base: Shipped name, folder or hub id; by default the one that the first patch was made for.
        patch: Shipped names, folders or hub ids; none asks the base alone.
        audio: Sound in a file of its own; by default the video's own sound.
        side: Files of other side channels, or of features that were extracted before, as channel=path.
        frames: Frames of the video that the base sees; by default what the patches were made with.
        max_new_tokens: Longest answer.
        balance: Bring what patches that act together add to one size, so that each is heard as if alone.
        json: Print one JSON object for scripts.
    """
    from pave.data.processor import PaveProcessor
    from pave.data.side import SideReader
    from pave.media.video import probe

    quieten()
    if not question.strip():
        raise InputError("the question is empty; write one after --question")
    for name, value in (("frames", frames), ("max_new_tokens", max_new_tokens)):
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1")
    if not video.is_dir():
        probe(video)
    model = load(base, patch or [])
    model.balanced = balance
    reader = SideReader.from_model(model)
    files = side_files(reader, video, audio, {name: Path(path) for name, path in (side or {}).items()})
    channels = read_channels(reader, files, video)
    processor = PaveProcessor.from_model(model, frames or default_frames(model))
    answer = ask(model, processor, video, question, channels, max_new_tokens)
    if json:
        absent = [channel for channel, signal in channels.items() if signal is None]
        facts = {"base": model.record.name, "patches": list(model.specs), "absent": absent, "frames": processor.frames}
        print_json({"answer": answer, "question": question, "video": str(video), **facts})
    else:
        print(answer)


def load(base: str | None, patches: list[str]) -> PaveModel:
    """Load a base and patches on the device that there is; without any name, the shipped base.

    Raises:
        InputError: If one is unknown, or they do not fit one another.
    """
    import torch

    from pave.model import PaveModel

    if patches:
        model = PaveModel.from_pretrained(patches[0], base, dtype="auto")
    else:
        model = PaveModel.from_base(base or SHIPPED_BASE, dtype="auto")
    for patch in patches[1:]:
        model.load_patch(patch)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def default_frames(model: PaveModel) -> int | None:
    """Return the frames to sample where neither the user nor a patch says it; ``None`` if a patch does."""
    from pave.blindspot.tiny_base import FRAME_COUNT
    from pave.shipped import shipped_bases

    if model.preprocessing:
        return None
    return FRAME_COUNT if model.record.name in shipped_bases() else 32


def side_files(reader: SideReader, video: Path, audio: Path | None, side: dict[str, Path]) -> dict[str, Path | None]:
    """Return the file of each channel; ``None`` where none is given, but sound and frames come from the video itself.

    Raises:
        InputError: If a file is given for a channel that no patch reads, or twice.
    """
    if audio is not None:
        if OWN_SOUND in side:
            raise InputError("the sound is given twice, by --audio and by --side audio=; give it once")
        side = {**side, OWN_SOUND: audio}
    for channel in side:
        if channel not in reader.channels:
            listed = ", ".join(reader.channels) or "none"
            raise InputError(
                f"no patch reads channel {channel!r}; channels here: {listed}{nearest(channel, reader.channels)}"
            )
    own = {name for name, encoder in reader.encoders.items() if name in OWN_CHANNELS and not encoder.only_reads}
    return {channel: side.get(channel, video if channel in own else None) for channel in reader.channels}


def read_channels(reader: SideReader, files: dict[str, Path | None], video: Path) -> dict[str, SideChannel | None]:
    """Encode each channel's file of a video; says which channels are absent and what that means."""
    channels: dict[str, SideChannel | None] = {}
    for channel, path in files.items():
        if path is None:
            logger.warning("no file for channel %r: its patch does nothing; give --side %s=FILE", channel, channel)
        channels[channel] = None if path is None else reader.encode(channel, path, video)
    return channels


def ask(
    model: PaveModel,
    processor: Any,
    video: Any,
    question: str,
    channels: dict[str, SideChannel | None],
    max_new_tokens: int,
) -> str:
    """Return the model's greedy answer to one question about a video file or decoded frames."""
    import torch

    from pave.bases.family import cast_pixels

    inputs = processor(question, video, channels)
    moved = {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value for name, value in inputs.items()
    }
    ids = model.generate(
        **cast_pixels(moved, model.dtype), max_new_tokens=max_new_tokens, do_sample=False, num_beams=1
    )
    answer: str = processor.decode(ids, inputs["input_ids"].shape[1])[0]
    return answer
