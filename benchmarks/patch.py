"""What a patch costs by itself: batched, against a plain loop over the same weights, side by side in one run.

    python benchmarks/patch.py                                          # every size, channel, batch and float type
    python benchmarks/patch.py --sizes small --channels audio --quick   # seconds

The loop is the reference's way in plain torch: one sample at a time, groups padded and masked, then the output layers
on the whole batch. Both use the same weights and inputs, and are measured in turn. The machine's own rate is that of
bare matrix products of the very shapes that the patch multiplies, measured in the same rounds; a share of 1 would mean
that nothing but these products takes time. Peak memory counts what a pass allocates beyond weights and inputs. Memory
once freed is kept by the process: on a CPU, fetching it anew from the system is else a third of the time, now for one
variant and now for the other. Weights and inputs are random, which changes no time. The last line of standard output
is the result as JSON.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from pave import PatchConfig, SideChannel
from pave.files import write_whole
from pave.patches import build
from pave.patches.cross_attention import CrossAttentionPatch
from pave.training.facts import versions
from pave.training.peak import measured_peak

STEPS = 32
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
FULL = PatchConfig("any", 1024, query_dim=1152, hidden_dim=512, value_projection="tied", alignment="index")
SIZES = {
    "small": (PatchConfig("any", 64, "cross_attention", 64, 64, 64, value_projection="tied", alignment="index"), 9),
    "0.5b": (replace(FULL, token_dim=896), 196),
    "7b": (replace(FULL, token_dim=3584), 196),
}
"""Patches as the reference has them, and the video tokens S of a step."""

CHANNELS = {"audio": (60, 1), "dense-64": (64, 256), "dense-280": (280, 4), "depth": (32, 576)}
"""Side steps K and side tokens N of a step."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PASSES = ("forward", "forward_backward")
VARIANTS = ("patch", "loop", "machine")


@dataclass(frozen=True)
class Case:
    """One patch and its batch."""

    patch: CrossAttentionPatch
    queries: list[Tensor]
    sides: list[SideChannel]
    cotangents: list[Tensor]


