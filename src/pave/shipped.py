"""Names of the bases and patches that come with the package, and where a name, folder or hub id leads."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pave.errors import InputError, nearest

_ROOT = Path(str(files("pave"))) / "blindspot"


def shipped_bases() -> dict[str, Path]:
    """Return the bases in the package, by name."""
    return _folders("bases", "config.json")


def shipped_patches() -> dict[str, Path]:
    """Return the patches in the package, by name."""
    return _folders("patches", "patch_config.json")


def _folders(kind: str, holding: str) -> dict[str, Path]:
    return {path.name: path for path in sorted((_ROOT / kind).glob("*")) if (path / holding).is_file()}


def locate(source: str | Path, shipped: dict[str, Path], noun: str, revision: str | None = None) -> Path:
    """Return the folder of a base or patch.

    Args:
        source: A shipped name, a folder, or a hub id ``owner/name``, which is downloaded.
        shipped: What comes with the package, by name.
        noun: ``base`` or ``patch``, for the error message.
        revision: Commit, tag or branch of a hub repository.

    Raises:
        InputError: If there is no such thing; the message lists the shipped names and the nearest one.
    """
    name = str(source)
    if name in shipped:
        return shipped[name]
    path = Path(source)
    if path.is_dir():
        return path
    if path.exists():
        raise InputError(f"{noun} {name!r} is a file; give its folder")
    is_id = name.count("/") == 1 and not path.is_absolute() and not name.startswith(".")
    if not is_id:
        known = ", ".join(shipped) or "none"
        guess = nearest(name, shipped)
        raise InputError(f"unknown {noun} {name!r}: no such folder, no hub id owner/name; shipped: {known}{guess}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        guess = nearest(name, shipped)
        raise InputError(f"{noun} {name!r} is no folder and the hub did not give it ({reason}){guess}") from None
