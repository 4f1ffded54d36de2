"""``pave convert``: the reference's checkpoints, bases and annotations into this project's, and patches back."""

from __future__ import annotations

import dataclasses
import json as jsons
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pave.cli import print_json
from pave.cli.arguments import choose, parse
from pave.config import read_yaml
from pave.quiet import quieten


class Command(NamedTuple):
    """One form of ``pave convert``."""

    summary: str
    run: Callable[..., None]
    positional: list[str]


def main(arguments: list[str]) -> None:
    """Run one form of ``pave convert``."""
    chosen = choose("pave convert", {name: command.summary for name, command in COMMANDS.items()}, arguments)
    if chosen is None:
        return
    name, rest = chosen
    quieten()
    parse(COMMANDS[name].run, f"pave convert {name}", rest, COMMANDS[name].positional)


def reference(
    path: Path,
    base: str,
    out: Path,
    heads: int | None = None,
    positions: str | None = None,
    channel: list[str] | None = None,
    encoder: dict[str, str] | None = None,
    json: bool = False,
) -> None:
    """Convert a checkpoint of the reference to a patch folder, or to one a patch if it holds two.

    Args:
        path: Released folder or zip.
        base: The base in the form of transformers (folder, hub id or known size); only its configuration is read.
        out: New or empty folder.
        heads: Attention heads; by default 4, as in every release.
        positions: none or rotary_3d, which weights do not tell; by default what the checkpoint's name says.
        channel: Name of the side channel, of two patches two; by default what the checkpoint's name says.
        encoder: To read media instead of feature files: the encoder's settings in a YAML file, as channel=file.
        json: Print the result as one JSON object.
    """
    from pave.convert.reference import convert_reference

    with _busy():
        settings = {name: read_yaml(Path(file)) for name, file in (encoder or {}).items()}
        report = convert_reference(path, base, out, heads, positions, channel or (), settings)
    if json:
        print_json(_plain(report))
        return
    for patch in report.patches:
        print(
            f"{patch.folder}: {patch.tensors} tensors in {patch.dtype}, {patch.layers} layers of {patch.heads} heads, "
            f"side width {patch.side_dim}; {patch.unused} tensors that the reference never uses are kept beside\n"
            f"  channel {patch.channel} {patch.channel_source}\n  positions {patch.positions} {patch.positions_source}"
        )
    shared = f", shared as {report.lora_shared}" if report.lora_shared else ""
    print(f"LoRA: {report.lora_tensors} tensors{shared}" if report.lora_tensors else "no LoRA")


def to_reference(
    patch: Path, out: Path, second: Path | None = None, base: str | None = None, json: bool = False
) -> None:
    """Convert a patch folder to a checkpoint that the reference's loader reads.

    Args:
        patch: The patch folder, or the folder of two that pave convert reference wrote.
        out: New or empty folder; the reference wants pave and lora in its name.
        second: The patch that was trained second, with the LoRA that both share.
        base: The base, for settings that the reference repeats; by default the one that the patch records.
        json: Print the result as one JSON object.
    """
    from pave.convert.to_reference import convert_to_reference

    with _busy():
        report = convert_to_reference(patch, out, second, base)
    if json:
        print_json(_plain(report))
        return
    drawn = f", {report.drawn} of them unused ones drawn afresh" if report.drawn else ""
    print(f"{report.out}: {report.tensors} tensors{drawn}; LoRA: {report.lora_tensors} tensors")
    print("The reference does not save sizes; its configuration class must say:")
    for channel, sizes in zip(report.channels, report.sizes, strict=True):
        print(f"  {channel}: {', '.join(f'{name} {value}' for name, value in sizes.items())}")


def base(
    path: str,
    out: Path,
    vision_tower: str | None = None,
    vision_heads: int | None = None,
    image_size: int | None = None,
    cut_vocabulary: bool = False,
    json: bool = False,
) -> None:
    """Convert a LLaVA-OneVision checkpoint in its original layout to a folder of transformers.

    Args:
        path: Folder or hub id of the checkpoint.
        out: New or empty folder.
        vision_tower: Folder or hub id of a SigLIP, if the checkpoint holds no tower; by default the one that it names.
        vision_heads: Attention heads of the tower, if no configuration is to say it.
        image_size: Height and width of its frames in pixels, likewise.
        cut_vocabulary: Keep only the rows that the tokenizer uses, as the reference does under a patch.
        json: Print the result as one JSON object.
    """
    from pave.convert.base import convert_base

    with _busy():
        report = convert_base(path, out, vision_tower, vision_heads, image_size, cut_vocabulary)
    if json:
        print_json(_plain(report))
    else:
        print(
            f"{report.out}: {report.tensors} tensors, vocabulary {report.vocabulary}, "
            f"vision tower from {report.vision_tower}"
        )


def data_set(
    annotations: Path,
    media_mapping: Path,
    out: Path,
    media_root: Path | None = None,
    feature_mapping: Path | None = None,
    feature_root: Path | None = None,
    channel: str = "audio",
    second_channel: str | None = None,
    second_root: Path | None = None,
    second_folder: bool = False,
    ratio: float = 1.0,
    json: bool = False,
) -> None:
    """Turn the reference's annotations and mappings into a data set, and list what is left out and why.

    Args:
        annotations: JSON list, or JSON lines, of entries with video and conversations.
        media_mapping: JSON object from video ids to paths of videos.
        out: The .jsonl file to write; what was left out is listed beside it.
        media_root: Folder of those paths; by default that of the mapping.
        feature_mapping: JSON object from video ids to paths of feature files, or folders of one a camera.
        feature_root: Folder of those paths; by default that of the mapping.
        channel: Side channel that the features become.
        second_channel: Another side channel, whose files have the first one's names in another folder.
        second_root: That folder.
        second_folder: The second channel's are the folders of those names, as the reference has it for cameras.
        ratio: Share of the entries to use, from the first on.
        json: Print the result as one JSON object.
    """
    from pave.convert.annotations import convert_annotations

    with _busy():
        report = convert_annotations(
            annotations,
            media_mapping,
            out,
            media_root,
            feature_mapping,
            feature_root,
            channel,
            second_channel,
            second_root,
            second_folder,
            ratio,
        )
    if json:
        print_json(_plain(report))
        return
    print(f"{report.samples}: {report.written} of {report.read} entries")
    for title, counts in (("dropped", report.dropped), ("changed", report.changed)):
        for reason, count in counts.items():
            print(f"  {title} {count}: {reason}")
    print(f"each by name: {report.report}")


@contextmanager
def _busy() -> Iterator[None]:
    """Show that something is happening; results are printed after it, since it takes over the terminal."""
    from pave.data.progress import progress_bar

    with progress_bar() as bar:
        bar.add_task("converting", total=None, note="")
        yield


def _plain(report: Any) -> dict[str, Any]:
    """Return a report's fields as JSON types."""
    plain: dict[str, Any] = jsons.loads(jsons.dumps(dataclasses.asdict(report), default=str))
    return plain


COMMANDS = {
    "reference": Command("a checkpoint of the reference to patch folders", reference, ["path"]),
    "to-reference": Command("a patch folder to a checkpoint of the reference", to_reference, ["patch"]),
    "base": Command("an original LLaVA-OneVision checkpoint to a base", base, ["path"]),
    "annotations": Command("the reference's annotations to a data set", data_set, ["annotations", "media_mapping"]),
}
