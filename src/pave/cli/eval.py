"""``pave eval``: scores of models on a data set, side by side, and whether a patch uses its channel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pave.cli import print_json
from pave.cli.arguments import parse
from pave.errors import InputError
from pave.quiet import quieten

if TYPE_CHECKING:
    from pave.evaluation.config import EvalConfig


def main(arguments: list[str]) -> None:
    """Run ``pave eval``."""
    parse(run, "pave eval", arguments, positional=("name",))


def run(
    data: list[Path],
    name: str | None = None,
    base: str | None = None,
    patch: list[str] | None = None,
    out: Path | None = None,
    frames: int | None = None,
    limit: int | None = None,
    only: dict[str, str] | None = None,
    batch_size: int = 16,
    max_new_tokens: int | None = None,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    seed: int = 0,
    store: Path | None = None,
    convention: str | None = None,
    skip_missing: bool = False,
    shard: str | None = None,
    compare: str | None = None,
    probe: bool = False,
    disturb: str | None = None,
    balance: bool = False,
    json: bool = False,
) -> None:
    """Score the answers of a base, with or without patches, on data sets.

    Args:
        data: Data sets: .jsonl files, or folders that hold samples.jsonl.
        name: Benchmark that the data were prepared for; by default the one that they name.
        base: Shipped name, folder or hub id; by default the one that the first patch was made for.
        patch: Shipped names, folders or hub ids; none scores the base alone.
        out: New or empty folder for responses and result, or that of a run to go on with.
        frames: Frames of a video; by default what the patches were made with.
        limit: Score only so many samples, the first ones.
        only: Score only samples with these values, such as category=Counting.
        batch_size: Questions answered together.
        max_new_tokens: Longest answer; by default that of the benchmark's own protocol, else 16.
        precision: Float type of the base.
        seed: Of the bootstrap that gives the intervals, and of what a probe or a disturbance draws.
        store: Folder of a feature store, as pave extract fills it; what it lacks is computed and added.
        convention: How answers are scored; by default the benchmark's first.
        skip_missing: Leave samples whose media lack out of the scores; otherwise they count as wrong.
        shard: This process's part of the work as i/n, such as 2/4; the last one to end joins the parts in --out.
        compare: Models to compare on the same samples, such as base,lora:FOLDER,patch:FOLDER.
        probe: Ask with the true side channel, and with silenced, moved, swapped and random ones.
        disturb: What is done to the steps of side channels first, such as keep=0.25,late_sec=1.
        balance: Bring what patches that act together add to one size, so that each is heard as if alone.
        json: Print the result as one JSON object.
    """
    from pave.data.disturbance import Disturbance
    from pave.evaluation.config import EvalConfig, EvalSettings

    quieten()
    if compare is not None and (probe or patch):
        raise InputError("pave eval: --compare names its models itself; leave --patch and --probe out")
    named = tuple(patch or ())
    disturbance = Disturbance() if disturb is None else Disturbance.parse(disturb)
    config = EvalConfig(
        data=tuple(data),
        base=base or (None if named or compare else "blindspot"),
        patches=named or _patches(compare),
        out=out,
        frames=frames,
        limit=limit,
        precision=precision,
        settings=EvalSettings(
            batch_size,
            max_new_tokens,
            seed,
            cache_video_tokens=store is None,
            store=store,
            disturbance=disturbance,
            balance=balance,
        ),
        benchmark=name,
        convention=convention,
        only=only or {},
        shard=_shard(shard),
        skip_missing=skip_missing,
    )
    if probe:
        _probe(config, json)
    elif compare is not None:
        _compare(config, compare, json)
    else:
        _evaluate(config, json)


def _evaluate(config: EvalConfig, json: bool) -> None:
    from pave.cli.eval_tables import print_result
    from pave.evaluation.run import run_evaluation

    _show(run_evaluation(config), print_result, json)


def _compare(config: EvalConfig, compare: str, json: bool) -> None:
    from pave.cli.eval_tables import print_comparison
    from pave.evaluation.compare import Contender, run_comparison

    _show(run_comparison(config, [Contender.parse(text) for text in compare.split(",")]), print_comparison, json)


def _probe(config: EvalConfig, json: bool) -> None:
    from pave.cli.eval_tables import print_probe
    from pave.evaluation.probe import run_probe

    _show(run_probe(config), print_probe, json)


def _patches(compare: str | None) -> tuple[str, ...]:
    if compare is None:
        return ()
    from pave.evaluation.compare import Contender

    return tuple(patch for text in compare.split(",") for patch in Contender.parse(text).patches)


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, mark, count = text.partition("/")
    if not (mark and number.isdecimal() and count.isdecimal()):
        raise InputError(f"--shard {text}: write i/n, such as 2/4")
    return int(number), int(count)


def _show(found: Any, printer: Callable[[Any], None], json: bool) -> None:
    from pave.processes import processes

    if not processes().is_main_process:
        return
    if found is not None:
        print_json(found.to_dict()) if json else printer(found)
    elif json:
        print_json({"finished": False})
    else:
        print("this part is done; the result comes with the last part")
