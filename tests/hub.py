"""A model hub that gives one tiny base under every name, and notes what it was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tiny import base_folder

FAMILY = "llava_onevision"


def fake_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[tuple[str, str | None]]:
    """Put a hub in the place of the real one; return names and revisions, as it will be asked for them."""
    asked = []

    def download(name: str, revision: str | None = None) -> str:
        asked.append((name, revision))
        snapshot = folder / "snapshots" / (revision or "newest")
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        if not snapshot.exists():
            snapshot.symlink_to(base_folder(FAMILY))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return asked


def record_base(patch: Path, name: str, revision: str) -> None:
    """Let a patch folder say that the patch was made on a base of the hub."""
    path = patch / "patch_config.json"
    spec = json.loads(path.read_text())
    spec["base"] |= {"name": name, "revision": revision}
    path.write_text(json.dumps(spec))
