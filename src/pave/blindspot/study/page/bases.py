"""The main rows on several families of bases."""

from __future__ import annotations

from collections.abc import Iterator

from pave.blindspot.study.page.main_table import TRACKS
from pave.blindspot.study.page.markdown import percent, pointer, points, table, target
from pave.blindspot.study.page.verdicts import GAIN, holds
from pave.blindspot.study.rows import Study

METHODS = {"base": "base as it is", "lora": "LoRA alone", "default": "this project's patch + LoRA"}


def section(study: Study) -> Iterator[str]:
    """Yield the paragraphs of the families."""
    yield "## Does it hold on other bases?"
    yield (
        "The same configurations on tiny bases of other families, whose towers, steps and positions differ; nothing "
        "but the base is changed. Only `views` on VideoLLaMA3, whose tower merges patches itself, reads the 2 x 2 "
        "features of a frame that there are, in place of 4 x 4."
    )
    lines = []
    for base in study.values("base"):
        for method, text in METHODS.items():
            rows = [study.find(base=base, track=track, method=method) for track in TRACKS]
            cells = [
                target(study, row, f"{percent(row.score(track))}") for row, track in zip(rows, TRACKS, strict=True)
            ]
            lines.append([f"`{base}`", text, *cells])
    yield table(["family", "", *(f"`{track}`" for track in TRACKS)], lines)
    said = [sentence for base in study.values("base") for sentence in _verdict(study, base)]
    if said:
        yield "\n".join(f"- {sentence}" for sentence in said)


def _verdict(study: Study, base: str) -> Iterator[str]:
    """Name the track on which the patch gains least."""
    gains = []
    for track in TRACKS:
        own, lora = (study.find(base=base, track=track, method=method) for method in ("default", "lora"))
        if (gain := own.difference(lora, track)) is not None:
            gains.append((gain.value, gain, track, own, lora))
    if len(gains) == len(TRACKS):
        _, gain, track, own, lora = min(gains, key=lambda entry: entry[0])
        yield (
            f"On `{base}` the smallest gain over LoRA alone is {points(gain)}, on `{track}` ({pointer(study, own)}, "
            f"{pointer(study, lora)}): a gain of {100 * GAIN:.0f} points or more on every track "
            f"{holds(gain.value >= GAIN)}."
        )
