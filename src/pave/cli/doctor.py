"""``pave doctor``: what this installation has, what it lacks, and what to do about it."""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from pave.cli import print_json
from pave.cli.arguments import parse
from pave.quiet import quieten

PYTHON = (3, 11)
PACKAGES = ("torch", "torchvision", "transformers", "peft", "accelerate", "av", "soundfile", "safetensors")
CODECS = (("h264", "r"), ("aac", "r"), ("libx264", "w"), ("aac", "w"))
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What.
        ok: Whether it will do.
        found: What was found.
        advice: What to do if it will not.
        needed: Whether the library cannot do its work without it.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    needed: bool = True


def main(arguments: list[str]) -> None:
    """Run ``pave doctor``; exits with 1 if something needed is missing."""
    checks = parse(run, "pave doctor", arguments)
    if any(check.needed and not check.ok for check in checks):
        sys.exit(1)


def run(json: bool = False) -> list[Check]:
    """Check this installation: versions, codecs, devices, and that the shipped base and patches answer.

    Args:
        json: Print one JSON object for scripts.
    """
    quieten()
    checks = []
    for group in (check_python, check_packages, check_seam, check_codecs, check_devices, check_shipped):
        checks += _guarded(group)
    if json:
        problem = any(check.needed and not check.ok for check in checks)
        print_json({"ok": not problem, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        _print(checks)
    return checks


def check_python() -> Iterator[Check]:
    """Python's version."""
    wanted = ".".join(map(str, PYTHON))
    yield Check("python", sys.version_info >= PYTHON, platform.python_version(), f"install Python {wanted} or newer")


def check_packages() -> Iterator[Check]:
    """Versions of the packages that everything stands on, against what this library asks for."""
    from packaging.requirements import Requirement

    wanted = {need.name: need.specifier for need in map(Requirement, requires("pave") or []) if need.marker is None}
    for name in PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Check(name, False, "missing", f"pip install '{name}{wanted[name]}'")
            continue
        ok = wanted[name].contains(found, prereleases=True)
        yield Check(name, ok, found, f"pip install '{name}{wanted[name]}'")


def check_seam() -> Iterator[Check]:
    """Whether transformers takes encoded videos, which patches need."""
    from transformers import LlavaOnevisionForConditionalGeneration

    from pave.bases.family import MINIMUM_TRANSFORMERS
    from pave.bases.family import check_seam as check
    from pave.errors import InputError

    advice = f"pip install 'transformers>={MINIMUM_TRANSFORMERS}'"
    try:
        check(LlavaOnevisionForConditionalGeneration)
    except InputError:
        yield Check("encoded videos", False, "forward takes no mm_encoder_outputs", advice)
    else:
        yield Check("encoded videos", True, "taken by transformers")


def check_codecs() -> Iterator[Check]:
    """Whether PyAV reads mp4 files with sound, and writes them, which the embedded world needs."""
    import av

    for name, mode in CODECS:
        task = "read" if mode == "r" else "write"
        try:
            found = av.Codec(name, mode).long_name
        except ValueError:
            advice = "pip install --force-reinstall av, whose wheels bring their own codecs"
            yield Check(f"{task} {name}", False, "missing", advice, needed=mode == "r")
        else:
            yield Check(f"{task} {name}", True, found)


def check_devices() -> Iterator[Check]:
    """Where models can run, and in which float types."""
    import torch

    names = {"cpu": platform.processor() or platform.machine()}
    names |= {f"cuda:{index}": torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        names["mps"] = "Apple"
    for device, name in names.items():
        types = [dtype for dtype in DTYPES if _multiplies(device, getattr(torch, dtype))]
        ok = "float32" in types
        found = f"{name}: {', '.join(types) or 'no float type works'}"
        yield Check(device, ok, found, "reinstall torch for this device: https://pytorch.org", needed=device == "cpu")


def check_shipped() -> Iterator[Check]:
    """Whether the base and the patches that come with the package load and answer."""
    from pave.model import PaveModel
    from pave.shipped import shipped_bases, shipped_patches

    advice = "pip install --force-reinstall pave"
    for name in shipped_bases():
        load: Callable[[], Any] = lambda name=name: PaveModel.from_base(name)  # noqa: E731
        yield _answers(f"base {name}", load, advice)
    for name in shipped_patches():
        load = lambda name=name: PaveModel.from_pretrained(name)  # noqa: E731
        yield _answers(f"patch {name}", load, advice)


def _multiplies(device: str, dtype: Any) -> bool:
    import torch

    ones = torch.ones(4, 4)
    try:
        return bool((ones.to(device, dtype) @ ones.to(device, dtype)).float().cpu().eq(4).all())
    except RuntimeError:
        return False


def _answers(name: str, load: Callable[[], Any], advice: str) -> Check:
    """Ask about a grey video, with a silent side channel for every patch."""
    import numpy as np
    import torch

    from pave.data.processor import PaveProcessor
    from pave.media.video import Frames, uniform_times_sec
    from pave.types import SideChannel

    try:
        model = load()
        count = next((preprocessing.frames for preprocessing in model.preprocessing.values()), 8)
        times_sec = uniform_times_sec(8.0, count)
        frames = Frames(np.full((count, 64, 64, 3), 128, np.uint8), times_sec)
        widths = {spec.patch.channel: spec.patch.side_dim for spec in model.specs.values() if spec.patch}
        times = torch.from_numpy(times_sec)
        side = {channel: SideChannel(torch.zeros(count, 1, width), times) for channel, width in widths.items()}
        processor = PaveProcessor.from_model(model, count)
        inputs = processor("what is there?", frames, side)
        ids = model.generate(**inputs, max_new_tokens=4, do_sample=False)
        words = processor.decode(ids, inputs["input_ids"].shape[1])[0]
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {str(error).splitlines()[0]}", advice)
    return Check(name, True, f"loads and answers ({words!r} to a grey video)")


def _guarded(group: Callable[[], Iterator[Check]]) -> list[Check]:
    """Run a group of checks; if it breaks, that is its finding, and the other groups still run."""
    checks = []
    try:
        for check in group():
            checks.append(check)
    except Exception as error:
        name = group.__name__.removeprefix("check_").replace("_", " ")
        advice = "reinstall the package that the message names"
        checks.append(Check(name, False, f"{type(error).__name__}: {error}", advice))
    return checks


def _print(checks: list[Check]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "", "found", "what to do"):
        table.add_column(heading)
    for check in checks:
        verdict = "[green]ok[/]" if check.ok else "[red]problem[/]" if check.needed else "[yellow]missing[/]"
        table.add_row(verdict, check.name, escape(check.found), "" if check.ok else escape(check.advice))
    Console().print(table)
