"""Ablations: one field at a time beside the default, and whether the defaults follow from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, is_dataclass
from typing import Any

from pave.blindspot.study.page.markdown import NONE, NOT_RUN, percent, pointer, seeds, signed, table, target
from pave.blindspot.study.page.times import TOGETHER
from pave.blindspot.study.page.verdicts import compared
from pave.blindspot.study.rows import Row, Score, Study
from pave.config import LoraSpec, PatchConfig, from_dict
from pave.encoders import registry
from pave.training.config import TrainConfig

DEFAULT = "default"
PLACES = {
    "alignment": "patch.alignment",
    "overlap_sec": "patch.overlap_sec",
    "positions": "patch.positions",
    "value_projection": "patch.value_projection",
    "layers": "patch.layers",
    "hidden_dim": "patch.hidden_dim",
    "query": "patch.query",
    "gate": "patch.gate",
    "side_dropout": "side_dropout",
    "augmentation": "augmentation",
    "rate": "preprocessing.encoder.hop_sec",
    "lora_r": "lora.r",
}
"""Where the fields that are varied stand in a training's configuration."""

CONDITIONS = ("missing", "see_missing", "sparse", "uneven", "late", "shifted", "shifted_back", "jittered")


def section(study: Study) -> Iterator[str]:
    """Yield the paragraphs of the ablations."""
    yield "## Which choices matter?"
    yield (
        "One field of the configuration at a time. In brackets the difference to the default, in points, on the same "
        "questions; bold where its 95 % interval leaves 0 out. `missing`, `see_missing`: the channel is taken away; "
        "the columns that follow are those of the section on seconds. `alignment` other than `time` is without "
        "overlap, `lora_r` sets `alpha` to the rank as well, and `rate` is the encoder's `hop_sec`."
    )
    for track in study.values("track"):
        rows = [row for row in study.rows if row.labels["track"] == track]
        default = study.find(track=track, variant=DEFAULT)
        yield f"### On `{track}`"
        yield _trained(default)
        asked = [track, "see", *(name for name in CONDITIONS if any(name in row.evaluations for row in rows))]
        lines = [_line(study, row, default, asked) for row in rows]
        yield table(["", *(f"`{name}`" for name in asked), "seeds"], lines)
    lines = [line for field in fields_of(study) if (line := _decision(study, field))]
    if lines:
        yield "### What decides each default"
        yield (
            "Every row of a field beside the default, in all columns above. The default is that of BlindSpot's "
            "configurations; the code's own stands in brackets where it is another, since it is for bases of real "
            "size, or a choice for each channel. `holds`: no other value is clearly better "
            "anywhere. `a trade`: each other value that is clearly better somewhere is clearly worse elsewhere, be it "
            "on another track. `within seeds`: one is clearly better with these seeds and nowhere clearly worse, but "
            "other seeds might not show it: the 95 % interval of the difference over seeds, by Student's t, holds 0, "
            "or neither row has two seeds. `beaten`: one is clearly better over films and over seeds, and nowhere "
            "clearly worse. By chance alone one comparison in forty comes out as clearly better. `shifted` and "
            "`shifted_back` count in their mean."
        )
        yield table(["field", "default", "", "clearly better", "clearly worse", "rows"], lines)


def _trained(default: Row) -> str:
    """Return how all rows of a track were trained."""
    train = default.runs[0].train
    assert train is not None
    return f"Every row: {train.steps} steps of {train.batch_size} samples, the patch at a rate of {train.patch_lr:g}."


def fields_of(study: Study) -> list[str]:
    """Return the fields that are varied."""
    return list(dict.fromkeys(variant.split("=")[0] for variant in study.values("variant") if variant != DEFAULT))


def differences(study: Study, field: str, track: str) -> list[tuple[Row, Score]]:
    """Return the rows of a field on a track that differ from the default, with their difference."""
    default = study.find(track=track, variant=DEFAULT)
    found = [(row, row.difference(default, track)) for row in _rows(study, field, track)]
    return [(row, difference) for row, difference in found if difference is not None]


def _rows(study: Study, field: str, track: str) -> list[Row]:
    return [row for row in study.rows if row.labels["track"] == track and row.labels["variant"].split("=")[0] == field]


def _line(study: Study, row: Row, default: Row, asked: Sequence[str]) -> list[str]:
    cells = [_cell(row, default, name) if name in row.evaluations else "" for name in asked]
    return [target(study, row, f"`{row.labels['variant']}`"), *cells, seeds(row)]


