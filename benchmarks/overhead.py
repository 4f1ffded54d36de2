"""What a patch costs in time: base against base + patch, with the LoRA unmerged and merged, side by side in one run.

    python benchmarks/overhead.py                       # tiny base, and one of 0.5 B random weights
    python benchmarks/overhead.py --quick --bases tiny  # seconds

Base and patched base share their weights. They are measured in turn, first with the LoRA apart, then with it merged,
so that whatever else the machine does hits both alike; a ratio is the median over the rounds. The video is encoded
once: its path is frozen and the same for both. Weights are random, which changes no time. The last line of standard
output is the result as JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rounds import in_turn
from transformers import AutoModelForImageTextToText, PreTrainedModel

from pave import LoraSpec, PatchConfig, PaveModel, SideChannel
from pave.bases.sizes import configuration_of
from pave.blindspot.tiny_base import FRAME_COUNT, build_model
from pave.files import write_whole
from pave.quiet import quieten
from pave.training.facts import versions
from pave.types import VideoTokens

STATES = ("unmerged", "merged")
BASES = ("tiny", "llava-onevision-0.5b")
SIDE_HOP_SEC = 1.0
FRAME_HOP_SEC = 2.0
PROMPT_TOKENS = 32
BAR = 1.03
"""What generation with the merged LoRA may cost beside the base's, on the large one."""


@dataclass(frozen=True)
class Setting:
    """What is measured on one base."""

    frames: int
    patch: PatchConfig
    lora: LoraSpec
    rounds: int
    new_tokens: int


@dataclass(frozen=True)
class Batch:
    """One encoded video with its side channel, and the prompt around it."""

    videos: list[VideoTokens]
    side: dict[str, list[SideChannel | None]]
    input_ids: torch.Tensor


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table and the result as JSON, and return it."""
    return run_benchmark("overhead", _options(arguments), measure, _print, bar=BAR)


def run_benchmark(
    benchmark: str,
    options: argparse.Namespace,
    measure_one: Callable[[str, Setting, torch.device], dict[str, Any]],
    print_one: Callable[[str, dict[str, Any]], None],
    **facts: Any,
) -> dict[str, Any]:
    """Measure the bases that were asked for, print each and the result as JSON, and return it.

    Args:
        benchmark: Its name.
        options: Bases, threads and output file, and what :func:`setting_of` needs.
        measure_one: From a base's name, setting and device to what was found.
        print_one: Prints what was found.
        facts: What else belongs into the result.
    """
    quieten()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result = {
        "benchmark": benchmark,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": options.threads,
        "versions": versions(),
        **facts,
        "bases": {name: measure_one(name, setting_of(name, options, device), device) for name in options.bases},
    }
    for name, found in result["bases"].items():
        print_one(name, found)
    if options.out is not None:
        write_whole(options.out, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return result


def measure(name: str, setting: Setting, device: torch.device) -> dict[str, Any]:
    """Return sizes, times and ratios of one base."""
    base = random_base(name).to(device)
    stock = stock_beside(base)
    patched = PaveModel.from_base(base)
    patched.add_patch("audio", setting.patch, setting.lora)
    patched.set_trainable([])
    batch, encode_sec = encode_one(patched, setting)
    tasks = {"prefill": _prefill, "generate": _generator(setting.new_tokens)}
    found: dict[str, dict[str, Any]] = {task: {} for task in tasks}
    for state in STATES:
        with patched.lora.merged(["audio"]) if state == "merged" else nullcontext():
            for task, run in tasks.items():
                variants = {"base": partial(run, stock, batch, {}), "patch": partial(run, patched, batch, batch.side)}
                found[task][state] = in_turn(variants, setting.rounds)
    parameters = sum(weight.numel() for weight in stock.parameters())
    return {
        "parameters": parameters,
        "patch_parameters": sum(weight.numel() for weight in patched.patches.parameters()),
        "lora_parameters": sum(weight.numel() for weight in patched.lora.parameters("audio")),
        "dtype": str(base.dtype).removeprefix("torch."),
        "frames": setting.frames,
        "side_steps": int(batch.side["audio"][0].steps) if batch.side["audio"][0] else 0,
        "sequence": batch.input_ids.shape[1],
        "new_tokens": setting.new_tokens,
        "rounds": setting.rounds,
        "encode_sec": encode_sec,
        **found,
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time of a base against base + patch, LoRA merged and unmerged.")
    parser.add_argument("--bases", nargs="+", choices=BASES, default=list(BASES), help="which bases to measure")
    parser.add_argument("--frames", type=int, help="frames of the large base; by default 32, and 4 on a CPU")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each variant on the tiny base")
    parser.add_argument("--large-rounds", type=int, default=5, help="and on the large one")
    parser.add_argument("--new-tokens", type=int, default=16, help="tokens that are generated")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="few rounds, one frame, few tokens: to see that it runs")
    return parser.parse_args(arguments)


def setting_of(name: str, options: argparse.Namespace, device: torch.device) -> Setting:
    """Return what is measured on a base, from the command line."""
    rounds, tokens = (2, 4) if options.quick else (options.rounds, options.new_tokens)
    if name == "tiny":
        patch = PatchConfig("audio", 256, hidden_dim=64)
        return Setting(FRAME_COUNT, patch, LoraSpec(r=16), rounds, tokens)
    frames = 1 if options.quick else options.frames or (32 if device.type == "cuda" else 4)
    rounds = min(rounds, options.large_rounds)
    return Setting(frames, PatchConfig("audio", 1024), LoraSpec(r=64), rounds, tokens)


def random_base(name: str) -> PreTrainedModel:
    """Return a base of random weights."""
    if name == "tiny":
        return build_model(seed=0).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForImageTextToText.from_config(configuration_of(name)).eval()


def stock_beside(base: PreTrainedModel) -> PaveModel:
    """Return a model without peft's wrappers that holds the very same weights."""
    return PaveModel.from_base(copy.deepcopy(base, {id(weight): weight for weight in base.parameters()}))


