"""Checkpoints of the reference, as it releases them, into patch folders."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pave.bases.sizes import configuration_of, hub_id_of
from pave.checkpoint import Content, fill_folder
from pave.config import LoraSpec, PatchSpec, Preprocessing
from pave.convert.checkpoint_files import LORA_RUN_FILE, PATCH_FILES, CheckpointFiles, open_checkpoint
from pave.convert.clues import HEADS, RECORDED, Decision, decide_channels, decide_heads, decide_positions
from pave.convert.lora import read_lora
from pave.convert.media import with_encoders
from pave.convert.record import identity, keep, read_record
from pave.convert.state import PatchState, Positions, read_state
from pave.cost import meta_model
from pave.errors import InputError
from pave.files import check_vacant, whole_folder
from pave.model import PaveModel
from pave.patches import build
from pave.patches.patch import Patch

CONFIG_FILE, TRAINER_FILE = "config.json", "trainer_state.json"

TYPES = ("pmv5", "ssmv5")
"""The reference's names of its patch, today's and the former."""

FRAMES = 32
"""Frames that the reference samples of every video."""

_SETTINGS = {
    "temporal_aggregator_type": TYPES,
    "temporal_aggregator2_type": TYPES,
    "feat_combine_method": ("add",),
    "mm_newline_position": ("grid",),
    "train_addition_start_end_tokens": (False,),
}
"""Settings in the reference's ``config.json``, and the values that can be converted."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """What the user says of a checkpoint."""

    heads: int | None
    positions: str | None
    channels: tuple[str, ...]


@dataclass(frozen=True)
class ConvertedPatch:
    """One patch that was converted.

    Args:
        folder: The patch folder.
        channel: Its side channel.
        channel_source: How that was decided.
        side_dim: Side width D.
        layers: Layers of attention and feed-forward.
        heads: Attention heads.
        positions: ``none`` or ``rotary_3d``.
        positions_source: How that was decided.
        dtype: Float type of the weights.
        tensors: Number of weights that are used.
        unused: Number of those that never are.
    """

    folder: Path
    channel: str
    channel_source: str
    side_dim: int
    layers: int
    heads: int
    positions: str
    positions_source: str
    dtype: str
    tensors: int
    unused: int


@dataclass(frozen=True)
class ReferenceReport:
    """What a conversion wrote.

    Args:
        out: The folder; with two patches it holds one folder for each.
        patches: The patches.
        lora_tensors: Number of the LoRA's tensors; 0 if there is none.
        lora_shared: Identity of the LoRA that two patches share.
    """

    out: Path
    patches: tuple[ConvertedPatch, ...]
    lora_tensors: int
    lora_shared: str | None


def patch_from_state(state: Mapping[str, Tensor], heads: int = HEADS, positions: Positions = "none") -> Patch:
    """Return the patch of a reference state dictionary, in float32 as the reference runs it whatever it was saved in.

    Args:
        state: Tensors under the reference's names, with any of its prefixes or none.
        heads: Attention heads, which the weights do not tell.
        positions: ``none`` or ``rotary_3d``, which they do not tell either.

    Raises:
        InputError: If a tensor is missing, unexpected, of another shape or float type than the rest, or not finite; or
            if there are two patches.
    """
    states = read_state(state, "state")
    if len(states) > 1:
        raise InputError("state: holds two patches; give the tensors of one")
    config = states[0].config("side", heads, decide_positions(positions, "").value)
    patch: Patch = build(config).to(torch.promote_types(states[0].dtype, torch.float32))
    patch.load_state_dict(states[0].weights)
    return patch


def convert_reference(
    path: Path,
    base: str | Path,
    out: Path,
    heads: int | None = None,
    positions: str | None = None,
    channels: Sequence[str] = (),
    encoders: Mapping[str, dict[str, Any]] | None = None,
) -> ReferenceReport:
    """Convert a checkpoint of the reference to a patch folder, or to one a patch if it holds two.

    Args:
        path: The released folder or zip.
        base: The base in the form of ``transformers``: folder, shipped name, hub id or known size; only its
            configuration is read.
        out: New or empty folder.
        heads: Attention heads; by default as recorded, else 4.
        positions: ``none`` or ``rotary_3d``; by default as recorded, else by the checkpoint's name.
        channels: Name of each patch's side channel; by default as recorded, else by the checkpoint's name.
        encoders: Channel to the settings of what shall encode its media; by default feature files are read.

    Raises:
        InputError: If anything in the checkpoint is not as the reference writes it, or does not fit the base. Nothing
            is written then.
    """
    path, out = Path(path), Path(out)
    check_vacant(out)
    with open_checkpoint(path) as files:
        model = _base(str(base))
        config = _read_config(files)
        name = next(name for name in PATCH_FILES if files.has(name))
        if all(map(files.has, PATCH_FILES)):
            raise InputError(f"{files.where('')}: holds both {' and '.join(PATCH_FILES)}; remove one")
        states = read_state(files.read_tensors(name), files.where(name))
        _check_widths(states, model, files.where(name))
        lora = read_lora(files, model) if name == LORA_RUN_FILE else (None, {})
        contents = _contents(files, model, config, states, lora, Told(heads, positions, tuple(channels)))
        contents = with_encoders(contents, encoders or {})
    with whole_folder(out) as fresh:
        for content, state in zip(contents, states, strict=True):
            assert content.spec.patch is not None
            folder = fresh if len(contents) == 1 else fresh / content.spec.patch.channel
            folder.mkdir(exist_ok=True)
            fill_folder(folder, content)
            keep(folder, config, state.unused)
    return _report(out, contents, states)


