"""Where published weights lie: one file, a folder, or a repository on the hub, of which single files are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from pave.errors import InputError

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


class Place(Protocol):
    """Files by name."""

    commit: str | None

    def get(self, name: str) -> Path | None:
        """Return a file, ``None`` if there is none of this name."""

    def single(self, known: Sequence[str]) -> Path:
        """Return the only weights file of a place that holds none of the known names.

        Raises:
            InputError: If there is none, or it cannot be told.
        """


@dataclass(frozen=True)
class Folder:
    """A folder.

    Args:
        path: The folder.
        only: The file in it that was named; ``None`` if the folder was.
    """

    path: Path
    only: Path | None = None
    commit: str | None = None

    def get(self, name: str) -> Path | None:
        """Return a file, ``None`` if there is none of this name."""
        file = self.path / name
        return file if file.is_file() else None

    def single(self, known: Sequence[str]) -> Path:
        """Return the only file with the suffix of weights."""
        found = sorted(file for file in self.path.iterdir() if file.suffix in WEIGHT_SUFFIXES and file.is_file())
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(file.name for file in found)
            raise InputError(f"{self.path}: holds several weights files ({listed}); name the one that is meant")
        raise InputError(f"{self.path}: holds no weights file ({', '.join(WEIGHT_SUFFIXES)}); name one")


class Repository:
    """A repository on the hub, downloaded file by file into the hub's own cache.

    Args:
        name: Its id.
        revision: Commit, tag or branch.
    """

    def __init__(self, name: str, revision: str | None) -> None:
        self.name = name
        self.revision = revision
        self.commit: str | None = None
        self._reason = ""

    def get(self, name: str) -> Path | None:
        """Return a file, ``None`` if there is none of this name.

        Raises:
            InputError: If the hub does not give the repository.
        """
        try:
            file = Path(hf_hub_download(self.name, name, revision=self.revision))
        except LocalEntryNotFoundError as error:
            # Without a connection a file that is not in the cache may or may not exist.
            self._reason = _first_line(error)
            return None
        except EntryNotFoundError:
            return None
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise InputError(
                f"{self.name}: no file or folder, and the hub did not give it ({_first_line(error)}); check the name"
            ) from None
        if "snapshots" in file.parts:
            self.commit = file.parts[file.parts.index("snapshots") + 1]
        return file

    def single(self, known: Sequence[str]) -> Path:
        """Raise: a repository is not searched for files of other names."""
        reason = f" ({self._reason})" if self._reason else ""
        raise InputError(
            f"{self.name}: no file or folder, and the hub gave none of {', '.join(known)}{reason}; download its "
            "weights file and name that"
        )


def find_place(source: str, revision: str | None) -> Place:
    """Return where a source leads.

    Args:
        source: A file, a folder, or a hub id ``owner/name``.
        revision: Commit, tag or branch of a hub repository.

    Raises:
        InputError: If it is none of them.
    """
    path = Path(source)
    if path.is_file():
        return Folder(path.parent, path)
    if path.is_dir():
        return Folder(path)
    if source.count("/") != 1 or path.is_absolute() or source.startswith(".") or path.suffix in WEIGHT_SUFFIXES:
        raise InputError(f"{source}: no such file or folder, and no hub id owner/name; name the weights")
    return Repository(source, revision)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
