"""What weights do not tell: taken from names, from what was recorded or told, and said where it is a guess."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from pave import InputError
from pave.checkpoint import read_spec
from pave.convert.reference import convert_reference
from tests.convert.checkpoints import write_checkpoint


class TestChoices:
    @pytest.mark.parametrize(
        ("name", "told", "positions", "source", "warned"),
        [
            ("pave_v5_1_2_lora", None, "rotary_3d", "from '5_1_2' in the name 'pave_v5_1_2_lora'", True),
            ("pave_v5_1_3_lora", None, "none", "from '5_1_3' in the name 'pave_v5_1_3_lora'", True),
            ("pave_lora", None, "none", "by default: the name 'pave_lora' does not say", True),
            ("pave_v5_1_2_to_5_1_3", None, "none", "by default", True),
            ("pave_v5_1_3_lora", "rotary_3d", "rotary_3d", "as told", False),
            ("pave_v5_1_2_lora", "none", "none", "as told", False),
        ],
    )
    def test_positions(
        self,
        base: str,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        name: str,
        told: str | None,
        positions: str,
        source: str,
        warned: bool,
    ) -> None:
        with caplog.at_level(logging.WARNING, "pave"):
            convert_reference(write_checkpoint(tmp_path / name), base, tmp_path / "out", positions=told)
        spec = read_spec(tmp_path / "out")
        assert spec.patch is not None and spec.patch.positions == positions
        assert spec.training["positions_source"].startswith(source)
        assert any("do not tell the positions" in line and "--positions" in line for line in caplog.messages) == warned

    @pytest.mark.parametrize(
        ("name", "channel"),
        [
            ("pave_scanqa_v5_1_3_3d_lora_7B", "depth"),
            ("pave_sqa3d_v5_1_3_3d_lora_7B_2epoch", "depth"),
            ("pave_5_1_3_lora_avsd_7B_imagebind", "audio"),
            ("pave_v5_1_3_lora_music_avqa7B_2epoch_imagebind_3layers", "audio"),
            ("pave_egoexo_v5_1_3_3d_lora_7B_2epoch", "views"),
            ("pave_v5_1_3_lora_7B", "frames"),
            ("pave_v5_1_2_lora", "frames"),
        ],
    )
    def test_channels_of_the_released_names(self, base: str, tmp_path: Path, name: str, channel: str) -> None:
        convert_reference(write_checkpoint(tmp_path / name), base, tmp_path / "out")
        patch = read_spec(tmp_path / "out").patch
        assert patch is not None and patch.channel == channel

    def test_told(self, base: str, source: Path, tmp_path: Path) -> None:
        convert_reference(source, base, tmp_path / "out", heads=2, channels=["sound"])
        spec = read_spec(tmp_path / "out")
        assert spec.patch is not None and (spec.patch.heads, spec.patch.channel) == (2, "sound")
        assert spec.training["heads_source"] == "as told"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"positions": "rotary"}, "positions is 'rotary'; choose from none, rotary_3d; did you mean"),
            ({"heads": 3}, "hidden_dim 16 is no multiple of heads 3"),
            ({"channels": ["a", "b"]}, "channel is a, b; give 1 different names"),
            ({"channels": ["my sound"]}, "channel is my sound; give 1 different names"),
        ],
    )
    def test_refused(self, base: str, source: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            convert_reference(source, base, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
