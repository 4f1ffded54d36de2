"""What decides a stored item: the bytes of its media, and everything about the encoder or base that made it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pave.data.processor import PaveProcessor
from pave.errors import InputError
from pave.files import files_below
from pave.model import PaveModel

if TYPE_CHECKING:
    from pave.encoders.base import Encoder

HASHED_FILES = 1 << 20
"""Hashes of files that a process remembers, while size and time of change stay the same."""

UNDECIDING = ("_name_or_path", "transformers_version")
"""What a base's configuration says that does not decide its video tokens."""


def media_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's files and their names.

    Raises:
        InputError: If it is missing or cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            names = {str(file.relative_to(path)): media_hash(file) for file in files_below(path)}
            return hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()
        if not path.is_file():
            raise InputError(f"{path}: no such file; check the path")
        state = path.stat()
        return _file_hash(path.absolute(), state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); mend the disk or its permissions") from None


def about_side(encoder: Encoder[Any], path: Path, video: Path | None) -> dict[str, Any]:
    """Return what decides the side channel of a file.

    Args:
        encoder: The encoder.
        path: The file.
        video: The video that it belongs to; it counts where the encoder takes its times from it.

    Raises:
        InputError: If a file cannot be read.
    """
    sources = encoder.sources(path)
    if encoder.needs_video and video is not None:
        sources = [*sources, video]
    tower = encoder.attached
    return {
        "kind": "side",
        "media": [media_hash(source) for source in sources],
        "encoder": _settings(encoder),
        "revision": encoder.revision,
        "tower": tower.revision if tower is not None else "",
    }


class VideoKeys:
    """What decides the video tokens of a file, for one model and processor.

    Args:
        model: The model.
        processor: Its processor.
    """

    def __init__(self, model: PaveModel, processor: PaveProcessor) -> None:
        self._made_by = {
            "kind": "video",
            "base": _video_path_hash(model),
            "processor": _processor_hash(processor),
            "frames": processor.frames,
            "preset": processor.preset,
            "layout": processor.layout,
        }

    def about(self, path: Path) -> dict[str, Any]:
        """Return what decides a file's video tokens.

        Raises:
            InputError: If the file cannot be read.
        """
        return {**self._made_by, "media": [media_hash(path)]}


@functools.lru_cache(maxsize=HASHED_FILES)
def _file_hash(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settings(encoder: Encoder[Any]) -> Any:
    name = f"{type(encoder).__module__}:{type(encoder).__qualname__}"
    return json.loads(json.dumps({"type": name, **dataclasses.asdict(encoder.config)}, default=str))


def _video_path_hash(model: PaveModel) -> str:
    """Return a hash of the base's configuration, float type, and all weights outside its language model."""
    config = {name: value for name, value in model.config.to_dict().items() if name not in UNDECIDING}
    digest = hashlib.sha256(json.dumps([config, str(model.dtype)], sort_keys=True, default=str).encode())
    inside = model.family.language_model + "."
    prefix = model.base.base_model_prefix + "."
    for name, tensor in sorted(model.base.base_model.state_dict().items()):
        if not (prefix + name).startswith(inside):
            digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _processor_hash(processor: PaveProcessor) -> str:
    """Return a hash of all that decides a video's pixels, and the tokens that stand for it in a conversation."""
    base = processor.base_processor
    own = {
        "video": json.loads(base.video_processor.to_json_string()),
        "template": base.chat_template,
        "placeholder": processor.family.placeholder_id,
        "tokens": base.tokenizer.get_added_vocab(),
    }
    return hashlib.sha256(json.dumps(own, sort_keys=True, default=str).encode()).hexdigest()
