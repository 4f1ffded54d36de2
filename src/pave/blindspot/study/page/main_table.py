"""The main table: methods by track, what each scores and costs, and whether the claims hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pave.blindspot.study.page.markdown import (
    NONE,
    each_seed,
    named_seeds,
    number,
    percent,
    pointer,
    points,
    ran_on,
    signed,
    table,
    target,
)
from pave.blindspot.study.page.verdicts import GAIN, compared, holds, is_no_worse, where_both_learned
from pave.blindspot.study.rows import Row, Study

TRACKS = ("hear", "depth", "views", "blink")
METHODS = {
    "base": "base as it is",
    "lora": "LoRA alone",
    "append": "appended tokens + LoRA",
    "reference": "the reference's patch + LoRA",
    "default": "this project's patch + LoRA",
}
HEADS = (
    "",
    "accuracy",
    "chance",
    "`see`",
    "weights",
    "MFLOPs an answer",
    "encoder's",
    "tokens",
    "s a step",
    "each seed",
)
STEPS_FILE = "steps.json"


def section(study: Study, measured: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the paragraphs of the main table.

    Args:
        study: The results.
        measured: Content of the result file of ``benchmarks/steps.py``; ``None`` where there is none.
    """
    yield "## Does a patch beat the alternatives?"
    yield (
        "Accuracy with its 95 % interval on the questions of a track, beside the chance of the best guess without the "
        "channel, and on those of the control `see`, which the frames answer; weights that are trained; operations of "
        "one answer from files to text, those of the channel's encoder among them; tokens that the language model "
        f"reads; {_how_steps_were_measured(measured)} Last, the accuracy of each seed."
    )
    for track in TRACKS:
        rows = {method: study.find(track=track, method=method) for method in METHODS}
        yield f"### `{track}`"
        yield table(HEADS, [_line(study, row, track, method, measured) for method, row in rows.items()])
        said = list(_verdicts(study, rows, track))
        if said:
            yield "\n".join(f"- {sentence}" for sentence in said)


def _how_steps_were_measured(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        command = f"python benchmarks/steps.py --out studies/results/{STEPS_FILE}"
        return f"seconds of a training step, which were not measured (`{command}`)."
    return (
        f"seconds of a training step of {measured['samples']} samples, in brackets how many times those of LoRA "
        f"alone, by `benchmarks/steps.py`: all methods in turn in one run on {ran_on(measured)}, "
        f"medians of {measured['rounds']} rounds."
    )


def _seconds(measured: Mapping[str, Any] | None, track: str, method: str) -> str:
    seconds = (measured or {"tracks": {}})["tracks"].get(track, {"median_sec": {}})
    if method not in seconds["median_sec"]:
        return NONE
    ratio = f" ({seconds['ratio'][method]:.2f})" if method in seconds["ratio"] else ""
    return f"{number(seconds['median_sec'][method], 3)}{ratio}"


def _line(study: Study, row: Row, track: str, method: str, measured: Mapping[str, Any] | None) -> list[str]:
    score = row.score(track)
    flops, encoder = row.fact("cost", "flops"), row.fact("cost", "encoder_flops")
    return [
        target(study, row, METHODS[method]),
        percent(score),
        NONE if score is None or score.chance is None else f"{100 * score.chance:.1f} %",
        percent(row.score("see")),
        number(row.trained_weights),
        number(None if flops is None else flops / 1e6, 1),
        number(None if encoder is None else encoder / 1e6, 1),
        number(row.fact("cost", "prompt_tokens")),
        _seconds(measured, track, method),
        each_seed(row, track),
    ]


def _verdicts(study: Study, rows: dict[str, Row], track: str) -> Iterator[str]:
    own, lora, append, reference = (rows[name] for name in ("default", "lora", "append", "reference"))
    mine = pointer(study, own)
    if (gain := own.difference(lora, track)) is not None:
        yield (
            f"{points(gain)} against LoRA alone ({mine}, {pointer(study, lora)}): that a patch gains {100 * GAIN:.0f} "
            f"points or more {holds(gain.value >= GAIN)}."
        )
    if (gain := own.difference(append, track)) is not None:
        yield (
            f"{points(gain)} against appended tokens ({mine}, {pointer(study, append)}): that it is no worse within "
            f"the interval {holds(is_no_worse(gain))}.{_share(own, append, lora, study)}"
        )
    if (gain := own.difference(reference, track)) is not None:
        yield (
            f"{points(gain)} against the reference's patch ({mine}, {pointer(study, reference)}): {compared(gain)}."
            f"{_where_both_learned(own, reference, track)}"
        )
    if (loss := own.difference(rows["base"], "see")) is not None:
        yield f"{signed(loss.value)} points on `see` against the base ({mine}, {pointer(study, rows['base'])})."


def _where_both_learned(own: Row, other: Row, track: str) -> str:
    """Say what the difference is without seeds in which one of the two stayed at chance, if there are such."""
    seeds, *learned = where_both_learned(own, other, track)
    gain = learned[0].difference(learned[1], track) if seeds else None
    return "" if gain is None else f" Without {named_seeds(seeds)}: {points(gain)}, {compared(gain)}."


def _share(own: Row, append: Row, lora: Row, study: Study) -> str:
    """Say what the patch adds in operations, in shares of what appended tokens add; both have the same encoder."""
    added = [_added(row, lora) for row in (own, append)]
    if added[0] is None or not added[1]:
        return ""
    return (
        f" What it adds beside LoRA and encoder is {100 * added[0] / added[1]:.0f} % of the operations that appended "
        f"tokens add ({pointer(study, own)}, {pointer(study, append)})."
    )


def _added(row: Row, lora: Row) -> float | None:
    whole, encoder, without = row.fact("cost", "flops"), row.fact("cost", "encoder_flops"), lora.fact("cost", "flops")
    return None if whole is None or encoder is None or without is None else whole - encoder - without
