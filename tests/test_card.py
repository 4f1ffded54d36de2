"""The card tells what binds whoever uses the patch's encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pave.card import CONFIGURATION, render_card, write_probe_section
from pave.config import BaseRecord, LoraSpec, PatchConfig, PatchSpec, Preprocessing, from_dict
from pave.training.config import Source, TrainConfig
from pave.training.facts import configuration_of

HEADING = "## Licence of the encoder's weights"


def card(encoder: dict[str, Any] | None) -> str:
    spec = PatchSpec(BaseRecord("some/base", "llava_onevision", 32, 16), PatchConfig("audio", 24), None)
    return render_card(spec, Preprocessing(8, encoder))


@pytest.mark.parametrize(
    ("encoder", "says"),
    [("imagebind", "CC BY-NC-SA 4.0"), ("languagebind", "MIT"), ("llava3d", "non-commercial use only")],
)
def test_licences_of_published_weights(encoder: str, says: str) -> None:
    text = card({"type": encoder, "weights": "w.pth"})
    assert says in text.split(HEADING)[1].split("##")[0]


@pytest.mark.parametrize("encoder", [None, {"type": "log_mel"}, {"type": "an encoder that is not installed"}, {}])
def test_nothing_is_said_where_nothing_binds(encoder: dict[str, Any] | None) -> None:
    assert HEADING not in card(encoder)


@pytest.mark.parametrize(
    ("name", "revision"), [("some/base", "0a1b2c"), ("models/base", None), ("/models/base", "0a1b")]
)
def test_hubs_are_told_of_a_base_that_came_from_one(name: str, revision: str | None) -> None:
    base = BaseRecord(name, "llava_onevision", 32, 16, revision)
    text = render_card(PatchSpec(base, PatchConfig("audio", 24), None), None)
    assert ("\nbase_model: some/base\n" in text) == (name == "some/base") == ("base_model" in text)


def test_the_configuration_of_its_training_can_be_used_again() -> None:
    config = TrainConfig(
        "some/base", Path("out"), (Source(Path("data/train"), from_step=0),), Preprocessing(8), lora=LoraSpec()
    )
    base = BaseRecord("some/base", "llava_onevision", 32, 16)
    made = {"steps": 3, CONFIGURATION: configuration_of(config)}
    text = render_card(PatchSpec(base, None, LoraSpec(), training=made), None)
    assert "| steps | `3` |" in text
    block = text.split("## How it was made")[1].split("```yaml\n")[1].split("```")[0]
    assert from_dict(TrainConfig, yaml.safe_load(block)) == config


def test_what_a_probe_found_takes_the_place_of_an_earlier_finding(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# A patch\n\n## Settings\n\nsize 3\n")
    write_probe_section(tmp_path, "It does.\n")
    assert card.read_text() == "# A patch\n\n## Settings\n\nsize 3\n\n## Does it use its channel?\n\nIt does.\n"
    card.write_text(card.read_text() + "\n## How it was made\n\nslowly\n")
    write_probe_section(tmp_path, "It does not.")
    assert card.read_text() == (
        "# A patch\n\n## Settings\n\nsize 3\n\n## Does it use its channel?\n\nIt does not.\n\n"
        "## How it was made\n\nslowly\n"
    )
