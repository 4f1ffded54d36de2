"""Everything that decides an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pave.config import check_choices
from pave.errors import InputError


@dataclass(frozen=True)
class EvalSettings:
    """What decides the answers beside the model and the samples.

    Args:
        batch_size: Questions generated together.
        max_new_tokens: Longest answer.
        seed: Of the bootstrap; answers are greedy and need none.
        cache_video_tokens: Compute each video's tokens once and keep them.
        cache_limit_gb: Memory that they may take, in units of 10^9 bytes.
        store: Folder of a feature store that video tokens and side channels are read from, and what is missing is
            added to; ``None`` to compute them.

    Raises:
        InputError: On a value out of range.
    """

    batch_size: int = 16
    max_new_tokens: int = 16
    seed: int = 0
    cache_video_tokens: bool = False
    cache_limit_gb: float = 16.0
    store: Path | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_new_tokens", "cache_limit_gb"):
            if not getattr(self, name) > 0:
                raise InputError(f"eval: {name} is {getattr(self, name)}; it must be above 0")
        if self.seed < 0:
            raise InputError(f"eval: seed is {self.seed}; it must be 0 or more")


@dataclass(frozen=True)
class EvalConfig:
    """An evaluation from names and paths.

    Args:
        data: Data sets, scored together.
        base: A shipped name, a folder or a hub id; ``None`` for the one that the first patch records.
        patches: Shipped names, folders or hub ids; none for the base alone.
        out: Folder for result and responses; ``None`` to write none.
        frames: Frames of a video; ``None`` for what the patches were made with.
        limit: Score only so many samples, the first ones; ``None`` for all.
        precision: Of the base and of arithmetic.
        settings: The rest.

    Raises:
        InputError: On a value out of range, or if there is no model or no data.
    """

    data: tuple[Path, ...]
    base: str | None = None
    patches: tuple[str, ...] = ()
    out: Path | None = None
    frames: int | None = None
    limit: int | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    settings: EvalSettings = field(default_factory=EvalSettings)

    def __post_init__(self) -> None:
        check_choices(self)
        if not self.data:
            raise InputError("eval: data is empty; name at least one data set")
        if self.base is None and not self.patches:
            raise InputError("eval: neither base nor patches are given; name at least one")
        for name in ("frames", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"eval: {name} is {value}; it must be at least 1, or null")
