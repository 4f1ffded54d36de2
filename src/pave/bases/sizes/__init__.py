"""Dimensions of released bases by a short name, so that their cost can be counted without a download.

The files beside this one hold them, one a family: what of a released configuration differs from the defaults of its
class in ``transformers``, where that is known from, and the published total that the count must agree with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

from pave.bases.folder import read_folder
from pave.errors import InputError, nearest
from pave.shipped import shipped_bases


@dataclass(frozen=True)
class Size:
    """A released size of a base.

    Args:
        name: Short name.
        model_type: Of its configuration.
        hub_ids: Repositories that hold it; the first is the one to load.
        config: What of its configuration differs from the defaults of its class.
        published: Its parameters as published.
        tolerance: Share of ``published`` by which the count may differ, for its rounding and for what ``note`` says.
        source: Where its dimensions and its total are known from.
        note: What the count leaves out, if anything.
    """

    name: str
    model_type: str
    hub_ids: tuple[str, ...]
    config: Mapping[str, Any]
    published: int
    tolerance: float
    source: str
    note: str | None = None

    def configuration(self) -> PretrainedConfig:
        """Return its configuration."""
        return CONFIG_MAPPING[self.model_type](**_copied(self.config))


@cache
def sizes() -> dict[str, Size]:
    """Return all known sizes by name, family by family."""
    return {name: size for file in sorted(Path(__file__).parent.glob("*.json")) for name, size in _read(file).items()}


def _read(file: Path) -> dict[str, Size]:
    content = json.loads(file.read_text(encoding="utf-8"))
    shared = content.get("config", {})
    return {
        name: Size(
            name=name,
            model_type=content["model_type"],
            hub_ids=tuple(entry.pop("hub_ids")),
            config=_merged(shared, entry.pop("config", {})),
            **entry,
        )
        for name, entry in content["sizes"].items()
    }


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(shared)
    for key, value in own.items():
        merged[key] = _merged(shared.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def _copied(config: Any) -> Any:
    """A copy all the way down: configuration classes write into what they are given."""
    if isinstance(config, Mapping):
        return {key: _copied(value) for key, value in config.items()}
    return list(config) if isinstance(config, list) else config


def configuration_of(base: str | Path) -> PretrainedConfig:
    """Return the configuration of a base; of a hub repository only its configuration is fetched, never its weights.

    Args:
        base: The name of a known size, the hub id of one, a shipped name, a folder, or any other hub id.

    Raises:
        InputError: If there is no such base; the message names the nearest ones.
    """
    name = str(base)
    size = sizes().get(_by_hub_id().get(name, name))
    if size is not None:
        return size.configuration()
    folder = shipped_bases().get(name, Path(name))
    if folder.is_dir():
        config: PretrainedConfig = read_folder(AutoConfig, folder)
        return config
    known = [*sizes(), *shipped_bases()]
    if name.count("/") != 1 or Path(name).is_absolute() or name.startswith("."):
        raise InputError(
            f"unknown base {name!r}: no such folder, no hub id owner/name, no known size (pave info --list)"
            f"{nearest(name, known)}"
        )
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the configuration of base {name!r} could not be fetched from the hub ({reason})"
            f"{nearest(name, [*known, *_by_hub_id()])}"
        ) from None


def hub_id_of(base: str | Path) -> str:
    """Return the name under which a base's weights can be loaded: of a known size its hub id, else what was given."""
    size = sizes().get(str(base))
    return size.hub_ids[0] if size is not None else str(base)


def _by_hub_id() -> dict[str, str]:
    return {hub_id: name for name, size in sizes().items() for hub_id in size.hub_ids}
