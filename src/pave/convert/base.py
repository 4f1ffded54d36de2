"""A LLaVA-OneVision checkpoint in its original layout, as the reference loads it, to a transformers folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

from pave.convert.base_config import make_config, make_generation, make_processor, read_original, read_tokenizer
from pave.convert.base_tower import INSIDE, find_tower
from pave.encoders.weights import INDEX_FILES, WEIGHT_FILES, Stored, open_checkpoint, read_tensors
from pave.errors import InputError, nearest
from pave.files import check_vacant, whole_folder
from pave.shipped import locate

TOWER = "model.vision_tower."
PREFIXES = {
    "model.mm_projector.0.": "model.multi_modal_projector.linear_1.",
    "model.mm_projector.2.": "model.multi_modal_projector.linear_2.",
    "model.image_newline": "model.image_newline",
    "lm_head.": "lm_head.",
    "model.": "model.language_model.",
}
"""Beginnings of names in the original layout, and in transformers'; the first that fits is taken."""

COMPUTED = ".rotary_emb.inv_freq"
"""End of the names of what older versions of transformers saved, though it follows from the configuration."""

EMBEDDINGS = "model.language_model.embed_tokens.weight"
OUTPUT = "lm_head.weight"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaseReport:
    """What a conversion made.

    Args:
        out: The transformers folder.
        tensors: Tensors written.
        files: Files that hold them.
        vocabulary: Rows of the vocabulary.
        vocabulary_before: Rows that the checkpoint has.
        vision_tower: Where the tower's weights are from: ``checkpoint``, or a folder or id.
        vision_heads: Attention heads of the tower.
        vision_heads_origin: What says so: ``told``, ``configuration``, ``released tower`` or ``guess``.
    """

    out: Path
    tensors: int
    files: int
    vocabulary: int
    vocabulary_before: int
    vision_tower: str
    vision_heads: int
    vision_heads_origin: str


def convert_base(
    path: str | Path,
    out: Path,
    vision_tower: str | Path | None = None,
    vision_heads: int | None = None,
    image_size: int | None = None,
    cut_vocabulary: bool = False,
) -> BaseReport:
    """Convert a checkpoint; memory holds one of its files at a time.

    Args:
        path: Folder or hub id of the checkpoint, in one safetensors file or several.
        out: New or empty folder.
        vision_tower: Folder or hub id of a SigLIP, if the checkpoint holds no tower; by default the one that it names.
            Of a checkpoint with a tower, only the heads and frame size of this one are used.
        vision_heads: Attention heads of the tower, if no configuration is to say it.
        image_size: Height and width of its frames in pixels, likewise.
        cut_vocabulary: Keep only the rows that the tokenizer uses (the reference does so under a patch). By default
            all stay, and those without a token are never generated.

    Raises:
        InputError: If the checkpoint is of another kind, incomplete or damaged; nothing is written then.
    """
    out = Path(out)
    check_vacant(out)
    folder = locate(path, {}, "checkpoint")
    original = read_original(folder / "config.json")
    tokenizer, words = read_tokenizer(folder)
    stored = open_checkpoint(str(folder), None, part=str).tensors
    inside = {name.removeprefix(INSIDE): tensor for name, tensor in stored.items() if name.startswith(INSIDE)}
    tower = find_tower(inside, original.get("mm_vision_tower"), vision_tower, vision_heads, image_size)
    config = make_config(original, folder / "config.json", tower.config, tokenizer)
    kept = {name for name in stored if not name.startswith(INSIDE) and not name.endswith(COMPUTED)}
    rest = {_new_name(name): tensor for name, tensor in stored.items() if name in kept}
    if config.tie_word_embeddings and rest.pop(OUTPUT, None) is not None:
        logger.info("%s: %s is tied to the embeddings; the one that is stored is not used", folder, OUTPUT)
    tensors = rest | {TOWER + name: tensor for name, tensor in tower.tensors.items()}
    _check_tensors(tensors, config, folder, tower.prefix)
    before = config.text_config.vocab_size
    config.text_config.vocab_size = len(tokenizer) if cut_vocabulary else max(before, len(tokenizer))
    generation = make_generation(folder, original, tokenizer, words, config.text_config.vocab_size)
    with whole_folder(out) as fresh:
        files, config.dtype = _write_tensors(fresh, tensors, config.text_config.vocab_size)
        config.save_pretrained(fresh)
        generation.save_pretrained(fresh)
        make_processor(config, tokenizer).save_pretrained(fresh)
    return BaseReport(
        out=out,
        tensors=len(tensors),
        files=files,
        vocabulary=config.text_config.vocab_size,
        vocabulary_before=before,
        vision_tower=tower.origin,
        vision_heads=tower.config.num_attention_heads,
        vision_heads_origin=tower.heads_origin,
    )


