"""Subtitles at the times of sampled frames, by lmms-eval's rules, so that its prompts are met to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pave.errors import InputError
from pave.media.probe import probe
from pave.media.reference_frames import evenly_numbered

TIMES = re.compile(r"(\d+):(\d+):(\d+)[,.](\d+)\s*-->\s*(\d+):(\d+):(\d+)[,.](\d+)")
TEXT = re.compile(r'<font color="white" size=".72c">(.*?)</font>')
"""How the published files mark what is shown; of a block only the first such row counts, and none without it."""

NONE = "No subtitles available"


def frame_numbers(video: Path, count: int) -> tuple[np.ndarray, float]:
    """Return the numbers of ``count`` frames spread evenly over a video (count,), and its frames a second.

    Raises:
        InputError: If it is no video that can be read.
    """
    info = probe(video)
    frames = info.frames or max(1, round(info.duration_sec * info.frame_rate))
    return evenly_numbered(frames, count), info.frame_rate


def shown(subtitles: str, numbers: np.ndarray, frame_rate: float) -> list[str]:
    """Return the rows that are on screen at some of these frames, in order, each once.

    Args:
        subtitles: Content of an ``.srt`` file.
        numbers: Of frames (F,).
        frame_rate: Frames a second of the video.
    """
    rows = []
    for block in re.split(r"\n\s*\n", subtitles.replace("\r\n", "\n").strip()):
        lines = block.split("\n")
        times = TIMES.search(lines[1]) if len(lines) >= 3 else None
        text = TEXT.search("".join(lines[2:]))
        if times is None or text is None:
            continue
        start, end = (int(second * frame_rate) for second in _seconds(times))
        if bool(((numbers >= start) & (numbers < end)).any()):
            rows.append(text.group(1))
    return list(dict.fromkeys(rows))


def read_subtitles(path: Path) -> str:
    """Read an ``.srt`` file.

    Raises:
        InputError: If it is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; download the subtitles again") from None


def _seconds(times: re.Match[str]) -> tuple[float, float]:
    parts = [int(part) for part in times.groups()]
    # Three digits of milliseconds, as the format has it.
    first, second = (
        hours * 3600 + minutes * 60 + seconds + thousandths / 1000
        for hours, minutes, seconds, thousandths in (parts[:4], parts[4:])
    )
    return first, second
