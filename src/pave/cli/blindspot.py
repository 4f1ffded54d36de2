"""``pave blindspot make`` writes a set of the embedded world; ``pave blindspot train-base`` trains its tiny bases."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from pave.cli import print_json
from pave.cli.arguments import choose, parse

COMMANDS = {"make": "write films, questions and answers", "train-base": "train a tiny base from scratch"}


def main(arguments: list[str]) -> None:
    """Run ``pave blindspot make`` or ``pave blindspot train-base``."""
    chosen = choose("pave blindspot", COMMANDS, arguments)
    if chosen is None:
        return
    name, rest = chosen
    parse(make if name == "make" else train_base, f"pave blindspot {name}", rest)


def make(
    track: str,
    count: int,
    seed: int,
    out: Path,
    channels: list[str] | None = None,
    workers: int = 2,
    json: bool = False,
) -> None:
    """Write a set: mp4 films with sound, the side media that its questions need, and one question a line.

    Args:
        track: What the questions need: ``see`` (the frames), ``hear`` (the sound and its timing), ``depth``, ``views``
            (other cameras), ``blink`` (every frame) or ``both`` (sound and other cameras).
        count: Number of questions; about four share a clip.
        seed: Any number; the same seed gives the same set.
        out: New or empty folder.
        channels: Side media to write beside those of the track: ``depth``, ``views``, ``frames``.
        workers: Processes.
        json: Print the result as one JSON object.
    """
    from pave.blindspot.generate import MakeConfig
    from pave.blindspot.generate import make as make_set
    from pave.data.progress import progress_bar

    with progress_bar("clips") as bar:
        task = bar.add_task(f"filming {track}", total=None, note="")
        report = make_set(
            MakeConfig(track, count, seed, out, workers, channels=tuple(channels or ())),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        print_json({**dataclasses.asdict(report), "samples": str(report.samples)})
    else:
        print(f"{report.questions} questions about {report.clips} clips in {out}; chance {report.blind:.1%}")


def train_base(out: Path, seed: int = 0, family: str = "llava_onevision") -> None:
    """Train a tiny base from scratch and write it with its card.

    Args:
        out: New or empty folder.
        seed: Of scenes, initial weights and order.
        family: Its architecture: ``llava_onevision``, ``qwen2_5_vl`` or ``video_llama_3``.
    """
    from pave.blindspot.train_base import BaseConfig
    from pave.blindspot.train_base import train_base as train

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(BaseConfig(out=out, seed=seed, family=family))
