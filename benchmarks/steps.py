"""What a step of training takes: the methods of the study's main table, in turn in one run.

    python benchmarks/steps.py --out studies/results/steps.json
    python benchmarks/steps.py --quick --tracks blink  # seconds

Every method takes its step on the same samples, forward, backward and optimiser, in as many passes as its plan has.
Films and what encoders make of them are read beforehand. The order turns from round to round, so that whatever else
the machine does hits all alike; a ratio to LoRA alone is the median over the rounds. The last line of standard output
is the result as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rounds import in_turn

from pave.blindspot.generate import MakeConfig, make
from pave.blindspot.study.plan import read_plan
from pave.files import write_whole
from pave.quiet import quieten
from pave.training.build import build_run
from pave.training.config import Source, TrainConfig
from pave.training.facts import versions

PLAN = Path(__file__).parents[1] / "studies" / "main.yaml"
FIRST = "lora"
"""The method that the others are compared with."""

SEED = "0"
QUESTIONS_PER_CLIP = 8


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table and the result as JSON, and return it."""
    methods = _methods(read_plan(PLAN).runs)
    options = _options(methods, arguments)
    quieten()
    torch.set_num_threads(options.threads)
    result = {
        "benchmark": "steps",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": options.threads,
        "versions": versions(),
        "samples": options.samples,
        "rounds": options.rounds,
        "tracks": {track: measure(track, methods[track], options.samples, options.rounds) for track in options.tracks},
    }
    for track, found in result["tracks"].items():
        _print(track, found)
    if options.out is not None:
        write_whole(options.out, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return result


def measure(track: str, methods: Mapping[str, TrainConfig], samples: int, rounds: int) -> dict[str, Any]:
    """Return times and ratios of a step of each method on one track."""
    with tempfile.TemporaryDirectory(prefix="pave-steps-") as name:
        folder = Path(name)
        films = folder / "films"
        make(MakeConfig(track, samples, int(SEED), films, questions_per_clip=QUESTIONS_PER_CLIP))
        steps = {method: _step(config, films, folder / method, samples) for method, config in methods.items()}
        return in_turn(steps, rounds)


def _methods(runs: Sequence[Any]) -> dict[str, dict[str, TrainConfig]]:
    """Return the trainings of one seed by track and method, the one that others are compared with first."""
    found: dict[str, dict[str, TrainConfig]] = {}
    for run in runs:
        if run.train is not None and run.labels["seed"] == SEED:
            found.setdefault(run.labels["track"], {})[run.labels["method"]] = run.train
    return {track: {FIRST: methods[FIRST], **methods} for track, methods in found.items()}


def _step(config: TrainConfig, films: Path, folder: Path, samples: int) -> Callable[[], None]:
    """Return what takes one step of a training on all samples of a set."""
    passes = config.gradient_accumulation
    alone = replace(
        config, data=(Source(films),), out=folder, batch_size=samples // passes, steps=1, store=None, save_every=1
    )
    trainer = build_run(alone, folder).trainer
    features = [trainer.train_dataset[index] for index in range(samples)]
    size = alone.batch_size
    batches = [trainer.data_collator(features[start : start + size]) for start in range(0, samples, size)]
    model = trainer.model.train(True)
    optimiser = trainer.create_optimizer()
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]

    def step() -> None:
        for batch in batches:
            loss = trainer.compute_loss(model, dict(batch)) / len(batches)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()

    return step


def _options(methods: Mapping[str, Mapping[str, TrainConfig]], arguments: Sequence[str] | None) -> argparse.Namespace:
    tracks = list(methods)
    passes = math.lcm(*(config.gradient_accumulation for found in methods.values() for config in found.values()))
    parser = argparse.ArgumentParser(description="Time of a training step of each method of the study's main table.")
    parser.add_argument("--tracks", nargs="+", choices=tracks, default=tracks, help="tracks to measure")
    parser.add_argument("--samples", type=int, default=64, help="samples of a step")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each method")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="two rounds of eight samples: to see that it runs")
    options = parser.parse_args(arguments)
    if options.quick:
        options.samples, options.rounds = 8, 2
    if options.samples < 1 or options.samples % passes:
        parser.error(
            f"--samples is {options.samples}; methods of the plan take it in passes, so give a multiple of {passes}"
        )
    return options


def _print(track: str, found: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=track, box=box.SIMPLE_HEAD, title_style="bold")
    for heading in ("", "a step", f"of {FIRST}"):
        table.add_column(heading, justify="right" if heading else "left")
    for method, seconds in found["median_sec"].items():
        table.add_row(method, f"{1000 * seconds:.0f} ms", f"{found['ratio'].get(method, 1.0):.2f}")
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
