"""The model card of the tiny base: what it is, what it answers, and the command that makes it again."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pave.blindspot.tiny_base import DEFAULT_FAMILY

if TYPE_CHECKING:
    from pave.blindspot.train_base import BaseConfig, BaseReport

_NOT_SHOWN = ("out", "family", "workers", "log_every")
_PACKAGES = ("pave", "torch", "transformers", "tokenizers", "numpy", "av")


def write_card(folder: Path, config: BaseConfig, report: BaseReport) -> None:
    """Write ``README.md`` into the base's folder."""
    (folder / "README.md").write_text(render_card(config, report), encoding="utf-8")


def render_card(config: BaseConfig, report: BaseReport) -> str:
    """Return the card as Markdown, with the front matter that model hubs read."""
    return "\n\n".join([_front(), _what(report), _figures(report), _making(config, report)]) + "\n"


def _front() -> str:
    return "---\nlibrary_name: transformers\nlicense: apache-2.0\npipeline_tag: video-text-to-text\ntags: [pave]\n---"


def _what(report: BaseReport) -> str:
    return (
        "# The tiny base of the blindspot world\n\n"
        f"A `{report.model_class}` of {report.weights:,} weights, trained from scratch on films\n"
        "of simple solids that `pave blindspot make` draws. It sees eight frames of 32 x 32 pixels and knows the\n"
        "words of every track, also those for what it can't perceive: sounds, distance, things behind walls, flashes\n"
        "between frames. It answers such questions at chance, and a patch is what gives it the missing sense. It is\n"
        "made for demonstrations and tests, and knows nothing of the real world."
    )


def _figures(report: BaseReport) -> str:
    rows = ["| track | form | right | of | chance |", "|---|---|---|---|---|"]
    for track, measured in report.tracks.items():
        rows.append(f"| {track} | all | {measured.accuracy:.3f} | {measured.questions} | {measured.blind:.3f} |")
        rows += [f"| {track} | {form} | {share:.3f} | | |" for form, share in measured.by_form.items()]
    return (
        "## What it answers\n\nOn fresh films, written as mp4 and decoded again; `chance` is the mean of each\n"
        "question's `blind`, the best that can be had without the side channel.\n\n" + "\n".join(rows)
    )


def _making(config: BaseConfig, report: BaseReport) -> str:
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in _NOT_SHOWN}
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    family = "" if config.family == DEFAULT_FAMILY else f" --family {config.family}"
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"## How it was made\n\n```bash\npave blindspot train-base --out DIR --seed {config.seed}{family}\n```\n\n"
        f"In {report.seconds / 60:.0f} minutes on two shared CPU cores, with {packages}. The same command with the\n"
        "same versions on the same kind of processor gives the same weights.\n\n| setting | value |\n|---|---|\n"
        + "\n".join(rows)
    )
