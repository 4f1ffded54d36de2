from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from pave import encoders
from pave.encoders.base import Encoder, side_channel_of
from pave.errors import InputError


@dataclass(frozen=True)
class ThumbConfig:
    type: str = "thumb"
    size: int = 3


class ThumbEncoder(Encoder[ThumbConfig]):
    config_class = ThumbConfig

    @property
    def width(self):
        return self.config.size

    @property
    def tokens(self):
        return 1

    def encode(self, path: Path):
        return side_channel_of(path, torch.full((2, 1, self.width), float("nan")), torch.tensor([0.0, 1.0]))


@pytest.fixture
def thumb(monkeypatch):
    monkeypatch.setattr(encoders.registry, "_targets", dict(encoders.registry._targets))
    encoders.registry.register("thumb", ThumbEncoder)


def test_a_registered_encoder_is_built_from_its_settings(thumb):
    encoder = encoders.build({"type": "thumb", "size": 5})

    assert isinstance(encoder, ThumbEncoder) and encoder.width == 5
    assert (encoder.revision, encoder.num_parameters, encoder.flops(60.0)) == ("", 0, 0)


def test_nan_is_refused_naming_the_file(thumb):
    with pytest.raises(InputError, match=r"clip\.mp4: side channel: values hold NaN"):
        encoders.build({"type": "thumb"}).encode(Path("clip.mp4"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"type": "log_mell"}, r"run\.yaml: unknown encoder 'log_mell'.*did you mean 'log_mel'"),
        ({"type": "log_mel", "mel": 3}, r"run\.yaml: unknown key 'mel'.*did you mean 'mels'"),
        ({"type": "log_mel", "mels": "many"}, r"run\.yaml: .*mels is 'many'"),
        ({"type": "audio"}, r"run\.yaml: audio lacks 'model'"),
        ({}, r"run\.yaml: encoder settings lack 'type'"),
        ("log_mel", r"run\.yaml: encoder settings lack 'type'"),
    ],
)
def test_settings_that_do_not_fit(settings, says):
    with pytest.raises(InputError, match=says):
        encoders.build(settings, "run.yaml")
