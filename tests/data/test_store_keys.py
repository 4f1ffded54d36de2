"""What decides a stored item is the content of its media, wherever links lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from pave.data.store_keys import media_hash
from pave.errors import InputError


def test_a_folder_is_known_by_what_its_links_lead_to(tmp_path: Path) -> None:
    picture = tmp_path / "disk" / "colour" / "0.png"
    picture.parent.mkdir(parents=True)
    picture.write_text("one")
    recording = tmp_path / "recording"
    recording.mkdir()
    (recording / "colour").symlink_to(picture.parent)
    before = media_hash(recording)
    picture.write_text("another")
    assert media_hash(recording) != before
    picture.write_text("one")
    assert media_hash(recording) == before
    picture.rename(picture.with_name("1.png"))
    assert media_hash(recording) != before


def test_missing_media_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.wav: no such file; check the path"):
        media_hash(tmp_path / "none.wav")
