"""Everything that decides an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pave.config import check_choices
from pave.data.disturbance import Disturbance
from pave.errors import InputError


@dataclass(frozen=True)
class EvalSettings:
    """What decides the answers beside the model and the samples.

    Args:
        batch_size: Questions generated together.
        max_new_tokens: Longest answer; ``None`` for what the benchmark's own protocol says.
        seed: Of the bootstrap, and of what a disturbance draws; answers are greedy and need none.
        cache_video_tokens: Encode each video by itself and keep what was used last, so that questions about one video
            share it; otherwise it is read anew for each question.
        cache_limit_gb: Memory that is kept so, in units of 10^9 bytes.
        store: Folder of a feature store that video tokens and side channels are read from, and what is missing is
            added to; ``None`` to compute them.
        disturbance: What is done to the steps of every side channel before a patch reads them.
        balance: Whether residuals of patches that act together are balanced, as with ``pave.PaveModel.balanced``;
            otherwise it is as the model says.

    Raises:
        InputError: On a value out of range.
    """

    batch_size: int = 16
    max_new_tokens: int | None = None
    seed: int = 0
    cache_video_tokens: bool = False
    cache_limit_gb: float = 16.0
    store: Path | None = None
    disturbance: Disturbance = field(default_factory=Disturbance)
    balance: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_new_tokens", "cache_limit_gb"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"eval: {name} is {value}; it must be above 0")
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
        benchmark: The benchmark that the data were prepared for; ``None`` for the one that they name.
        convention: How answers are scored; ``None`` for the benchmark's first convention.
        only: Score only samples whose fields hold these values.
        shard: Number of this process's part, from 1, and of all parts; ``None`` for what the launcher says.
        skip_missing: Leave samples whose media lack out of the scores; otherwise they count as wrong.

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
    benchmark: str | None = None
    convention: str | None = None
    only: Mapping[str, str] = field(default_factory=dict)
    shard: tuple[int, int] | None = None
    skip_missing: bool = False

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
        if self.shard is not None:
            number, count = self.shard
            if not 1 <= number <= count:
                raise InputError(f"eval: shard is {number}/{count}; write i/n with i from 1 to n")
            if count > 1 and self.out is None:
                raise InputError("eval: a shard needs --out, where the parts are put together")
