"""What several patches cost in one batch: 8 samples of 4 patches, beside 8 of one, 4 batches of 2, and the base alone.

    python benchmarks/compose.py                       # tiny base, and one of 0.5 B random weights
    python benchmarks/compose.py --quick --bases tiny  # seconds

Every round measures all variants in turn, in rotating order, so that whatever else the machine does hits them alike; a
ratio is the median over the rounds. Videos are encoded once. The last line of standard output is the result as JSON.
``single`` is what the others are compared with: as many samples as ``mixed``, as much arithmetic.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from overhead import BASES, Setting, encode_one, random_base, run_benchmark, stock_beside
from rounds import in_turn

from pave import PaveModel

TASKS = ("prefill", "generate")
PATCHES = ("first", "second", "third", "fourth")
SAMPLES = 8
BAR = 1.15
"""What ``mixed`` may cost beside ``single`` on the tiny base."""


@dataclass(frozen=True)
class Work:
    """Batches that one variant goes through, one after another, each with the patches of its samples."""

    model: PaveModel
    batches: list[tuple[dict[str, Any], list[list[str]]]]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table and the result as JSON, and return it."""
    return run_benchmark("compose", _options(arguments), measure, _print, bar=BAR)


def measure(name: str, setting: Setting, device: torch.device) -> dict[str, Any]:
    """Return times and ratios of one base."""
    base = random_base(name).to(device)
    stock = stock_beside(base)
    patched = PaveModel.from_base(base)
    for patch in PATCHES:
        patched.add_patch(patch, setting.patch, setting.lora)
    patched.set_trainable([])
    works = _works(stock, patched, setting)
    tasks = dict(zip(TASKS, (_prefill, _generator(setting.new_tokens)), strict=True))
    return {
        "samples": SAMPLES,
        "patches": len(PATCHES),
        "lora_rank": setting.lora.r,
        "dtype": str(base.dtype).removeprefix("torch."),
        "frames": setting.frames,
        "sequence": works["single"].batches[0][0]["input_ids"].shape[1],
        "new_tokens": setting.new_tokens,
        "rounds": setting.rounds,
        **{
            task: in_turn({name: partial(run, work) for name, work in works.items()}, setting.rounds)
            for task, run in tasks.items()
        },
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time of a batch that mixes patches, beside batches that do not.")
    parser.add_argument("--bases", nargs="+", choices=BASES, default=list(BASES), help="which bases to measure")
    parser.add_argument("--frames", type=int, help="frames of the large base; by default 32, and 4 on a CPU")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each variant on the tiny base")
    parser.add_argument("--large-rounds", type=int, default=3, help="and on the large one")
    parser.add_argument("--new-tokens", type=int, default=16, help="tokens that are generated")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="few rounds, one frame, few tokens: to see that it runs")
    return parser.parse_args(arguments)


def _works(stock: PaveModel, patched: PaveModel, setting: Setting) -> dict[str, Work]:
    one, _ = encode_one(patched, setting)
    each = SAMPLES // len(PATCHES)

    def batch(samples: int, side: bool = True) -> dict[str, Any]:
        videos = [replace(video, row=-1) for video in one.videos * samples]
        channel = {"audio": one.side["audio"] * samples} if side else {}
        return {"videos": videos, "side": channel, "input_ids": one.input_ids.repeat(samples, 1)}

    mixed = [[name] for name in PATCHES for _ in range(each)]
    return {
        "single": Work(patched, [(batch(SAMPLES), [[PATCHES[0]]] * SAMPLES)]),
        "base": Work(stock, [(batch(SAMPLES, side=False), [[]] * SAMPLES)]),
        "mixed": Work(patched, [(batch(SAMPLES), mixed)]),
        "in turn": Work(patched, [(batch(each), [[name]] * each) for name in PATCHES]),
    }


@torch.no_grad()
def _prefill(work: Work) -> None:
    for batch, patches in work.batches:
        work.model(**batch, patches=patches, use_cache=True, logits_to_keep=1)


def _generator(new_tokens: int) -> Callable[[Work], None]:
    def generate(work: Work) -> None:
        lengths = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens}
        for batch, patches in work.batches:
            mask = torch.ones_like(batch["input_ids"])
            work.model.generate(
                **batch, patches=patches, attention_mask=mask, do_sample=False, pad_token_id=0, **lengths
            )

    return generate


def _print(name: str, found: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = f"{name}: {found['samples']} samples of {found['sequence']} tokens, {found['new_tokens']} new"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold")
    for heading in ("", "prefill", "of single", "generate", "of single"):
        table.add_column(heading, justify="right" if heading else "left")
    for variant in found["prefill"]["median_sec"]:
        cells = []
        for task in TASKS:
            ratio = found[task]["ratio"].get(variant, 1.0)
            cells += [f"{1000 * found[task]['median_sec'][variant]:.1f} ms", f"{ratio:.3f}"]
        table.add_row(variant, *cells)
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