@dataclass(frozen=True)
class Product:
    """The two factors of one matrix product: shapes, and whether each lies transposed in memory."""

    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    transposed: tuple[bool, bool]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table and the result as JSON, and return it."""
    options = _options(arguments)
    _keep_freed_memory()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rounds = 2 if options.quick else options.rounds
    cases = []
    for names in product(options.sizes, options.channels, options.batches, options.dtypes):
        case = make_case(*names, device)
        name = dict(zip(("size", "channel", "batch", "dtype"), names, strict=True))
        cases.append({**name, **measure(case, options.passes, rounds, options.seconds)})
        _print_case(cases[-1])
    result = {
        "benchmark": "patch",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": options.threads,
        "versions": versions(),
        "rounds": rounds,
        "cases": cases,
    }
    if options.out is not None:
        write_whole(options.out, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return result


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time, memory and FLOPs of a patch, against a loop over samples.")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="which patches")
    parser.add_argument("--channels", nargs="+", choices=CHANNELS, default=list(CHANNELS), help="which side channels")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], help="samples in a batch")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES), help="which float types")
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=list(PASSES), help="which passes")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each; the result is their median")
    parser.add_argument("--seconds", type=float, default=0.2, help="shortest measurement; quick passes are repeated")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="two rounds: to see that it runs")
    return parser.parse_args(arguments)


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed; other C libraries do as they do."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 2**25)


def make_case(size: str, channel: str, batch: int, dtype: str, device: torch.device) -> Case:
    """Return a patch with random weights and a batch of random features."""
    config, tokens = SIZES[size]
    steps, side_tokens = CHANNELS[channel]
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, DTYPES[dtype])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        patch = build(config)
    torch.nn.init.ones_(patch.norm.weight)
    return Case(
        patch=patch.to(device, DTYPES[dtype]),
        queries=[draw(STEPS, tokens, config.query_dim) for _ in range(batch)],
        sides=[
            SideChannel(draw(steps, side_tokens, config.side_dim), torch.arange(steps), (1, side_tokens))
            for _ in range(batch)
        ],
        cotangents=[draw(STEPS, tokens, config.token_dim) for _ in range(batch)],
    )


def batched(case: Case) -> Sequence[Tensor]:
    """Return the residuals (T,S,C) of all samples as this library makes them."""
    return case.patch(case.queries, case.sides, [range(STEPS)] * len(case.queries))


def looped(case: Case) -> Sequence[Tensor]:
    """Return the residuals (T,S,C) of all samples, one after another but for the output layers, in plain torch."""
    samples = [_fused(case.patch, *sample) for sample in zip(case.queries, case.sides, strict=True)]
    out = case.patch.output
    return case.patch.norm(out.down(F.gelu(out.up(torch.stack(samples))))).unbind()


def _fused(patch: CrossAttentionPatch, queries: Tensor, side: SideChannel) -> Tensor:
    """Return one sample's fused tokens (T,S,hidden): each step attends to its own group of side steps."""
    tokens, memory = patch.query_projection(queries), patch.key_projection(side.values)
    steps, heads = len(tokens), patch.config.heads
    each, longer = divmod(len(memory), steps)
    lengths = [each + (step < longer) for step in range(steps)]
    width = max(lengths)
    mask = None
    if longer:
        real = torch.arange(width, device=memory.device) < torch.tensor(lengths, device=memory.device)[:, None]
        mask = real.repeat_interleave(side.tokens, dim=1)[:, None, None]
    for layer in patch.layers:
        keys = layer.attention.key(memory)
        if longer:
            groups = [F.pad(group, (0, 0, 0, 0, 0, width - len(group))) for group in keys.split(lengths)]
            keys = torch.stack(groups)
        keys = keys.reshape(steps, width * side.tokens, heads, -1).transpose(1, 2)
        asked = layer.attention.query(tokens).unflatten(-1, (heads, -1)).transpose(1, 2)
        read = F.scaled_dot_product_attention(asked, keys, keys, attn_mask=mask)
        tokens = tokens + read.transpose(1, 2).flatten(2)
        forward = layer.feed_forward
        tokens = tokens + forward.down(F.gelu(forward.up(forward.norm(tokens))))
    return tokens


def measure(case: Case, passes: Sequence[str], rounds: int, shortest_sec: float) -> dict[str, Any]:
    """Return how far apart patch and loop are, and their costs in each pass."""
    with torch.no_grad():
        pairs = zip(batched(case), looped(case), strict=True)
        apart = max((ours.float() - theirs.float()).abs().max().item() for ours, theirs in pairs)
    return {"largest_difference": apart, **{name: _costs(case, name, rounds, shortest_sec) for name in passes}}


def _costs(case: Case, name: str, rounds: int, shortest_sec: float) -> dict[str, Any]:
    device = case.cotangents[0].device
    runs = {"patch": _run(case, batched, name), "loop": _run(case, looped, name)}
    flops, products = {}, Counter[Product]()
    for variant, run in runs.items():
        flops[variant], recorded = _count(run)
        if variant == "patch":
            products = recorded
    runs["machine"] = _bare(products, case.cotangents[0])
    repeats = {variant: _repeats(run, device, shortest_sec) for variant, run in runs.items()}
    seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for index in range(rounds):
        for place in range(len(VARIANTS)):
            variant = VARIANTS[(index + place) % len(VARIANTS)]
            seconds[variant].append(_timed(runs[variant], repeats[variant], device))
    flops["machine"] = sum(_flops(pair) * count for pair, count in products.items())
    summary: dict[str, Any] = {
        variant: {
            "median_sec": statistics.median(seconds[variant]),
            "flops": flops[variant],
            "flops_per_sec": flops[variant] / statistics.median(seconds[variant]),
            "sec": seconds[variant],
        }
        for variant in VARIANTS
    }
    for variant in ("patch", "loop"):
        case.patch.zero_grad(set_to_none=True)
        summary[variant]["peak_bytes"] = _peak_bytes(runs[variant], device)
    pairs = zip(seconds["patch"], seconds["loop"], strict=True)
    summary["speedup"] = statistics.median(loop / patch for patch, loop in pairs)
    summary["machine_share"] = summary["patch"]["flops_per_sec"] / summary["machine"]["flops_per_sec"]
    summary["memory_ratio"] = summary["patch"]["peak_bytes"] / summary["loop"]["peak_bytes"]
    return summary


