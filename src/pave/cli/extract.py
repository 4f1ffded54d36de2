"""``pave extract``: encoders, and the base's own video path, over whole data sets, once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pave.cli import console, print_json
from pave.cli.arguments import parse
from pave.config import BaseRecord, PatchConfig, Preprocessing, from_dict, read_json, read_yaml
from pave.errors import InputError
from pave.quiet import quieten

if TYPE_CHECKING:
    from pave.data.extract import ExtractResult
    from pave.data.extract_worker import Job

REASONS_SHOWN = 20


@dataclass(frozen=True)
class Asker:
    """What a patch, training file or settings file asks for.

    Args:
        preprocessing: Frames and encoder.
        channel: Channel of the encoder.
        base: Name and revision of the base.
        precision: Float type of the base.
        layout: Layout of video tokens; ``None`` for the base's own.
    """

    preprocessing: Preprocessing
    channel: str | None
    base: tuple[str, str | None] | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    layout: str | None = None


def main(arguments: list[str]) -> None:
    """Run ``pave extract``."""
    parse(run, "pave extract", arguments)


def run(
    store: Path,
    data: list[Path] | None = None,
    patch: list[str] | None = None,
    training: Path | None = None,
    preprocessing: Path | None = None,
    channel: str | None = None,
    video_tokens: bool = False,
    base: str | None = None,
    precision: Literal["fp32", "bf16", "fp16"] | None = None,
    dtype: Literal["fp32", "bf16", "fp16"] | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int = 1,
    threads: int = 0,
    gpus: float = 0.0,
    max_gb: float | None = None,
    verify: bool = False,
    prune: bool = False,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Fill a feature store with what patches, or a training run, read of data sets.

    Args:
        store: Folder of the store; it is made if it is not there.
        data: Data sets: .jsonl files, or folders that hold samples.jsonl; by default those of the training file.
        patch: Shipped names, folders or hub ids of patches whose encoders are run.
        training: YAML file of pave train, in place of patches.
        preprocessing: JSON or YAML file with frames and encoder, in place of patches.
        channel: Channel of that encoder.
        video_tokens: Store the base's own video tokens, too, from before the projector and after it.
        base: Shipped name, folder or hub id, in place of the base that patch or training file names.
        precision: Float type of the base; by default that of the training file, else fp32.
        dtype: Float type of a new store, by default bf16.
        engine: Processes of this machine, or of a Ray cluster that sees the same files.
        workers: Processes that work at once.
        threads: Threads of each; by default an equal share of this machine's.
        gpus: GPUs that Ray gives to each worker.
        max_gb: Size of the store above which nothing is added, in units of 10^9 bytes.
        verify: Check every item of the store first; what is damaged is dropped, and made again if it is asked for.
        prune: Afterwards drop all that this call did not ask for.
        strict: Fail if any file was skipped.
        json: Print the result as one JSON object.
    """
    askers = _of_patches(patch or [])
    if training is not None:
        trained, sources = _of_training(training)
        askers += trained
        data = data or sources
    if preprocessing is not None:
        askers.append(_of_settings(preprocessing, channel))
    elif channel is not None:
        raise InputError("extract: channel belongs to preprocessing; name that file, or leave channel out")
    if not askers:
        raise InputError("extract: nothing says which encoders to run; give patch, training or preprocessing")
    from pave.data.extract import ExtractConfig, extract

    quieten()
    job = replace(_job(store, askers, base, precision, video_tokens), max_gb=max_gb, threads=threads)
    result = extract(ExtractConfig(tuple(data or ()), job, dtype, workers, engine, gpus, verify, prune))
    if json:
        print_json(result.to_dict())
    else:
        print_result(result, store)
    if strict and result.skipped:
        first = result.skipped[0]
        raise InputError(
            f"{len(result.skipped)} files were skipped, first {first.task.path}: {first.why}; "
            "mend them, or leave strict out"
        )


