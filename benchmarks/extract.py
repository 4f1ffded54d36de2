"""What a feature store gains: extraction against the encoder alone, and training steps from stored video tokens.

    python benchmarks/extract.py                # a base of a quarter of the widths of LLaVA-OneVision 0.5B
    python benchmarks/extract.py --scale 1      # its true widths; for a GPU
    python benchmarks/extract.py --quick        # seconds

The base is proportioned like LLaVA-OneVision 0.5B: all widths are divided by the scale, and the language model has as
many layers as leave the tower 72 % of the forward FLOPs. A step is forward, backward and update of patch and LoRA;
stored tokens are read from disk and checked in each. Every round measures all variants in turn, in rotating order; a
ratio is the median over the rounds. Weights are random, which changes no time. The last line of standard output is the
result as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from rounds import in_turn
from transformers import AutoModelForImageTextToText, PreTrainedModel

from pave import LoraSpec, PatchConfig, PaveModel, SideChannel, encoders
from pave.bases.sizes import configuration_of
from pave.cost import Scene, count_base, meta_model
from pave.data.extract import ExtractConfig, extract
from pave.data.extract_worker import Job
from pave.data.features import PreparedVideo
from pave.data.store import FeatureStore
from pave.data.stored import video_item, video_of
from pave.files import write_whole
from pave.quiet import quieten
from pave.training.facts import versions
from pave.types import VideoTokens

TOWER_SHARE = 0.72
PROMPT_TOKENS = 32
SAMPLE_RATE = 16_000


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table and the result as JSON, and return it."""
    options = _options(arguments)
    quieten()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "benchmark": "extract",
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": options.threads,
            "rounds": options.rounds,
            "versions": versions(),
            "extraction": measure_extraction(Path(folder), options),
            "training": measure_training(Path(folder) / "tokens", options, device),
        }
    _print(result)
    if options.out is not None:
        write_whole(options.out, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return result


def measure_extraction(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the times of an encoder in a plain loop, of an extraction into a new store, and of one that finds all."""
    settings = {"type": "log_mel"}
    data = _write_sounds(folder, options.files, options.seconds)
    encoder = encoders.build(settings)
    paths = sorted(folder.glob("*.wav"))
    stores = iter(folder / f"store-{number}" for number in range(options.rounds + 1))
    job = Job(folder / "cached", {"audio": settings}, threads=options.threads)
    extract(ExtractConfig((data,), job))
    found = in_turn(
        {
            "encoder alone": lambda: [encoder.encode(path) for path in paths],
            "extract": lambda: extract(
                ExtractConfig((data,), Job(next(stores), {"audio": settings}, threads=options.threads))
            ),
            "extract again": lambda: extract(ExtractConfig((data,), job)),
        },
        options.rounds,
    )
    return {"files": options.files, "seconds_of_sound": options.files * options.seconds, **found}


def measure_training(folder: Path, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Return the times of a training step through the tower and of one from stored video tokens."""
    base, share = proportioned_base(options.scale, options.frames, options.vocabulary, options.side)
    model = PaveModel.from_base(base.to(device))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.add_patch("audio", PatchConfig("audio", 64, hidden_dim=64), LoraSpec(r=16, dropout=0.0))
    model.train()
    inputs, times_sec = _pixels(model, options.frames)
    side = {"audio": [SideChannel(torch.randn(8, 1, 64), torch.arange(8) + 0.5)]}
    store = FeatureStore(folder, {torch.float32: "fp32", torch.bfloat16: "bf16"}[base.dtype])
    with torch.no_grad():
        (tokens,) = model.encode_videos(inputs, [times_sec], vision=True)
    key = store.put(video_item((_prepared(times_sec), tokens.to("cpu")), {"video": 0})).key
    store.compact()
    batch = _prompt(model, tokens)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0)

    def step(**media: Any) -> float:
        optimizer.zero_grad()
        loss = model(side=side, video_times_sec=[times_sec], **batch, **media).loss
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def from_store() -> float:
        item = store.get(key)
        assert item is not None
        return step(videos=[video_of(item)[1].to(device)])

    losses = (step(**inputs), from_store())
    if abs(losses[0] - losses[1]) > 2**-7 * abs(losses[0]):
        raise RuntimeError(f"the losses are {losses}; the comparison is void")
    found = in_turn({"through the tower": lambda: step(**inputs), "stored tokens": from_store}, options.rounds)
    steps = {name: 1 / seconds for name, seconds in found["median_sec"].items()}
    parameters = sum(weight.numel() for weight in base.parameters())
    sizes = {
        "tower_share": share,
        "parameters": parameters,
        "frames": options.frames,
        "scale": options.scale,
        "side": options.side,
    }
    return {**sizes, "sequence": batch["input_ids"].shape[1], "steps_a_second": steps, **found}


def proportioned_base(scale: int, frames: int, vocabulary: int, side: int) -> tuple[PreTrainedModel, float]:
    """Return a random base with the proportions of LLaVA-OneVision 0.5B, and its tower's share of the forward FLOPs.

    Args:
        scale: Divisor of all widths.
        frames: Frames of a video.
        vocabulary: Words; the head counts to the language model.
        side: Height and width of a frame in pixels.
    """
    config = configuration_of("llava-onevision-0.5b")
    for part in (config.vision_config, config.text_config):
        part.hidden_size //= scale
        part.intermediate_size //= scale
    config.vision_config.image_size = side
    config.text_config.vocab_size = vocabulary
    config.image_token_index = config.image_token_id = vocabulary - 2
    config.video_token_index = config.video_token_id = vocabulary - 1
    config.text_config.layer_types = None
    counts = {}
    for layers in (1, 2):
        config.text_config.num_hidden_layers = layers
        counts[layers] = _flops(_copy(config), frames)
    tower, a_layer = counts[1][0], counts[2][1] - counts[1][1]
    rest = counts[1][1] - a_layer
    layers = max(1, round((tower * (1 - TOWER_SHARE) / TOWER_SHARE - rest) / a_layer))
    config.text_config.num_hidden_layers = layers
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = AutoModelForImageTextToText.from_config(_copy(config)).eval()
    return base, tower / (tower + rest + layers * a_layer)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time of extraction, and of training steps from stored tokens.")
    parser.add_argument("--scale", type=int, default=4, help="divisor of the base's widths: 1, 2, 4 or 8")
    parser.add_argument("--frames", type=int, default=8, help="frames of the video in a training step")
    parser.add_argument("--side", type=int, default=384, help="height and width of a frame in pixels")
    parser.add_argument("--vocabulary", type=int, default=4096, help="words of the base")
    parser.add_argument("--files", type=int, default=32, help="sound files to extract")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each variant")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="a small base, one small frame, few and short files")
    options = parser.parse_args(arguments)
    if options.quick:
        options.scale, options.frames, options.side, options.rounds = 8, 1, 126, 2
        options.files, options.seconds = 3, 2.0
    return options


def _write_sounds(folder: Path, count: int, seconds: float) -> Path:
    rng = np.random.default_rng(0)
    lines = []
    for number in range(count):
        samples = rng.normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
        soundfile.write(folder / f"{number:05}.wav", samples, SAMPLE_RATE)
        turns = [{"role": "user", "content": "?"}]
        line = {"id": str(number), "video": None, "side": {"audio": f"{number:05}.wav"}, "messages": turns}
        lines.append(json.dumps(line) + "\n")
    data = folder / "samples.jsonl"
    data.write_text("".join(lines))
    return data


def _copy(config: Any) -> Any:
    return type(config).from_dict(config.to_dict())


def _flops(config: Any, frames: int) -> tuple[int, int]:
    """Return the forward FLOPs of the vision tower, and of all else."""
    parts = count_base(meta_model(config), Scene(frames, PROMPT_TOKENS)).parts
    tower = sum(part.flops for part in parts if part.name == "vision tower")
    return tower, sum(part.flops for part in parts) - tower


def _pixels(model: PaveModel, frames: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    size = model.config.vision_config.image_size
    pixels = torch.randn(1, frames, 3, size, size, generator=torch.Generator().manual_seed(0))
    return {model.family.pixels: pixels.to(model.device, model.dtype)}, (torch.arange(frames) + 0.5).double()


def _prepared(times_sec: torch.Tensor) -> PreparedVideo:
    return PreparedVideo({}, times_sec.numpy(), (0,), {})


def _prompt(model: PaveModel, tokens: VideoTokens) -> dict[str, torch.Tensor]:
    steps = tokens.tokens.shape[0]
    room = model.family.token_count(steps, tokens.grid, model.layout)
    words = torch.arange(1, PROMPT_TOKENS + 1)
    ids = torch.cat([words[:4], torch.full((room,), model.family.placeholder_id), words[4:]]).unsqueeze(0)
    labels = torch.full_like(ids, -100)
    labels[:, -4:] = ids[:, -4:]
    mask = torch.ones_like(ids)
    named = {"input_ids": ids, "labels": labels, "attention_mask": mask}
    return {name: value.to(model.device) for name, value in named.items()}


def _print(result: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    training = result["training"]
    titles = {
        "extraction": f"{result['extraction']['files']} sound files",
        "training": f"step on {training['frames']} frames, tower {training['tower_share']:.0%} of forward FLOPs",
    }
    console = Console(stderr=True)
    for part, title in titles.items():
        table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold")
        for heading in ("", "median", "of the first"):
            table.add_column(heading, justify="right" if heading else "left")
        for name, seconds in result[part]["median_sec"].items():
            table.add_row(name, f"{1000 * seconds:.1f} ms", f"{result[part]['ratio'].get(name, 1.0):.3f}")
        console.print(table)


if __name__ == "__main__":
    main()