def _run(case: Case, residuals: Callable[[Case], Sequence[Tensor]], name: str) -> Callable[[], None]:
    def forward() -> None:
        with torch.no_grad():
            residuals(case)

    def forward_backward() -> None:
        case.patch.zero_grad(set_to_none=True)
        torch.autograd.backward(residuals(case), case.cotangents)

    return forward if name == "forward" else forward_backward


class _Recorder(TorchDispatchMode):
    """Keeps the factors of every matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        aten = torch.ops.aten
        first = {aten.mm: 0, aten.bmm: 0, aten.addmm: 1, aten.baddbmm: 1}.get(func.overloadpacket)
        if first is not None:
            factors = args[first : first + 2]
            shapes = (tuple(factors[0].shape), tuple(factors[1].shape))
            transposed = tuple(factor.stride(-1) != 1 and factor.shape[-1] != 1 for factor in factors)
            self.products[Product(shapes, transposed)] += 1  # type: ignore[arg-type]
        return func(*args, **(kwargs or {}))


def _count(run: Callable[[], None]) -> tuple[int, Counter[Product]]:
    """Return the floating-point operations of a pass, and its matrix products."""
    recorder = _Recorder()
    # Attention in one piece hides its two products from both.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, recorder:
        run()
    return counter.get_total_flops(), recorder.products


def _flops(pair: Product) -> int:
    (*batch, rows, inner), (*_, columns) = pair.shapes
    return 2 * prod(batch) * rows * inner * columns


def _bare(products: Counter[Product], like: Tensor) -> Callable[[], None]:
    """Return a run of these products and nothing else, on factors that are there already."""
    ready = []
    for pair, count in products.items():
        factors = [
            like.new_ones(*shape[:-2], shape[-1], shape[-2]).transpose(-1, -2) if turned else like.new_ones(shape)
            for shape, turned in zip(pair.shapes, pair.transposed, strict=True)
        ]
        ready.append((factors[0], factors[1], torch.matmul(*factors), count))

    def run() -> None:
        with torch.no_grad():
            for left, right, out, count in ready:
                for _ in range(count):
                    torch.matmul(left, right, out=out)

    return run


def _repeats(run: Callable[[], None], device: torch.device, shortest_sec: float) -> int:
    """Return how often a run must be repeated to take so many seconds; warms it up."""
    run()
    return max(1, round(shortest_sec / _timed(run, 1, device)))


def _timed(run: Callable[[], None], repeats: int, device: torch.device) -> float:
    """Return seconds a run."""
    _wait(device)
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    _wait(device)
    return (time.perf_counter() - started) / repeats


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_bytes(run: Callable[[], None], device: torch.device) -> int:
    """Return the most bytes that a pass holds beyond what was there before it."""
    with measured_peak(device) as peak:
        run()
    return peak.extra


def _print_case(case: dict[str, Any]) -> None:
    console = Console(stderr=True, soft_wrap=True)
    for name in PASSES:
        if name in case:
            found = case[name]
            patch_ms, loop_ms = (1000 * found[variant]["median_sec"] for variant in ("patch", "loop"))
            console.print(
                f"{case['size']:>5}  {case['channel']:<9}  batch {case['batch']}  {case['dtype']:<8}  {name:<16}  "
                f"patch {patch_ms:9.2f} ms  loop {loop_ms:9.2f} ms  {found['speedup']:5.2f} times as fast  "
                f"{found['machine_share']:4.0%} of the machine's rate  {found['memory_ratio']:.2f} of its memory"
            )


if __name__ == "__main__":
    main()
