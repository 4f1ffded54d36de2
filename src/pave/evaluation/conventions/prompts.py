"""Prompts of lmms-eval, word for word: a score is comparable only if the question was asked the same way."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pave.evaluation.conventions.letters import ALPHABET

VIDEO_MME_INSTRUCTION = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
LETTER_ONLY = "\nAnswer with the option's letter from the given choices directly."
BEST_OPTION = "Only give the best option.\n"

_SPOKEN = re.compile(r'<font color="white" size=".72c">(.*?)</font>')


def video_mme_prompt(question: str, options: Sequence[str], ending: str = LETTER_ONLY) -> str:
    """Return the question with its lettered options; the instruction speaks of subtitles though there are none.

    Source: lmms-eval ``tasks/videomme/utils.py`` ``videomme_doc_to_text``.
    """
    return "\n".join([VIDEO_MME_INSTRUCTION, question, *options, ending])


def video_mme_subtitle_prompt(question: str, options: Sequence[str], subtitles: Sequence[str]) -> str:
    """Return the question after its subtitles.

    Source: lmms-eval ``tasks/videomme/utils.py`` ``videomme_doc_to_text_subtitle``.
    """
    said = "\n".join(["This video's subtitles are listed below: ", *subtitles])
    return f"{said}\n{video_mme_prompt(question, options, 'The best answer is:')}"


def subtitles_at_frames(srt: str, frame_rate: float, frames: int, shown: int) -> list[str]:
    """Return the subtitles on screen at frames spread evenly over a video, each once.

    Source: lmms-eval ``tasks/videomme/utils.py``. Only text in white ``<font>`` tags is read, and of a subtitle of
    several rows only the first; times are cut to whole frames.

    Args:
        srt: Content of the subtitle file.
        frame_rate: Frames a second of the video.
        frames: Frames of the video.
        shown: Frames that the model sees; -1 for all.
    """
    spans: dict[tuple[int, int, str], str] = {}
    for block in srt.split("\n\n"):
        rows = block.split("\n")
        if block.strip() and len(rows) >= 3:
            start, end = (int(_seconds(time) * frame_rate) for time in rows[1].split(" --> "))
            spans[start, end, rows[1]] = " ".join(rows[2:])
    sampled = np.linspace(0, frames - 1, frames if shown == -1 else shown, dtype=int)
    on_screen = [text for (start, end, _), text in spans.items() if ((start <= sampled) & (sampled < end)).any()]
    return [match[1] for text in on_screen if (match := _SPOKEN.search(text))]


def mvbench_prompt(question: str, choices: Sequence[str], ending: str = BEST_OPTION) -> str:
    """Return the question with its choices in brackets.

    Source: lmms-eval ``tasks/mvbench/utils.py`` ``mvbench_doc_to_text``.
    """
    options = "".join(f"({letter}) {choice}\n" for letter, choice in zip(ALPHABET, choices, strict=False))
    return f"Question:{question}\nOption:\n{options}{ending}"


def _seconds(time: str) -> float:
    hours, minutes, rest = time.split(":")
    seconds, thousandths = rest.split(",")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(thousandths) / 1000