def _new_name(name: str) -> str:
    """Return transformers' name of a tensor; one that fits nothing keeps its own, and is told of as unexpected."""
    for old, new in PREFIXES.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _old_name(name: str, tower_prefix: str) -> str:
    for new, old in {TOWER: tower_prefix, **{new: old for old, new in PREFIXES.items()}}.items():
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def _check_tensors(found: Mapping[str, Stored], config: LlavaOnevisionConfig, folder: Path, tower_prefix: str) -> None:
    """Compare names and shapes with those of the model that the configuration describes."""
    with torch.device("meta"):
        wanted = LlavaOnevisionForConditionalGeneration(config).state_dict()
    if config.tie_word_embeddings:
        del wanted[OUTPUT]
    for name in wanted:
        if name not in found:
            raise InputError(f"{folder}: tensor {_old_name(name, tower_prefix)!r} is missing")
    old_names = [_old_name(name, tower_prefix) for name in wanted]
    for name, tensor in found.items():
        if name not in wanted:
            raise InputError(f"{tensor.file}: unexpected tensor {tensor.name!r}{nearest(tensor.name, old_names)}")
        shape = tuple(wanted[name].shape)
        if tensor.shape != shape:
            raise InputError(
                f"{tensor.file}: tensor {tensor.name!r} has shape {tensor.shape}, the configuration asks for {shape}"
            )


def _write_tensors(folder: Path, tensors: Mapping[str, Stored], vocabulary: int) -> tuple[int, torch.dtype]:
    """Write one file for each that is read; return how many, and the float type of the embeddings."""
    files = sorted({tensor.file for tensor in tensors.values()})
    dtype, size, index = torch.float32, 0, {}
    for number, file in enumerate(files, start=1):
        target = WEIGHT_FILES[0] if len(files) == 1 else f"model-{number:05}-of-{len(files):05}.safetensors"
        shard = read_tensors({name: tensor for name, tensor in tensors.items() if tensor.file == file})
        for name in {EMBEDDINGS, OUTPUT} & set(shard):
            shard[name] = _with_rows(shard[name], vocabulary)
        if EMBEDDINGS in shard:
            dtype = shard[EMBEDDINGS].dtype
        save_file(shard, folder / target, metadata={"format": "pt"})
        size += sum(tensor.nbytes for tensor in shard.values())
        index.update(dict.fromkeys(shard, target))
    if len(files) > 1:
        text = json.dumps({"metadata": {"total_size": size}, "weight_map": index}, indent=2, sort_keys=True)
        (folder / INDEX_FILES[0]).write_text(text + "\n", encoding="utf-8")
    return len(files), dtype


def _with_rows(weight: Tensor, rows: int) -> Tensor:
    """Cut a vocabulary's weight, or fill it up with its mean row, which stands for a token nobody has met."""
    missing = rows - len(weight)
    if missing <= 0:
        return weight[:rows].contiguous()
    mean = weight.float().mean(dim=0, keepdim=True).to(weight.dtype)
    return torch.cat([weight, mean.expand(missing, -1)])
