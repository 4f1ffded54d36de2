"""A checkpoint of the reference, a folder or a zip: its files, read without running or unpacking anything."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pave.errors import InputError

LORA_RUN_FILE, PATCH_ONLY_FILE = "non_lora_trainables.bin", "mm_projector.bin"
PATCH_FILES = (LORA_RUN_FILE, PATCH_ONLY_FILE)

_OF_TENSORS = re.compile(r"torch\._utils\._rebuild_\w+|torch\.\w+Storage|collections\.OrderedDict")


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint.

    Args:
        path: The folder, or the zip, that was given.
        inside: Where in it the checkpoint lies.
        archive: The zip, opened.
    """

    path: Path
    inside: PurePosixPath
    archive: zipfile.ZipFile | None = None

    @property
    def clue(self) -> str:
        """The names that tell what the checkpoint is: of the folder or zip, and of the folder inside."""
        path = self.path.absolute()
        start = [path.parent.name] if path.name.startswith("checkpoint-") else []
        inside = [part for part in self.inside.parts if part != "."]
        return "/".join(dict.fromkeys([*start, path.stem if self.archive else path.name, *inside]))

    def where(self, name: str) -> str:
        """Return a file's place, for error messages."""
        return str(self.path / self.inside / name)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        if self.archive is None:
            return (self.path / self.inside / name).is_file()
        return str(self.inside / name) in self.archive.namelist()

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            InputError: If it is missing or damaged.
        """
        if not self.has(name):
            raise InputError(f"{self.where(name)}: no such file; the checkpoint is incomplete")
        if self.archive is None:
            return (self.path / self.inside / name).read_bytes()
        try:
            return self.archive.read(str(self.inside / name))
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise InputError(f"{self.where(name)}: damaged, truncated or locked ({error})") from None

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON object.

        Raises:
            InputError: If the file is missing or is no JSON object.
        """
        try:
            content = json.loads(self.read(name))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"{self.where(name)}: not valid JSON ({error})") from None
        if not isinstance(content, dict):
            raise InputError(f"{self.where(name)}: holds a JSON {type(content).__name__}, not an object")
        return content

    def read_tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a ``.safetensors`` file, or of a pickle that holds nothing else.

        Raises:
            InputError: If the file is missing or damaged, or a pickle holds anything but tensors; it is not run.
        """
        data, where = self.read(name), self.where(name)
        if not name.endswith(".safetensors"):
            return _unpickle(data, where)
        try:
            return safetensors.torch.load(data)
        except SafetensorError as error:
            raise InputError(f"{where}: damaged or truncated ({error})") from None


@contextmanager
def open_checkpoint(path: Path) -> Iterator[CheckpointFiles]:
    """Find the checkpoint in a folder or a zip, at its top or one folder down.

    Raises:
        InputError: If there is none or more than one; or the zip is damaged, or has a member that leads out of it.
    """
    if path.is_dir():
        found = [file.relative_to(path) for name in PATCH_FILES for file in [path / name, *path.glob(f"*/{name}")]]
        files = [PurePosixPath(file.as_posix()) for file in found if (path / file).is_file()]
        yield CheckpointFiles(path, _choose(path, files))
        return
    with _open_zip(path) as archive:
        files = [PurePosixPath(name) for name in archive.namelist() if PurePosixPath(name).name in PATCH_FILES]
        yield CheckpointFiles(path, _choose(path, files), archive)


def _open_zip(path: Path) -> zipfile.ZipFile:
    if not path.exists():
        raise InputError(f"{path}: no such folder or zip; give a checkpoint as the reference releases it")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: no folder, and no zip or a truncated one ({error})") from None
    for member in archive.infolist():
        _check_member(path, member)
    for name, count in Counter(archive.namelist()).items():
        if count > 1:
            raise InputError(f"{path}: holds the member {name!r} {count} times; which one is meant cannot be told")
    return archive


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    parts = re.split(r"[/\\]", name)
    if ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise InputError(f"{path}: member {name!r} leads out of the zip; nothing of it was read")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{path}: member {name!r} is a symbolic link; give a zip of plain files")


def _choose(path: Path, files: list[PurePosixPath]) -> PurePosixPath:
    """Return the folder of the patch's weights that lies highest."""
    if not files:
        hint = "it is a patch folder of this project already" if (path / "patch_config.json").is_file() else ""
        hint = hint or "give a checkpoint of the reference"
        raise InputError(f"{path}: holds neither {LORA_RUN_FILE} nor {PATCH_ONLY_FILE}; {hint}")
    height = min(len(file.parts) for file in files)
    top = sorted({file.parent for file in files if len(file.parts) == height})
    if len(top) > 1:
        raise InputError(f"{path}: holds several checkpoints ({', '.join(map(str, top))}); give the folder of one")
    return top[0]


def _unpickle(data: bytes, where: str) -> dict[str, Tensor]:
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{where}: {_refusal(str(error), data)}") from None
    except Exception as error:
        # A damaged file can make the reader fail in any way at all.
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{where}: damaged or truncated ({reason})") from None
    if not isinstance(content, dict):
        raise InputError(f"{where}: holds a {type(content).__name__}, not tensors by name")
    for key, value in content.items():
        if not isinstance(key, str):
            raise InputError(f"{where}: entry {key!r} has no name; every tensor needs one")
        if type(value) not in (Tensor, nn.Parameter):
            raise InputError(f"{where}: entry {key!r} is a {type(value).__name__}, not a tensor; remove it")
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise InputError(f"{where}: tensor {key!r} is sparse, quantised or without values; give a plain one")
    return {key: value.detach().clone().contiguous() for key, value in content.items()}


def _refusal(message: str, data: bytes) -> str:
    """Return on one line what torch would not load."""
    match = re.search(r"GLOBAL ([\w.]+)", message)
    name = match[1] if match else _first_global(data)
    if name:
        return f"holds {name!r}, which is no tensor; nothing of the file was run"
    reason = message.rsplit("WeightsUnpickler error:", 1)[-1].split("Check the documentation")[0]
    return f"damaged, truncated or no plain tensors ({' '.join(reason.split())[:120]})"


def _first_global(data: bytes) -> str | None:
    """Return the first class or function that a bare pickle names in the newer form, which torch does not read."""
    words: list[str] = []
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        for operation, value, _ in pickletools.genops(data):
            if isinstance(value, str):
                words.append(value)
            elif operation.name == "STACK_GLOBAL" and not _OF_TENSORS.fullmatch(name := ".".join(words[-2:])):
                return name
    except (ValueError, StopIteration, zipfile.BadZipFile):
        pass
    return None