def _base(base: str) -> PaveModel:
    raw = Path(base) / CONFIG_FILE
    if raw.is_file() and '"mm_projector_type"' in raw.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{base}: is in the original layout; make a base of it with pave convert base, and give that")
    config = configuration_of(base)
    model = meta_model(config, hub_id_of(base))
    model.record = replace(model.record, revision=getattr(config, "_commit_hash", None))
    return model


def _check_widths(states: Sequence[PatchState], model: PaveModel, where: str) -> None:
    wanted = {
        "query": ("query_input_mapping.weight", model.family.query_dim("vision")),
        "token": ("output_mapping.2.weight", model.family.token_dim),
    }
    for state in states:
        for size, (name, width) in wanted.items():
            if state.sizes[size] != width:
                raise InputError(
                    f"{where}: tensor {name!r} is for {size} width {state.sizes[size]}, but base "
                    f"{model.record.name!r} has {width}"
                )


def _read_config(files: CheckpointFiles) -> dict[str, Any]:
    """Return ``config.json``, whose settings must be those of every release.

    Raises:
        InputError: If one is not, or the file is damaged.
    """
    if not files.has(CONFIG_FILE):
        logger.warning("%s: no such file; its settings are taken as in every release", files.where(CONFIG_FILE))
        return {}
    config = files.read_json(CONFIG_FILE)
    for key, values in _SETTINGS.items():
        if config.get(key, values[0]) not in values:
            known = ", ".join(map(repr, values))
            raise InputError(f"{files.where(CONFIG_FILE)}: {key} is {config[key]!r}; only {known} can be converted")
    return config


def _contents(
    files: CheckpointFiles,
    model: PaveModel,
    config: Mapping[str, Any],
    states: Sequence[PatchState],
    lora: tuple[LoraSpec | None, dict[str, Tensor]],
    told: Told,
) -> list[Content]:
    """Return what the patch folders will hold."""
    lora_spec, lora_state = lora
    if lora_spec is not None and len(states) > 1:
        lora_spec = replace(lora_spec, shared=identity(lora_state)[:16])
    records = read_record(files, [state.weights for state in states], lora_state)
    channels = decide_channels(told.channels, files.clue, [state.sizes["side"] for state in states])
    if records and not told.channels:
        channels = [Decision(record.patch.channel, RECORDED, sure=True) for record in records]
    contents = []
    for index, state in enumerate(states):
        record = records[index] if records else None
        heads = decide_heads(told.heads, record.patch.heads if record else None)
        positions = decide_positions(told.positions, files.clue, record.patch.positions if record else None)
        patch = state.config(channels[index].value, heads.value, positions.value)
        facts = _facts(files, config, index, channels, positions, heads)
        spec = PatchSpec(model.record, model.family.fit(patch, model.record.name), lora_spec, facts)
        content = Content(spec, state.weights, lora_state, _preprocessing(state))
        contents.append(record.restore(content) if record else content)
    for channel in channels:
        channel.say("side channel", "--channel", files.path)
    positions.say("positions", "--positions", files.path)
    return contents


def _preprocessing(state: PatchState) -> Preprocessing:
    """Return how the reference makes inputs: features from files of any of its forms, which are aligned by index."""
    encoder = {"recipe": "reference", "times": "index", "type": "precomputed", "width": state.sizes["side"]}
    return Preprocessing(FRAMES, encoder, "reference")


def _facts(
    files: CheckpointFiles,
    config: Mapping[str, Any],
    index: int,
    channels: Sequence[Decision[str]],
    positions: Decision[Positions],
    heads: Decision[int],
) -> dict[str, Any]:
    """Return what the patch's card says of where it came from."""
    key = ("temporal_aggregator_type", "temporal_aggregator2_type")[index]
    facts: dict[str, Any] = {
        "converted_from": files.clue,
        "reference_type": config.get(key, "not recorded"),
        "channel_source": channels[index].source,
        "positions_source": positions.source,
        "heads_source": heads.source,
    }
    if len(channels) > 1:
        first, second = (channel.value for channel in channels)
        states = (
            f"frozen, while {second!r} and the shared LoRA were trained",
            f"trained, with the shared LoRA; {first!r} was frozen",
        )
        facts |= {"joint_place": index + 1, "joint_training": states[index]}
    if files.has(TRAINER_FILE):
        state = files.read_json(TRAINER_FILE)
        facts |= {"steps": state.get("global_step"), "epochs": state.get("epoch")}
    # Files hold them sorted: after a way there and back the card is the same.
    return dict(sorted(facts.items()))


def _report(out: Path, contents: Sequence[Content], states: Sequence[PatchState]) -> ReferenceReport:
    patches = []
    for content, state in zip(contents, states, strict=True):
        patch, facts = content.spec.patch, content.spec.training
        assert patch is not None
        converted = ConvertedPatch(
            folder=out if len(contents) == 1 else out / patch.channel,
            channel=patch.channel,
            channel_source=facts.get("channel_source", RECORDED),
            side_dim=patch.side_dim,
            layers=patch.layers,
            heads=patch.heads,
            positions=patch.positions,
            positions_source=facts.get("positions_source", RECORDED),
            dtype=str(state.dtype).removeprefix("torch."),
            tensors=len(state.weights),
            unused=len(state.unused),
        )
        patches.append(converted)
    lora = contents[0].spec.lora
    return ReferenceReport(out, tuple(patches), len(contents[0].lora), lora.shared if lora else None)
