"""Does a patch use its channel? The same questions with the true signal, and with ones that do not belong to them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pave.card import write_probe_section
from pave.data.processor import PaveProcessor
from pave.data.window import MediaWindow
from pave.errors import InputError
from pave.evaluation.alterations import AlteredMedia, noise, same_answer_donors, shifted, shuffled_donors, zeroed
from pave.evaluation.asking import Asker, Media
from pave.evaluation.compare import Difference, paired, result_folders, write_json
from pave.evaluation.config import EvalConfig
from pave.evaluation.figures import figure, plain, span
from pave.evaluation.folder import PLOT_FILE, PROBE_FILE
from pave.evaluation.probe_plot import REAL, ProbeRow, write_plot
from pave.evaluation.questions import Questions, check_ids, read_questions
from pave.evaluation.result import EvalResult
from pave.evaluation.run import (
    answer_and_score,
    asker_for,
    channels_of,
    load_model,
    own_shard,
    scoring_for,
    settled,
)
from pave.evaluation.scoring import Scoring
from pave.files import WriteError
from pave.processes import processes
from pave.shipped import shipped_patches
from pave.types import Sample

logger = logging.getLogger(__name__)

ZEROED, SHUFFLED, SAME_ANSWER, NOISE = "zeroed", "shuffled", "other clip, same answer", "noise"
SHIFTS_SEC = (-5, -2, -1, 1, 2, 5)


@dataclass(frozen=True)
class Variant:
    """One way in which side channels are given.

    Args:
        name: Its name.
        media: What the model reads.
        samples: Samples that it can be done for.
    """

    name: str
    media: Media
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Args:
        rows: One a variant, the real channel first.
        left_out: Variants that could not be done, with the reason.
        warnings: What is wrong with the patch; none if it passes.
        results: All results, by variant.
        chance: In the metric's unit, if the samples state it.
    """

    rows: Sequence[ProbeRow]
    left_out: Mapping[str, str]
    warnings: Sequence[str]
    results: Mapping[str, EvalResult]
    chance: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return all but the responses, in plain JSON types."""
        found: dict[str, Any] = plain(
            {
                "rows": [vars(row) for row in self.rows],
                "left_out": dict(self.left_out),
                "warnings": list(self.warnings),
                "chance": self.chance,
                "result": self.results[REAL].to_dict(),
            }
        )
        return found


def run_probe(config: EvalConfig) -> Probe | None:
    """Ask a patched model the same questions with each variant of its side channels, and judge it.

    The verdict goes into the card of the patch, if one patch was probed and it is a folder.

    Args:
        config: The evaluation; each variant gets a folder of its own in ``out``.

    Returns:
        What was found; ``None`` while parts of other processes lack.

    Raises:
        InputError: If no patch reads a channel, or model, data or output folder cannot be used.
    """
    shard = own_shard(config)
    channels = channels_of(config.patches)
    if not channels:
        raise InputError("--probe: no patch reads a side channel; name one by --patch")
    questions = read_questions(config, channels)
    check_ids(questions.samples, "--probe", "probe one set")
    scoring = scoring_for(config, questions)
    model = load_model(config)
    processor = PaveProcessor.from_model(model, config.frames)
    asker = asker_for(model, settled(config.settings, scoring), processor)
    variants, left_out = variants_of(asker, questions.samples, scoring.seed)
    results: dict[str, EvalResult] = {}
    folders = result_folders(config, [variant.name for variant in variants])
    for variant, folder in zip(variants, folders, strict=True):
        altered = {"name": variant.name, "seed": scoring.seed}
        asked = Questions(variant.samples, questions.unreferenced)
        result = answer_and_score(replace(asker, media=variant.media), asked, scoring, config, folder, shard, altered)
        if result is not None:
            results[variant.name] = result
    if len(results) < len(variants):
        return None
    probe = judged(results, left_out, scoring)
    if processes().is_main_process:
        _keep(probe, config)
    return probe


def variants_of(asker: Asker, samples: Sequence[Sample], seed: int) -> tuple[list[Variant], dict[str, str]]:
    """Return the variants that can be done, and why others cannot."""
    limit_gb = asker.settings.cache_limit_gb
    media = asker.media or MediaWindow(asker.model, asker.processor, asker.reader, limit_gb)
    found = [Variant(REAL, media, samples), Variant(ZEROED, AlteredMedia(media, zeroed), samples)]
    left_out = {}
    for name, donors in (
        (SHUFFLED, shuffled_donors(samples, seed)),
        (SAME_ANSWER, same_answer_donors(samples, seed)),
    ):
        able = [sample for sample in samples if sample.id in donors]
        if able:
            found.append(Variant(name, AlteredMedia(media, donors=donors), able))
        else:
            left_out[name] = "there is no such clip"
    numbered = [name for name, encoder in asker.reader.encoders.items() if encoder.numbers_steps]
    for seconds in SHIFTS_SEC:
        name = f"shifted by {seconds:+d} s"
        if numbered:
            left_out[name] = f"the steps of channel {numbered[0]!r} have numbers, not seconds"
        else:
            found.append(Variant(name, AlteredMedia(media, shifted(seconds)), samples))
    found.append(Variant(NOISE, AlteredMedia(media, noise(seed)), samples))
    return found, left_out


def judged(results: Mapping[str, EvalResult], left_out: Mapping[str, str], scoring: Scoring) -> Probe:
    """Return the table of a probe, and what it says against the patch."""
    rows, warnings = [], []
    for name, result in results.items():
        metric = next(iter(result.metrics))
        found = result.metrics[metric]
        row = ProbeRow(name, metric, found["value"], tuple(found["interval"]), result.n)
        if name != REAL:
            drop = paired(REAL, results[REAL].responses, name, result.responses, scoring)[0]
            row = replace(row, drop=drop.value, drop_interval=drop.interval)
            warnings += _warning(drop)
        rows.append(row)
    return Probe(rows, left_out, warnings, results, _chance(results[REAL]))


def _chance(result: EvalResult) -> float | None:
    """Return chance in the unit of the metric; it is that of a right answer, which other conventions do not count."""
    return 100 * result.chance if result.chance is not None and result.convention == "exact" else None


def _warning(drop: Difference) -> list[str]:
    """Return what it means if the real channel is no better than that of another clip."""
    if drop.interval[0] > 0:
        return []
    figures = f"{drop.metric} {figure(drop.value, '+')} with the real one, 95 % interval {span(drop.interval, '+')}"
    if drop.than == SHUFFLED:
        return [f"The real channel is no better than that of another clip ({figures}): it is not shown to be used."]
    if drop.than == SAME_ANSWER:
        return [
            f"The real channel is no better than that of another clip with the same answer ({figures}): it may tell "
            "what kind of clip this is, but nothing that happens in it."
        ]
    return []


def _keep(probe: Probe, config: EvalConfig) -> None:
    for warning in probe.warnings:
        logger.warning("%s", warning)
    if config.out is not None:
        write_json(config.out / PROBE_FILE, probe.to_dict())
        write_plot(config.out / PLOT_FILE, probe.rows, probe.chance)
    if len(config.patches) == 1:
        _write_card(config.patches[0], card_text(probe))


def _write_card(source: str, text: str) -> None:
    """Put the verdict into the card of a patch that is the user's own folder; what was found is told all the same."""
    # A folder may have the name of a shipped patch, which is meant then.
    if source in shipped_patches() or not Path(source).is_dir():
        return
    try:
        write_probe_section(Path(source), text)
    except WriteError as error:
        logger.warning("the verdict is not in the card of the patch: %s", error)


def card_text(probe: Probe) -> str:
    """Return what a card says of a probe, as Markdown."""
    result = probe.results[REAL]
    warnings = "".join(f"> **Warning.** {warning}\n\n" for warning in probe.warnings)
    lines = [f"| channel | {probe.rows[0].metric} | 95 % interval | real channel better by |", "|---|---|---|---|"]
    for row in probe.rows:
        known = row.drop is not None and row.drop_interval is not None
        drop = f"{figure(row.drop, '+')} ({span(row.drop_interval, '+')})" if known else ""
        lines.append(f"| {row.name} | {figure(row.value)} | {span(row.interval)} | {drop} |")
    asked = f"{result.n} samples, convention `{result.convention}` of {result.benchmark}, seed {result.seed}."
    return warnings + "\n".join(lines) + f"\n\n{asked}\n"
