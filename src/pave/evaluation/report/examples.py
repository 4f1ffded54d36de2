"""Answers in which two models differ, with the frames and the sound that they are about."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain, zip_longest
from pathlib import Path

from pave.errors import InputError
from pave.evaluation.report.gather import Entry
from pave.evaluation.report.html import frame_strip, player, verdict, waveform
from pave.evaluation.responses import Response, keys_of
from pave.media.audio import read_audio
from pave.media.video import sample_frames

logger = logging.getLogger(__name__)

FRAMES = 8
SOUND_RATE = 16000
LONGEST_SOUND_SEC = 60.0


@dataclass(frozen=True)
class Pair:
    """The answers of two models to one question."""

    before: Response
    after: Response


def differing(before: Entry, after: Entry, most: int) -> list[Pair]:
    """Return pairs of answers that differ, gains and losses in turn, then those that are both wrong.

    Args:
        before: The one model.
        after: The other, on the same samples or some of them.
        most: How many.
    """
    answers = dict(zip(keys_of(before.responses), before.responses, strict=True))
    pairs = [
        Pair(answers[key], response)
        for key, response in zip(keys_of(after.responses), after.responses, strict=True)
        if key in answers and not response.is_missing
    ]
    pairs = [pair for pair in pairs if pair.before.prediction != pair.after.prediction]
    gains = [pair for pair in pairs if pair.after.correct and not pair.before.correct]
    losses = [pair for pair in pairs if pair.before.correct and not pair.after.correct]
    rest = [pair for pair in pairs if pair.before.correct == pair.after.correct]
    turns = [pair for pair in chain.from_iterable(zip_longest(gains, losses)) if pair is not None]
    return [*turns, *rest][:most]


def render_examples(before: Entry, after: Entry, most: int) -> str:
    """Return a section of examples; nothing if the two never differ."""
    pairs = differing(before, after, most)
    if not pairs:
        return ""
    shown = "\n".join(_example(pair, before.name, after.name) for pair in pairs)
    return f"<section><h2>Where {escape(after.name)} differs from {escape(before.name)}</h2>\n{shown}\n</section>"


def _example(pair: Pair, before: str, after: str) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("question", "truth", before, after))
    truth = " / ".join(dict.fromkeys(pair.after.references))
    answers = verdict(pair.before.prediction, pair.before.correct) + verdict(pair.after.prediction, pair.after.correct)
    return f"""<article class="card example">
<table class="answers"><thead><tr>{heads}</tr></thead>
<tbody><tr><td class="question">{escape(pair.after.question)}</td><td>{escape(truth)}</td>
{answers}</tr></tbody></table>
{_seen(pair.after)}
{_heard(pair.after)}
</article>"""


def _seen(response: Response) -> str:
    if response.video is None:
        return ""
    try:
        frames = sample_frames(Path(response.video), FRAMES)
    except InputError as error:
        return _unavailable(error)
    return frame_strip(frames.pixels, frames.times_sec)


def _heard(response: Response) -> str:
    source = response.side.get("audio") or response.video
    if source is None:
        return ""
    try:
        sound = read_audio(Path(source), SOUND_RATE, duration_sec=LONGEST_SOUND_SEC)
    except InputError as error:
        # The channel may be read from features; then the film itself may still have its sound.
        if source == response.video or response.video is None:
            return _unavailable(error)
        try:
            sound = read_audio(Path(response.video), SOUND_RATE, duration_sec=LONGEST_SOUND_SEC)
        except InputError:
            return _unavailable(error)
    if sound is None or not len(sound.samples):
        return ""
    return waveform(sound.samples, len(sound.samples)) + player(sound.samples, SOUND_RATE)


def _unavailable(error: InputError) -> str:
    logger.warning("%s", error)
    return f'<p class="note">{escape(str(error))}</p>'


def pairs_of(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Return each later result beside the first one of the same samples."""
    found: list[tuple[Entry, Entry]] = []
    for place, after in enumerate(entries):
        asked = set(keys_of(after.responses))
        for before in entries[:place]:
            if not asked.isdisjoint(keys_of(before.responses)):
                found.append((before, after))
                break
    return found