def encode_one(model: PaveModel, setting: Setting) -> tuple[Batch, float]:
    """Encode one random video, and say how long that took."""
    generator = torch.Generator().manual_seed(0)
    size = model.config.vision_config.image_size
    pixels = torch.randn(1, setting.frames, 3, size, size, generator=generator)
    times_sec = (torch.arange(setting.frames) + 0.5) * FRAME_HOP_SEC
    inputs = {model.family.pixels: pixels.to(model.device, model.dtype)}
    started = time.perf_counter()
    videos = model.encode_videos(inputs, [times_sec])
    _wait(model)
    encode_sec = time.perf_counter() - started
    steps = max(1, round(setting.frames * FRAME_HOP_SEC / SIDE_HOP_SEC))
    values = torch.randn(steps, 1, setting.patch.side_dim, generator=generator)
    side = SideChannel(values, (torch.arange(steps) + 0.5) * SIDE_HOP_SEC)
    room = model.family.token_count(setting.frames, videos[0].grid, model.layout)
    special = (model.family.placeholder_id, model.config.image_token_id)
    word = next(number for number in range(100) if number not in special)
    prompt = torch.full((PROMPT_TOKENS,), word)
    placeholders = torch.full((room,), model.family.placeholder_id)
    ids = torch.cat([prompt[:4], placeholders, prompt[4:]]).unsqueeze(0)
    return Batch(videos, {"audio": [side]}, ids.to(model.device)), encode_sec


@torch.no_grad()
def _prefill(model: PaveModel, batch: Batch, side: dict[str, Any]) -> None:
    model(side=side, videos=batch.videos, input_ids=batch.input_ids, use_cache=True, logits_to_keep=1)


def _generator(new_tokens: int) -> Callable[..., None]:
    def generate(model: PaveModel, batch: Batch, side: dict[str, Any]) -> None:
        lengths = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens}
        mask = torch.ones_like(batch.input_ids)
        model.generate(
            side=side,
            videos=batch.videos,
            input_ids=batch.input_ids,
            attention_mask=mask,
            do_sample=False,
            pad_token_id=0,
            **lengths,
        )

    return generate


def _wait(model: PaveModel) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


def _print(name: str, found: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = f"{name}: {found['frames']} frames, {found['sequence']} tokens, {found['new_tokens']} new"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold")
    for heading in ("LoRA", "", "base", "with patch", "ratio"):
        table.add_column(heading, justify="left" if heading in ("LoRA", "") else "right")
    for state, task in product(STATES, ("prefill", "generate")):
        measured = found[task][state]
        seconds = [f"{1000 * measured['median_sec'][variant]:.1f} ms" for variant in ("base", "patch")]
        table.add_row(state, task, *seconds, f"{measured['ratio']['patch']:.3f}")
    console = Console(stderr=True)
    console.print(table)
    console.print(f"The video's encoding, the same for all, took {found['encode_sec']:.2f} s.")


if __name__ == "__main__":
    main()
