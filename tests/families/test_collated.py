"""Two unlike samples of any family, put into one batch by the collator, are told what they are told one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pave import InputError, PaveModel
from pave.bases.family import Family
from pave.data.collator import Collator
from pave.data.features import Features, PreparedVideo
from tests.batches import randomize
from tests.families.subject import Subject, patch_config
from tests.families.tiny import NAMES, Row, longer, make_base, rows

STACKED = (
    "instructblipvideo",
    "llava_next_video",
    "llava_onevision",
    "nemotron_h_omni",
    "perception_lm",
    "video_llava",
)
"""Their recorded samples have as many steps each, so that one gets another."""


def samples_of(name: str, family: Family) -> list[Row]:
    first, second = rows(name)
    if name == "smolvlm":
        # Its second sample was recorded beside a longer one, with a frame of zeros that pads.
        second = Row(second.tokens, {"pixel_values": second.media["pixel_values"][:, :2]}, second.videos)
    if name in STACKED:
        second = longer(name, family.placeholder_id, family.lead)
    return [first, second]


def features(subject: Subject, sample: Row) -> Features:
    (times,) = subject.times([sample])
    side = {name: entries[0] for name, entries in subject.side("audio", [sample]).items()}
    return Features(sample.tokens, PreparedVideo(sample.media, times.numpy(), (), {}), None, side)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_says_what_its_samples_are_told_one_by_one(name: str) -> None:
    model = PaveModel.from_base(make_base(name))
    model.add_patch("audio", patch_config(model.family, "audio"))
    randomize(model, "audio")
    subject = Subject(name, model)
    samples = [features(subject, sample) for sample in samples_of(name, model.family)]
    for side in ("left", "right"):
        collate = Collator(0, side, model.family, ["audio"])

        def said(members: list[Features], collate: Collator = collate) -> Tensor:
            return subject.logits(**collate(members))

        alone = torch.cat([said([sample]) for sample in samples])
        torch.testing.assert_close(said(samples), alone, atol=1e-4, rtol=1e-4)


def test_frames_of_unlike_sizes_are_refused() -> None:
    """Where a base takes them in one tensor, the error says what to set."""
    model = PaveModel.from_base(make_base("internvl"))
    subject = Subject("internvl", model)
    first, second = (features(subject, sample) for sample in rows("internvl"))
    larger = {name: torch.cat([value, value], dim=-1) for name, value in second.video.inputs.items()}
    second = Features(second.tokens, PreparedVideo(larger, second.video.times_sec, (), {}))
    with pytest.raises(InputError, match="pixel_values of one batch .* set a batch size of 1, or encode"):
        Collator(0, "left", model.family)([first, second])
