"""A plan of runs, read from YAML: each an ordinary training configuration and the ordinary evaluations after it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pave.blindspot.generate import MakeConfig
from pave.blindspot.study.overrides import filled_in, overridden
from pave.blindspot.study.run import Evaluation, Run
from pave.config import from_dict, read_yaml
from pave.errors import InputError, nearest

NAME = "name"


@dataclass(frozen=True)
class Part:
    """What a group of runs, or one value of an axis, says of its runs; later parts add to earlier ones.

    Args:
        config: Training configuration, from the plan's own folder.
        overrides: Its fields, nested ones with dots and places in lists as numbers, and their values.
        evaluate: Sets that are asked, or evaluations; they take the place of those of earlier parts.
        train: Whether the configuration is trained; otherwise only its base is asked.
        quick: Overrides of a quick form, on top of those of the whole plan.
    """

    config: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    evaluate: list[Any] | None = None
    train: bool | None = None
    quick: dict[str, Any] = field(default_factory=dict)

    def and_then(self, later: Part) -> Part:
        """Return this part with another on top of it."""
        return Part(
            later.config or self.config,
            {**self.overrides, **later.overrides},
            self.evaluate if later.evaluate is None else later.evaluate,
            self.train if later.train is None else later.train,
            {**self.quick, **later.quick},
        )


@dataclass(frozen=True)
class Quick:
    """How a plan shrinks for a trial.

    Args:
        keep: Axis to the value, or the list of values, that is left of it.
        overrides: Of every run that trains, under those of its own ``quick``.
        count: Most questions of a set that is asked.
    """

    keep: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    count: int | None = None


@dataclass(frozen=True)
class Plan:
    """Runs, in the order in which they are executed.

    Args:
        name: Name of its file.
        about: What it is to show.
        runs: The runs.
    """

    name: str
    about: str
    runs: Sequence[Run]


def read_plan(path: Path, quick: bool = False) -> Plan:
    """Read a plan.

    Args:
        path: The YAML file.
        quick: Shrink it as it says itself.

    Raises:
        InputError: If anything in it cannot be used; the message names file and run.
    """
    content = _read_mapping(path)
    for name in content:
        if name not in _KEYS:
            raise InputError(f"{path}: unknown key {name!r}{nearest(name, _KEYS) or '; known: ' + ', '.join(_KEYS)}")
    if not isinstance(content.get("runs"), list) or not content["runs"]:
        raise InputError(f"{path}: 'runs' must be a list of groups of runs")
    shrunk = from_dict(Quick, content.get("quick") or {}, f"{path}: quick") if quick else Quick()
    sets = _sets(content.get("sets") or {}, shrunk.count, path)
    axes = {name: _axis(name, values, path) for name, values in (content.get("axes") or {}).items()}
    runs = [run for group in content["runs"] for run in _group(group, axes, sets, shrunk, path)]
    _check_names(runs, path)
    return Plan(path.stem, str(content.get("about", "")).strip(), runs)


_KEYS = ("about", "sets", "axes", "runs", "quick")


def _read_mapping(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no mapping of names to values")
    return content


def _sets(settings: Mapping[str, Any], most: int | None, path: Path) -> dict[str, MakeConfig]:
    return {name: _set(name, entry, most, path) for name, entry in settings.items()}


def _set(name: str, entry: Any, most: int | None, path: Path) -> MakeConfig:
    where = f"{path}: set {name!r}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {entry!r}; write settings of pave blindspot make")
    if most is not None and isinstance(entry.get("count"), int):
        entry = {**entry, "count": min(most, entry["count"])}
    return from_dict(MakeConfig, {**entry, "out": ""}, where)


def _axis(name: str, values: Any, path: Path) -> dict[str, Part]:
    """Return the parts of an axis; a plain list means values of the field that it is named after."""
    if isinstance(values, list) and values:
        return {str(value): Part(overrides={name: value}) for value in values}
    if not isinstance(values, dict) or not values:
        raise InputError(f"{path}: axis {name!r} must be a list of values, or a mapping of names to what they change")
    where = f"{path}: axis {name!r}"
    return {str(value): from_dict(Part, part or {}, f"{where}, {value!r}") for value, part in values.items()}


def _group(
    group: Any, axes: Mapping[str, Mapping[str, Part]], sets: Mapping[str, MakeConfig], quick: Quick, path: Path
) -> Iterator[Run]:
    """Yield the runs of a group: one for each combination of values of its axes."""
    if not isinstance(group, dict):
        raise InputError(f"{path}: a group of runs is {group!r}; it must be a mapping")
    own = {key: value for key, value in group.items() if key not in (NAME, "each", "keep")}
    part = from_dict(Part, own, f"{path}: a group of runs")
    each, kept = group.get("each") or [], group.get("keep") or {}
    for axis in [*each, *kept]:
        if axis not in axes:
            raise InputError(f"{path}: unknown axis {axis!r}; known: {', '.join(axes)}{nearest(axis, axes)}")
    if not each and NAME not in group:
        raise InputError(f"{path}: a group of runs has neither 'name' nor 'each'; give it one of them")
    chosen = [_kept(axis, axes[axis], [kept.get(axis), quick.keep.get(axis)], path) for axis in each]
    for values in itertools.product(*chosen):
        labels = dict(zip(each, values, strict=True))
        whole = part
        for axis, value in labels.items():
            whole = whole.and_then(axes[axis][value])
        template = group.get(NAME) or "-".join(f"{{{axis}}}" for axis in each)
        name = str(filled_in(template, labels, str(path)))
        yield _run(name, labels, filled_in(whole, labels, f"{path}: run {name}"), sets, quick, path)


def _kept(axis: str, values: Mapping[str, Part], choices: Sequence[Any], path: Path) -> list[str]:
    found = list(values)
    for choice in choices:
        if choice is None:
            continue
        named = [str(value) for value in (choice if isinstance(choice, list) else [choice])]
        for value in named:
            if value not in values:
                raise InputError(f"{path}: axis {axis!r} has no value {value!r}; known: {', '.join(values)}")
        found = [value for value in found if value in named]
    return found


def _run(
    name: str, labels: Mapping[str, str], part: Part, sets: Mapping[str, MakeConfig], quick: Quick, path: Path
) -> Run:
    where = f"{path}: run {name}"
    if part.config is None:
        raise InputError(f"{where}: names no config; give a file of pave train")
    settings = _read_mapping(path.parent / part.config)
    settings = overridden(settings, part.overrides, where)
    trains = part.train is not False
    if trains and quick != Quick():
        settings = overridden(settings, {**quick.overrides, **part.quick}, where)
    if not part.evaluate:
        raise InputError(f"{where}: 'evaluate' is missing; name the sets that are asked")
    evaluations = [_evaluation(entry, sets, where) for entry in part.evaluate]
    return Run.of(name, labels, settings, trains, evaluations, where)


def _evaluation(entry: Any, sets: Mapping[str, MakeConfig], where: str) -> Evaluation:
    entry = dict(entry) if isinstance(entry, dict) else {"set": entry}
    asked = entry.pop("set", None)
    if asked not in sets:
        raise InputError(f"{where}: unknown set {asked!r}; known: {', '.join(sets)}{nearest(str(asked), sets)}")
    settings = {NAME: asked, **entry, "set": sets[asked]}
    return from_dict(Evaluation, settings, f"{where}: evaluation {settings[NAME]!r}")


def _check_names(runs: Sequence[Run], path: Path) -> None:
    """Check that names tell runs apart, and that a run whose patches are used comes before the run that uses them."""
    before: dict[str, Run] = {}
    for run in runs:
        if not run.name or run.name != Path(run.name).name or run.name.startswith("."):
            raise InputError(f"{path}: run {run.name!r} cannot be the name of a file; leave '/' and a leading dot out")
        if run.name in before:
            raise InputError(f"{path}: two runs are named {run.name!r}; give them a 'name' that tells them apart")
        for needed in run.needs:
            if needed not in before or before[needed].train is None:
                raise InputError(
                    f"{path}: run {run.name} uses the patch of {needed!r}, but no run before it trains one"
                )
        before[run.name] = run