def print_result(result: ExtractResult, store: Path) -> None:
    """Print how many files of each channel were done, were there already, lack the signal, were skipped, and why."""
    from rich import box
    from rich.table import Table

    table = Table(title=f"{store}: {result.gigabytes:.3g} GB", box=box.SIMPLE_HEAD, title_style="bold")
    names = ("done", "cached", "absent", "skipped")
    for heading in ("", *names):
        table.add_column(heading, justify="right" if heading else "left")
    for channel, counts in result.counts.items():
        table.add_row(channel, *(str(counts[name]) for name in names))
    out = console()
    out.print(table)
    for name, count in (
        ("failed their checksum", result.dropped),
        ("dropped, as nobody asks for them", result.pruned),
    ):
        if count:
            out.print(f"items {name}: {count}")
    reasons = Counter(outcome.why for outcome in result.skipped)
    for why, count in reasons.most_common(REASONS_SHOWN):
        first = next(outcome.task.path for outcome in result.skipped if outcome.why == why)
        out.print(f"skipped {count}, first {first}: {why}", soft_wrap=True)
    if len(reasons) > REASONS_SHOWN:
        out.print(f"and {len(reasons) - REASONS_SHOWN} more reasons; --json lists every file")


def _of_patches(names: list[str]) -> list[Asker]:
    from pave.checkpoint import locate_patch, read_preprocessing, read_spec

    askers = []
    for name in names:
        folder = locate_patch(name)
        spec, preprocessing = read_spec(folder), read_preprocessing(folder)
        if preprocessing is None:
            raise InputError(f"{folder}: was saved without preprocessing; nothing says what encodes its channel")
        askers.append(_asker(preprocessing, spec.patch, spec.base, "fp32"))
    return askers


def _of_training(path: Path) -> tuple[list[Asker], list[Path]]:
    from pave.cli.train import make_source
    from pave.training.build import with_start
    from pave.training.config import TrainConfig

    config = with_start(from_dict(TrainConfig, read_yaml(path), str(path)))
    for source in config.data:
        if source.make is not None:
            make_source(source)
    base = BaseRecord(config.base, "", 0, 0, config.revision)
    askers = [_asker(preprocessing, patch, base, config.precision) for patch, preprocessing in config.parts.values()]
    return askers, [source.path for source in config.data]


def _of_settings(path: Path, channel: str | None) -> Asker:
    settings = read_json(path) if path.suffix == ".json" else read_yaml(path)
    preprocessing = from_dict(Preprocessing, settings, str(path))
    if preprocessing.encoder is not None and channel is None:
        raise InputError(f"{path}: tells an encoder but not its channel; add channel, such as --channel audio")
    return Asker(preprocessing, channel)


def _asker(
    preprocessing: Preprocessing,
    patch: PatchConfig | None,
    base: BaseRecord,
    precision: Literal["fp32", "bf16", "fp16"],
) -> Asker:
    channel, layout = (None, None) if patch is None else (patch.channel, patch.layout)
    return Asker(preprocessing, channel, (base.name, base.revision), precision, layout)


def _job(
    store: Path,
    askers: list[Asker],
    base: str | None,
    precision: Literal["fp32", "bf16", "fp16"] | None,
    video_tokens: bool,
) -> Job:
    """Return one job for all that ask.

    Raises:
        InputError: If they ask for things that cannot be had together.
    """
    from pave.data.extract_worker import Job

    encoders: dict[str, dict[str, Any]] = {}
    for asker in askers:
        settings = asker.preprocessing.encoder
        if asker.channel is None or settings is None:
            continue
        if encoders.setdefault(asker.channel, settings) != settings:
            raise InputError(f"two patches read channel {asker.channel!r} through different encoders; extract each")
    common = {
        "base": {(base, None) if base is not None else asker.base for asker in askers},
        "precision": {precision or asker.precision for asker in askers},
        "preprocessing.frames": {asker.preprocessing.frames for asker in askers},
        "preprocessing.preset": {asker.preprocessing.preset for asker in askers},
        "layout": {asker.layout for asker in askers},
    }
    for name, values in common.items():
        if len(values) > 1:
            raise InputError(
                f"the patches differ in {name} ({', '.join(map(str, values))}); extract for each by itself"
            )
    (found,), (chosen,), (frames,), (preset,), (layout,) = common.values()
    name, revision = found or (None, None)
    return Job(store, encoders, name, revision, chosen, frames if video_tokens else None, preset, layout)
