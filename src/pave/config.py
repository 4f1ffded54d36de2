"""Frozen configurations and their strict round trip through dictionaries and JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

from pave.errors import InputError, nearest

FORMAT_VERSION = 1
"""Version of the patch folder's layout; raised when an older library could not read a newer folder."""

STAMPS = ("format_version", "library_version")

ONLY_OF_RESIDUALS = (
    *("heads", "layers", "value_projection", "positions", "alignment", "overlap_sec", "memory_dim", "gate"),
)
"""Fields that a patch without queries has no use for; where queries come from may be said all the same."""

Config = TypeVar("Config")


@dataclass(frozen=True)
class PatchConfig:
    """Every size and choice of a patch (PAVE, section 3).

    Args:
        channel: Name of the side channel that it reads.
        side_dim: Side width D.
        type: Name in the patch registry.
        query_dim: Width of the queries; filled in by the base.
        token_dim: Language-model width C; filled in by the base.
        hidden_dim: Width inside the patch.
        memory_dim: Width of the projected side tokens that the layers read; by default ``hidden_dim``.
        heads: Attention heads.
        layers: Layers of cross-attention and feed-forward.
        value_projection: ``separate`` weights for keys and values, or ``tied``: the value is the key (the reference).
        positions: ``none``, ``rotary_3d`` (the reference's index grid) or ``rotary_time`` (seconds).
        alignment: ``time`` (seconds), ``index`` (the reference's equal split) or ``none``: each video step sees all
            side steps.
        overlap_sec: With ``time``: seconds by which each step's window is widened on both sides.
        query: Ask with features from before the projector (``vision``, the paper) or after it (``projected``).
        layout: Order of video tokens and newline tokens: the base's own (``native``) or a newline a row (``grid``).
        side_scale: What side tokens are multiplied by first. Features much smaller than 1 are learned slowly.
        gate: What holds a fresh residual at 0: a last norm that starts at 0 (``norm``, the reference), or one number
            whose tanh scales it, without a norm (``tanh``).

    Type ``append`` reads ``channel``, ``side_dim``, ``token_dim``, ``hidden_dim``, ``layout`` and ``side_scale``, and
    leaves ``query`` alone.

    Raises:
        InputError: On a value out of range, or one other than the default that the type has no use for.
    """

    channel: str
    side_dim: int
    type: str = "cross_attention"
    query_dim: int = 0
    token_dim: int = 0
    hidden_dim: int = 512
    heads: int = 4
    layers: int = 2
    value_projection: Literal["separate", "tied"] = "separate"
    positions: Literal["none", "rotary_3d", "rotary_time"] = "none"
    alignment: Literal["time", "index", "none"] = "time"
    overlap_sec: float = 0.0
    query: Literal["vision", "projected"] = "projected"
    layout: Literal["native", "grid"] = "native"
    memory_dim: int | None = None
    side_scale: float = 1.0
    gate: Literal["norm", "tanh"] = "norm"

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("side_dim", "hidden_dim", "heads", "layers"):
            if getattr(self, name) < 1:
                raise InputError(f"patch: {name} is {getattr(self, name)}; it must be at least 1")
        if not 0 < self.side_scale < math.inf:
            raise InputError(f"patch: side_scale is {self.side_scale}; it must be above 0")
        if self.memory_dim is not None and self.memory_dim < 1:
            raise InputError(f"patch: memory_dim is {self.memory_dim}; it must be at least 1, or null for hidden_dim")
        if self.type == "append":
            self._check_unused()
            return
        if self.hidden_dim % self.heads:
            raise InputError(f"patch: hidden_dim {self.hidden_dim} is no multiple of heads {self.heads}")
        if self.positions != "none" and (self.hidden_dim // self.heads) % 2:
            raise InputError(f"patch: positions {self.positions!r} need an even hidden_dim / heads")
        if not self.overlap_sec >= 0:
            raise InputError(f"patch: overlap_sec is {self.overlap_sec}; it must be 0 or more seconds")
        if self.overlap_sec and self.alignment != "time":
            raise InputError("patch: overlap_sec needs alignment 'time'; set it to 0 or change the alignment")

    def _check_unused(self) -> None:
        for item in dataclasses.fields(self):
            if item.name in ONLY_OF_RESIDUALS and getattr(self, item.name) != item.default:
                raise InputError(f"patch: {item.name} has no effect with type {self.type!r}; leave it out")

    @property
    def reads_vision(self) -> bool:
        """Whether features from before the projector are asked with."""
        return self.query == "vision" and self.type != "append"

    @property
    def reads_times(self) -> bool:
        """Whether the seconds of video and side steps decide what comes out."""
        return self.type != "append" and (self.alignment == "time" or self.positions == "rotary_time")


@dataclass(frozen=True)
class LoraSpec:
    """LoRA on the language model of the base; defaults are the reference's.

    Args:
        r: Rank.
        alpha: Scaling is ``alpha / r``.
        dropout: Dropout before the low-rank product, in training.
        targets: Names of the linear layers that get one; by default all those of the language model's layers.
        shared: Identity of a LoRA that several patches were trained with, letters and digits; on one model they have
            it once. ``None`` for a LoRA of the patch's own.
    """

    r: int = 64
    alpha: int = 16
    dropout: float = 0.05
    targets: tuple[str, ...] | None = None
    shared: str | None = None

    def __post_init__(self) -> None:
        if self.r < 1 or self.alpha < 1:
            raise InputError(f"lora: r {self.r} and alpha {self.alpha} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise InputError(f"lora: dropout is {self.dropout}; it must be from 0 up to, not including, 1")
        if self.shared is not None and not self.shared.isalnum():
            raise InputError(
                f"lora: shared is {self.shared!r}; give letters and digits, or null for a LoRA of its own"
            )


@dataclass(frozen=True)
class Preprocessing:
    """How media become a patch's inputs (``preprocessing.json``).

    Args:
        frames: Frames that the base sees of a video.
        encoder: Settings of the encoder of the patch's channel, with its name under ``type``.
        preset: How frames are chosen and scaled, and which tokens a conversation becomes: ``pave`` takes the frames at
            the middle of equal parts and the base's own processor and chat template; ``reference`` does what the
            reference did, token for token.
    """

    frames: int
    encoder: dict[str, Any] | None = None
    preset: Literal["pave", "reference"] = "pave"

    def __post_init__(self) -> None:
        check_choices(self)
        if self.frames < 1:
            raise InputError(f"preprocessing: frames is {self.frames}; it must be at least 1")


@dataclass(frozen=True)
class BaseRecord:
    """The base that a patch was made for.

    Args:
        name: Id, folder or shipped name.
        model_type: ``model_type`` of its configuration.
        token_dim: Language-model width C.
        vision_dim: Width of the features before the projector.
        revision: Commit of the hub repository, if it came from there.
    """

    name: str
    model_type: str
    token_dim: int
    vision_dim: int
    revision: str | None = None


@dataclass(frozen=True)
class PatchSpec:
    """Everything that ``patch_config.json`` says of a patch.

    Args:
        base: The base that it was made for.
        patch: The fusion module; ``None`` for a LoRA without one, the control that never reads a channel.
        lora: The LoRA on the language model, if any.
        training: Facts about its making, shown in its card.
    """

    base: BaseRecord
    patch: PatchConfig | None
    lora: LoraSpec | None
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.patch is None and self.lora is None:
            raise InputError("patch: neither a fusion module nor a LoRA is given; there is nothing to add")


def check_choices(config: Any) -> None:
    """Check every ``Literal`` field of a dataclass instance.

    Raises:
        InputError: If one holds something else; the message lists the choices and the nearest one.
    """
    hints = typing.get_type_hints(type(config))
    for item in dataclasses.fields(config):
        hint = hints[item.name]
        if typing.get_origin(hint) is Literal:
            choices = typing.get_args(hint)
            value = getattr(config, item.name)
            if value not in choices:
                guess = nearest(str(value), map(str, choices))
                listed = ", ".join(map(repr, choices))
                raise InputError(f"{_title(type(config))}: {item.name} is {value!r}; choose from {listed}{guess}")


def to_dict(config: Any) -> dict[str, Any]:
    """Return a dataclass instance as plain JSON types, with format and library version stamped on it."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    return {"format_version": FORMAT_VERSION, "library_version": version("pave"), **plain}


def from_dict(cls: type[Config], data: dict[str, Any], where: str = "") -> Config:
    """Build a frozen configuration from a dictionary, strictly.

    Args:
        cls: The dataclass; nested dataclasses, tuples, paths and optional fields are understood.
        data: As :func:`to_dict` wrote it, or written by hand.
        where: File that it came from, for error messages.

    Raises:
        InputError: On an unknown key (naming the nearest known one), a missing one, a value of another type, or a
            newer format version.
    """
    place = f"{where}: " if where else ""
    if not isinstance(data, dict):
        raise InputError(f"{place}{_title(cls)} must be a mapping of names to values, not {type(data).__name__}")
    found = data.get("format_version", FORMAT_VERSION)
    if not isinstance(found, int) or found > FORMAT_VERSION:
        raise InputError(f"{place}format_version is {found}, this library reads up to {FORMAT_VERSION}; upgrade pave")
    data = {key: value for key, value in data.items() if key not in STAMPS}
    known = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            guess = nearest(str(key), known) or f"; known: {', '.join(known)}"
            raise InputError(f"{place}unknown key {key!r} in {_title(cls)}{guess}")
    for name, item in known.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in data:
            raise InputError(f"{place}{_title(cls)} lacks {name!r}")
    hints = _type_hints(cls)  # type: ignore[arg-type]
    values = {key: _convert(value, hints[key], f"{place}{_title(cls)}.{key}") for key, value in data.items()}
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(f"{place}{error}") from None


@functools.cache
def _type_hints(cls: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields; once, since a recording asks with each of its frames."""
    return typing.get_type_hints(cls)


def _title(cls: type) -> str:
    name = cls.__name__
    return name.removesuffix("Config").removesuffix("Spec").lower() or name


def _convert(value: Any, hint: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = [option for option in arguments if option is not type(None)]
        return _convert(value, options[0], place) if len(options) == 1 else value
    if origin is Literal:
        return value
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value, place)  # type: ignore[arg-type]
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise InputError(f"{place} is {value!r}; it must be a list")
        return origin(_convert(entry, arguments[0], f"{place}[{index}]") for index, entry in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"{place} is {value!r}; it must be a mapping")
        return {key: _convert(entry, arguments[1], f"{place}.{key}") for key, entry in value.items()}
    if hint is Path:
        if not isinstance(value, str | Path):
            raise InputError(f"{place} is {value!r}; it must be a path")
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise InputError(f"{place} is {value!r}; it must be of type {hint.__name__}")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: If the file is missing or is no JSON object.
    """
    try:
        data = json.loads(_read_text(path, "JSON"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: holds a JSON {type(data).__name__}, not an object")
    return data


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        InputError: If it is missing or is no YAML, or a name stands twice in one mapping.
    """
    import yaml

    try:
        return yaml.load(_read_text(path, "YAML"), _strict_loader())
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None


@functools.cache
def _strict_loader() -> Any:
    """Return the safe loader, which would quietly take the last of two values of one name, so that it refuses both."""
    import yaml

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                # A name is a text; what else YAML takes for a key is refused by who reads the settings.
                if not isinstance(key.value, str):
                    continue
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} stands twice, keep one of them", key.start_mark
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Strict


def _read_text(path: Path, form: str) -> str:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not valid {form} ({error})") from None