def _cell(row: Row, default: Row, evaluation: str) -> str:
    score = row.score(evaluation)
    if score is None:
        return NOT_RUN
    if row is default or (difference := row.difference(default, evaluation)) is None:
        return percent(score)
    told = signed(difference.value)
    return f"{100 * score.value:.1f} % ({told if compared(difference) == 'no clear difference' else f'**{told}**'})"


def _decision(study: Study, field: str) -> list[str]:
    """Return the line of a field; nothing if none of its rows was run."""
    values: dict[str, Any] = {}
    verdicts, better, worse, pointers = [], [], [], []
    for rows in _by_variant(study, field):
        gains, losses, lasts = [], [], False
        for row, default in rows:
            lasts |= _lasts(row, default)
            gains += _told(study, row, default, "clearly better")
            losses += _told(study, row, default, "clearly worse")
            pointers.append(pointer(study, row))
            values[default.labels["track"]] = _value(default, PLACES[field])
        verdicts.append("holds" if not gains else "a trade" if losses else "beaten" if lasts else "within seeds")
        better += gains
        worse += losses
    if not pointers:
        return []
    verdict = next(name for name in ("beaten", "a trade", "within seeds", "holds") if name in verdicts)
    cells = [f"`{PLACES[field]}`", _by_track(values) + _otherwise(values, PLACES[field]), f"`{verdict}`"]
    return [*cells, "; ".join(better) or NONE, "; ".join(worse) or NONE, ", ".join(pointers)]


def _by_track(values: Mapping[str, Any]) -> str:
    """Return the one value of all tracks, or that of each."""
    first, *others = values.values()
    if all(other == first for other in others):
        return f"`{first}`"
    return ", ".join(f"`{value}` on `{track}`" for track, value in values.items())


def _otherwise(values: Mapping[str, Any], place: str) -> str:
    """Return the code's own default of a place in brackets, if it has one and some track has another."""
    *groups, name = place.split(".")
    owner = {"patch": PatchConfig, "lora": LoraSpec}.get(groups[0] if groups else "", TrainConfig)
    default = owner.__dataclass_fields__[name].default if name in owner.__dataclass_fields__ else MISSING
    differs = default is not MISSING and any(value != default for value in values.values())
    return f" (`{default}`)" if differs else ""


def _compared_in(row: Row, default: Row) -> dict[str, tuple[str, ...]]:
    """Return the evaluations in which a row is compared, by what they are called: those that say one thing, as one."""
    names = [name for name in row.evaluations if name in default.evaluations]
    pairs = {name: pair for pair in TOGETHER for name in pair if set(pair) <= set(names)}
    found = {name: pairs.get(name, (name,)) for name in names}
    return {" + ".join(f"`{name}`" for name in together): together for together in found.values()}


def _by_variant(study: Study, field: str) -> Iterator[list[tuple[Row, Row]]]:
    """Yield, for each other value of a field, its row on every track where it was run, beside the default's."""
    tracks = study.values("track")
    rows = [row for track in tracks for row in _rows(study, field, track)]
    for variant in dict.fromkeys(row.labels["variant"] for row in rows):
        own = [row for row in rows if row.labels["variant"] == variant]
        pairs = [(row, study.find(track=row.labels["track"], variant=DEFAULT)) for row in own]
        yield [(row, default) for row, default in pairs if row.found and default.found]


def _clear(row: Row, default: Row, verdict: str) -> dict[str, Score]:
    """Return the columns in which a row compares so with the default, with the differences."""
    found = {name: row.difference(default, names) for name, names in _compared_in(row, default).items()}
    return {name: score for name, score in found.items() if score and compared(score) == verdict}


def _told(study: Study, row: Row, default: Row, verdict: str) -> list[str]:
    """Return the columns in which a row compares so with the default, in one text, if there are any."""
    told = [f"{name} {signed(score.value)}" for name, score in _clear(row, default, verdict).items()]
    return [f"{pointer(study, row)} {', '.join(told)}"] if told else []


def _lasts(row: Row, default: Row) -> bool:
    """Whether a row is clearly better than the default in a column, and would be with other seeds."""
    together = _compared_in(row, default)
    better = [together[name] for name in _clear(row, default, "clearly better")]
    intervals = [row.interval_over_seeds(default, names) for names in better]
    return any(interval is not None and interval[0] > 0 for interval in intervals)


def _value(row: Row, place: str) -> Any:
    """Return what stands at a place of a row's configuration, ``none`` for a group of fields that change nothing."""
    value: Any = row.runs[0].train
    for name in place.split("."):
        if isinstance(value, dict):
            value = from_dict(registry.get(value["type"]).config_class, value)
        value = getattr(value, name)
    return "none" if is_dataclass(value) and value == type(value)() else value
