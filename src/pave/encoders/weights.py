"""Published checkpoints under their own names: found in a file, folder or hub repository, listed, checked, and read.

Only the part that an encoder needs is read, and of a checkpoint in several files only those that hold it. Nothing is
unpickled but tensors.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pave.config import read_json
from pave.encoders.weights_place import WEIGHT_SUFFIXES, Folder, Place, find_place
from pave.errors import InputError, nearest
from pave.media.container import check_file

CONFIG_FILE = "config.json"
INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")

Shape = tuple[int, ...]
Part = Callable[[str], str | None]
"""From a tensor's name in a file to its name in the part that is wanted; ``None`` for a tensor of another part."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    Args:
        file: The file.
        name: Its name there.
        shape: Its shape.
    """

    file: Path
    name: str
    shape: Shape


@dataclass(frozen=True)
class Checkpoint:
    """One part of a published checkpoint, listed but not yet read.

    Args:
        where: The file, folder or hub id that the user named.
        tensors: By their names in the part.
        settings: Content of the ``config.json`` beside them, empty where there is none.
        commit: Of the hub repository; ``None`` for local files.
    """

    where: str
    tensors: Mapping[str, Stored]
    settings: Mapping[str, Any]
    commit: str | None

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shape of each tensor."""
        return {name: stored.shape for name, stored in self.tensors.items()}

    def check(self, wanted: Mapping[str, Shape]) -> None:
        """Check that the part holds these tensors and no others.

        Raises:
            InputError: If one is missing, unexpected or of another shape; the message names it as the file does.
        """
        extra = [name for name in self.tensors if name not in wanted]
        for name in wanted:
            if name not in self.tensors:
                instead = f"; {self.tensors[extra[0]].name!r} is there, which does not belong" if extra else ""
                raise InputError(f"{self.where}: tensor {name!r} is missing{instead}")
        if extra:
            stored = self.tensors[extra[0]]
            raise InputError(f"{stored.file}: unexpected tensor {stored.name!r}{nearest(extra[0], wanted)}")
        for name, shape in wanted.items():
            stored = self.tensors[name]
            if stored.shape != shape:
                raise InputError(
                    f"{stored.file}: tensor {stored.name!r} has shape {stored.shape}, the others ask for {shape}"
                )

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return tensors of the part.

        Raises:
            InputError: If one is no float tensor, or holds NaN or infinity.
        """
        return read_tensors({name: self.tensors[name] for name in names})

    def revision(self, names: Iterable[str]) -> str:
        """Return what identifies tensors of the part: the commit on the hub, or a hash of their values."""
        if self.commit is not None:
            return self.commit
        digest = hashlib.sha256()
        for name, value in sorted(self.read(names).items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def open_checkpoint(source: str, revision: str | None, part: Part, usual: str | None = None) -> Checkpoint:
    """Find one part of a checkpoint.

    Args:
        source: A weights file, a folder that holds one (or several and their index), or a hub id ``owner/name``.
        revision: Commit, tag or branch of a hub repository.
        part: Which tensors are wanted.
        usual: Name that the weights file is published under, if it is none of transformers'.

    Raises:
        InputError: If there is no such thing, it cannot be read, or holds nothing of the part.
    """
    place = find_place(source, revision)
    files, listed = _files(place, part, usual)
    tensors: dict[str, Stored] = {}
    others: list[str] = []
    for file in files:
        for name, shape in _list(file).items():
            inner = part(name)
            if inner is None:
                others.append(name)
            elif inner in tensors:
                raise InputError(
                    f"{source}: holds both {tensors[inner].name!r} and {name!r}, copies of one tensor; remove one"
                )
            elif listed is not None and listed.get(name) != file.name:
                raise InputError(f"{file}: tensor {name!r} is not listed for this file in the index beside it")
            else:
                tensors[inner] = Stored(file, name, shape)
    for name, shard in (listed or {}).items():
        if (inner := part(name)) is not None and inner not in tensors:
            raise InputError(f"{source}: tensor {name!r} is missing, though the index lists it in {shard}")
    if not tensors:
        held = f"; it holds {others[0]!r} and the like" if others else ""
        raise InputError(f"{source}: holds none of the tensors that are wanted{held}; name another checkpoint")
    if others:
        logger.info("%s: %d tensors of other parts are left alone, such as %s", source, len(others), others[0])
    config = place.get(CONFIG_FILE)
    return Checkpoint(source, tensors, read_json(config) if config is not None else {}, place.commit)


def read_tensors(stored: Mapping[str, Stored]) -> dict[str, Tensor]:
    """Return tensors, by the same names, opening each file once.

    Raises:
        InputError: If one is no float tensor, or holds NaN or infinity.
    """
    files: dict[Path, dict[str, Stored]] = {}
    for name, tensor in stored.items():
        files.setdefault(tensor.file, {})[name] = tensor
    found: dict[str, Tensor] = {}
    for file, inside in files.items():
        with _opened(file) as reader:
            found.update({name: _checked(reader(tensor.name), tensor) for name, tensor in inside.items()})
    return found


def most_common(lengths: Iterable[int]) -> int:
    """Return the length that most tensors have, so that the one that differs can be named; 0 of none."""
    ((length, _),) = Counter(lengths).most_common(1) or [(0, 0)]
    return length


def transformer_widths(shapes: Mapping[str, Shape]) -> tuple[int, int]:
    """Return the width of a transformer and that inside its feed-forward, as most of its tensors have them."""
    width = most_common(shape[0] for name, shape in shapes.items() if "norm" in name and len(shape) == 1)
    places = {"mlp.fc1.weight": 0, "mlp.fc1.bias": 0, "mlp.fc2.weight": -1}
    votes = [
        shape[place] for name, shape in shapes.items() for end, place in places.items() if name.endswith(end) and shape
    ]
    return width, most_common(votes)


def count_layers(names: Iterable[str], start: str) -> int:
    """Return how many layers ``start0.``, ``start1.`` ... there are; a stray name does not make a layer."""
    found: Counter[int] = Counter()
    for name in names:
        number = name.removeprefix(start).split(".")[0]
        if name.startswith(start) and number.isdecimal():
            found[int(number)] += 1
    whole = max(found.values(), default=0)
    return max((index for index, count in found.items() if 2 * count >= whole), default=-1) + 1


def _files(place: Place, part: Part, usual: str | None) -> tuple[list[Path], dict[str, str] | None]:
    """Return the weights files that hold the part, and, if they are several, what their index lists."""
    if isinstance(place, Folder) and place.only is not None:
        return [place.only], None
    for name in INDEX_FILES:
        index = place.get(name)
        if index is not None:
            listed = _listed(index)
            shards = sorted({shard for tensor, shard in listed.items() if part(tensor) is not None})
            return [_shard(place, index, shard) for shard in shards], listed
    for name in (*((usual,) if usual else ()), *WEIGHT_FILES):
        file = place.get(name)
        if file is not None:
            return [file], None
    return [place.single((*((usual,) if usual else ()), *WEIGHT_FILES, *INDEX_FILES))], None


def _listed(index: Path) -> dict[str, str]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
        raise InputError(f"{index}: lacks 'weight_map', which tells the file of each tensor; copy it again")
    return names


def _shard(place: Place, index: Path, name: str) -> Path:
    file = place.get(name) if Path(name).name == name else None
    if file is None:
        raise InputError(f"{index}: names the file {name!r}, which is not beside it; complete the checkpoint")
    return file


def _list(file: Path) -> dict[str, Shape]:
    with _opened(file) as reader:
        return {name: tuple(reader.shape(name)) for name in reader.names}


class _Reader:
    """Tensors of an open file by name."""

    def __init__(self, names: list[str], shape: Callable[[str], Iterable[int]], get: Callable[[str], Any]) -> None:
        self.names = names
        self.shape = shape
        self._get = get

    def __call__(self, name: str) -> Any:
        return self._get(name)


@contextmanager
def _opened(file: Path) -> Iterator[_Reader]:
    check_file(file)
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, "pt") as content:
                yield _Reader(
                    list(content.keys()), lambda name: content.get_slice(name).get_shape(), content.get_tensor
                )
        except SafetensorError as error:
            raise InputError(f"{file}: not a whole .safetensors file ({error}); copy it again") from None
    elif file.suffix in WEIGHT_SUFFIXES:
        content = _unpickled(file)
        yield _Reader(list(content), lambda name: content[name].shape, content.__getitem__)
    else:
        raise InputError(f"{file}: unknown weights format {file.suffix!r}; use one of {', '.join(WEIGHT_SUFFIXES)}")


def _unpickled(file: Path) -> dict[str, Tensor]:
    try:
        # Mapped into memory, so that of a large file only the tensors that are used are ever read.
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError:
        raise InputError(
            f"{file}: damaged, or holds Python objects, which are never unpickled; give a file of plain tensors"
        ) from None
    except Exception as error:
        # A damaged file can make the reader fail in any way at all.
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{file}: not a whole {file.suffix} file ({reason}); copy it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds a {type(content).__name__}, not tensors by name")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(f"{file}: entry {name!r} is a {type(value).__name__}, not a tensor with a name")
    return content


def _checked(value: Tensor, stored: Stored) -> Tensor:
    if not value.is_floating_point() or value.layout != torch.strided or value.device.type != "cpu":
        raise InputError(f"{stored.file}: tensor {stored.name!r} is {value.dtype}, {value.layout}; give plain floats")
    if not torch.isfinite(value).all():
        raise InputError(f"{stored.file}: tensor {stored.name!r} holds NaN or infinity; copy the file again")
    return value.detach().contiguous()
