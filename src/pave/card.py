"""The model card of a patch: what it is, how to use it, how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pave import encoders
from pave.config import PatchSpec, Preprocessing, to_dict
from pave.files import write_whole

CARD_FILE = "README.md"
CONFIGURATION = "configuration"
"""Where the facts about a training hold its configuration."""
PROBE_TITLE = "## Does it use its channel?"


def write_card(folder: Path, spec: PatchSpec, preprocessing: Preprocessing | None) -> None:
    """Write ``README.md`` into a patch folder."""
    (folder / CARD_FILE).write_text(render_card(spec, preprocessing), encoding="utf-8")


def write_probe_section(folder: Path, text: str) -> None:
    """Put what a probe found into the card of a patch folder, in place of what an earlier one found.

    Args:
        folder: The patch folder.
        text: The section's Markdown, without its heading.
    """
    path = folder / CARD_FILE
    card = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, found, rest = card.partition(f"{PROBE_TITLE}\n")
    after = rest[rest.index("\n## ") + 1 :] if found and "\n## " in rest else ""
    write_whole(path, f"{before.rstrip()}\n\n{PROBE_TITLE}\n\n{text.strip()}\n" + (f"\n{after}" if after else ""))


def render_card(spec: PatchSpec, preprocessing: Preprocessing | None) -> str:
    """Return the card as Markdown, with the front matter that model hubs read."""
    parts = [_front_matter(spec), _claim(spec), _licence(preprocessing), _use(spec), _settings(spec, preprocessing)]
    if spec.training:
        parts.append(_making(spec.training))
    return "\n".join(part for part in parts if part)


def _front_matter(spec: PatchSpec) -> str:
    lines = ["---", "library_name: pave", "tags: [pave, video, peft]"]
    # A folder, such as models/base, may look like an id; only what came from the hub has a revision.
    if spec.base.revision is not None and not Path(spec.base.name).is_absolute():
        lines.append(f"base_model: {spec.base.name}")
    return "\n".join([*lines, "---", ""])


def _claim(spec: PatchSpec) -> str:
    base = f"`{spec.base.name}` ({spec.base.model_type})"
    if spec.patch is None:
        return (
            f"# LoRA without a patch\n\nA LoRA on the language model of {base}. It reads no side channel: a control.\n"
        )
    with_lora = ", with a LoRA on its language model" if spec.lora is not None else ""
    if spec.lora is not None and spec.lora.shared is not None:
        with_lora += f" that it shares with every patch of the LoRA identity `{spec.lora.shared}`"
    appends = spec.patch.type == "append"
    does = "appends its tokens to those of the videos of" if appends else "adds a residual to the video tokens of"
    return (
        f"# A patch for the channel `{spec.patch.channel}`\n\n"
        f"It reads the side channel `{spec.patch.channel}` and {does} {base}{with_lora}. "
        "The base's weights are unchanged; without the channel, so are its answers.\n"
    )


def _licence(preprocessing: Preprocessing | None) -> str:
    """Return what binds the user of the encoder's weights, if anything does."""
    name = (preprocessing.encoder or {}).get("type") if preprocessing is not None else None
    # The encoder of a third party need not be installed where a card is written.
    licence = encoders.registry.get(name).weights_licence if name in encoders.registry else ""
    return f"## Licence of the encoder's weights\n\n{licence}\n" if licence else ""


def _use(spec: PatchSpec) -> str:
    return (
        "## Use\n\n```bash\n"
        'pave ask --patch FOLDER --video clip.mp4 --question "What made the sound?"\n'
        "```\n\n```python\nimport pave\n\n"
        f'model = pave.PaveModel.from_pretrained("FOLDER", base="{spec.base.name}")\n```\n'
    )


def _settings(spec: PatchSpec, preprocessing: Preprocessing | None) -> str:
    text = "## Settings\n\n"
    for title, config in (("Patch", spec.patch), ("LoRA", spec.lora), ("Preprocessing", preprocessing)):
        if config is not None:
            values = {key: value for key, value in to_dict(config).items() if key != "format_version"}
            text += f"### {title}\n\n{_table(values)}\n"
    return text


def _making(training: Mapping[str, Any]) -> str:
    """Return what is known of the training, with its configuration as a file that ``pave train`` reads."""
    text = f"## How it was made\n\n{_table({key: value for key, value in training.items() if key != CONFIGURATION})}"
    if CONFIGURATION in training:
        settings = yaml.safe_dump(training[CONFIGURATION], sort_keys=False, allow_unicode=True)
        text += f"\n```yaml\n{settings}```\n"
    return text


def _table(values: Mapping[str, Any]) -> str:
    rows = [f"| {key} | `{value if isinstance(value, str) else json.dumps(value)}` |" for key, value in values.items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows, ""])
