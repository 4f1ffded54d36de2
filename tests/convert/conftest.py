"""A base and a checkpoint of the reference, as most of these tests need them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.convert.checkpoints import NAME, write_checkpoint
from tests.tiny import base_folder


@pytest.fixture(scope="module")
def base() -> str:
    return str(base_folder("llava_onevision"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "in" / NAME)
