"""One run of a study: a training, if there is one, and the evaluations after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pave.blindspot.generate import MakeConfig, recipe
from pave.config import STAMPS, check_choices, from_dict, to_dict
from pave.errors import InputError
from pave.evaluation.config import EvalSettings
from pave.training.config import TrainConfig
from pave.training.run import FREE

PLACES = ("store",)
"""Fields of a training that say where things lie, and not what is computed."""

HASH_LENGTH = 10
BATCH_SIZE = 16


@dataclass(frozen=True)
class Evaluation:
    """Questions that are asked of a run's model.

    Args:
        name: Its name in tables.
        set: The set, without a place.
        patches: Runs whose patches act together, or ``run/patch`` for one of several that a run trained; ``None`` for
            the run's own.
        without: Channels that the samples lack.
        side: The other side channels as they are (``real``), zeros in their place (``zeroed``), or those of another
            film (``other``).
        settings: Fields of an evaluation's settings that are not at their default.

    Raises:
        InputError: On a value out of range.
    """

    name: str
    set: MakeConfig
    patches: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    side: Literal["real", "zeroed", "other"] = "real"
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choices(self)
        self.asking()

    def asking(self, store: Path | None = None) -> EvalSettings:
        """Return the settings with which it asks.

        Args:
            store: The feature store that it uses.
        """
        usual = {"batch_size": BATCH_SIZE, **({} if store is None else {"store": str(store)})}
        return from_dict(EvalSettings, {**usual, **self.settings}, "settings")

    @property
    def is_altered(self) -> bool:
        """Whether samples or side channels are not as they were made."""
        return bool(self.without) or self.side != "real"

    def identity(self) -> dict[str, Any]:
        """Return all that decides the answers beside the model, in plain JSON types."""
        plain = json.loads(json.dumps({**asdict(self), "set": recipe(self.set)}))
        return {key: value for key, value in plain.items() if key != "name"}


@dataclass(frozen=True)
class Run:
    """A training and the evaluations after it.

    Args:
        name: Its name.
        labels: Axis to value.
        base: Name of the base.
        frames: Frames of a video.
        train: The training, whose sets and output have no place yet; ``None`` to ask the base alone.
        evaluate: The evaluations, at least one.
    """

    name: str
    labels: Mapping[str, str]
    base: str
    frames: int
    train: TrainConfig | None
    evaluate: Sequence[Evaluation]

    @classmethod
    def of(
        cls,
        name: str,
        labels: Mapping[str, str],
        settings: Mapping[str, Any],
        trains: bool,
        evaluate: Sequence[Evaluation],
        where: str,
    ) -> Run:
        """Make a run from the settings of a training.

        Raises:
            InputError: If they cannot be used, or two evaluations have one name.
        """
        names = [evaluation.name for evaluation in evaluate]
        for evaluation in names:
            if names.count(evaluation) > 1:
                raise InputError(f"{where}: two evaluations are named {evaluation!r}; give one of them a 'name'")
        train = from_dict(TrainConfig, dict(settings), where)
        for number, source in enumerate(train.data):
            if source.make is not None:
                made(source.make, f"{where}: data.{number}.make")
        return cls(name, dict(labels), train.base, train.preprocessing.frames, train if trains else None, evaluate)

    @property
    def needs(self) -> list[str]:
        """Names of other runs whose patches its evaluations use, without the part after a slash."""
        named = [patch for evaluation in self.evaluate for patch in evaluation.patches or ()]
        return list(dict.fromkeys(patch.partition("/")[0] for patch in named))

    @property
    def sets(self) -> list[MakeConfig]:
        """Sets of the embedded world that it needs, without places."""
        sources = self.train.data if self.train is not None else ()
        trained = [made(source.make, str(source.path)) for source in sources if source.make is not None]
        return [*trained, *(evaluation.set for evaluation in self.evaluate)]

    @property
    def steps(self) -> int:
        """Steps of its training that are known beforehand."""
        return (self.train.steps or 0) if self.train is not None else 0

    @property
    def questions(self) -> int:
        """Questions that are asked."""
        return sum(evaluation.set.count for evaluation in self.evaluate)

    def identity(self) -> dict[str, Any]:
        """Return all that decides what the run gives, in plain JSON types, wherever it is run."""
        return {
            "base": self.base,
            "frames": self.frames,
            "train": None if self.train is None else trained_identity(self.train),
            "evaluate": {evaluation.name: evaluation.identity() for evaluation in self.evaluate},
        }


def made(settings: Mapping[str, Any], where: str) -> MakeConfig:
    """Return the settings of a set, without a place.

    Raises:
        InputError: If they cannot be used.
    """
    return from_dict(MakeConfig, {**settings, "out": ""}, where)


def trained_identity(config: TrainConfig) -> dict[str, Any]:
    """Return all that decides what a training gives, in plain JSON types: no place, no sizes of work."""
    plain = {name: value for name, value in to_dict(config).items() if name not in (*FREE, *STAMPS, *PLACES)}
    for source, entry in zip(config.data, plain["data"], strict=True):
        if source.make is not None:
            entry["make"] = json.loads(json.dumps(recipe(made(source.make, ""))))
            del entry["path"]
    return plain


def known_fields(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an earlier identity of a training as this version would state it: what it did not know had its default.

    Raises:
        InputError: If it states what this version does not know.
    """
    data = [{"path": "", **entry} for entry in identity["data"]]
    return trained_identity(from_dict(TrainConfig, {**identity, "out": "", "data": data}))


def trained_hash(config: TrainConfig) -> str:
    """Return a short name for what a training gives.

    Fields at their default do not enter it, so that it outlives fields that a later version adds.
    """
    identity = trained_identity(config)
    told = _told(config)
    return short_hash({name: told[name] for name in told if name in identity} | {"data": identity["data"]})


def _told(value: Any) -> Any:
    """Return the fields of a dataclass that are not at their default, nested ones likewise."""
    if isinstance(value, list | tuple):
        return [_told(entry) for entry in value]
    if not is_dataclass(value) or isinstance(value, type):
        return json.loads(json.dumps(value, default=str))
    return {
        item.name: _told(getattr(value, item.name))
        for item in fields(value)
        if getattr(value, item.name) != _default(item)
    }


def _default(item: Any) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def short_hash(identity: Any) -> str:
    """Return a short name for a JSON value."""
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def placed(config: TrainConfig, out: Path, store: Path, folder_of: Callable[[MakeConfig], Path]) -> TrainConfig:
    """Return a training whose output, store and sets have their places.

    Args:
        config: The training.
        out: Where its patch is written.
        store: The feature store, unless it names one itself.
        folder_of: Settings of a set to its folder.
    """
    data = tuple(
        source
        if source.make is None
        else replace(source, path=folder_of(made(source.make, str(source.path))), make=None)
        for source in config.data
    )
    return replace(config, out=out, store=config.store or store, data=data)
