"""Several patches on one base: any set of them on each sample, in any order, with any weight."""

from __future__ import annotations

import itertools

import pytest
import torch

from pave import InputError, LoraSpec, PaveModel
from tests.batches import BEAMS, GREEDY, logits, patch_config, randomize, take_row
from tests.composed import CHANNELS, EVERY_SET, LORAS, channel_batch, composed, only, wake
from tests.tiny import FAMILIES, make_model

LLAVA = FAMILIES[0]
ROWS = len(EVERY_SET)


@pytest.mark.parametrize("query", ["vision", "projected"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_equals_separate_runs(family: str, query: str) -> None:
    model, batch = composed(family, query=query), channel_batch(family, ROWS)
    found = logits(model, batch.inputs, **batch.extras, patches=EVERY_SET)
    off = logits(model, batch.inputs, **batch.extras, patches=[])
    start = 0
    for row, names in enumerate(EVERY_SET):
        single = take_row(family, batch, row)
        wanted = logits(model, single.inputs, **single.extras, patches=names)
        torch.testing.assert_close(found[start : start + len(wanted)], wanted, atol=1e-5, rtol=1e-5)
        if names:
            assert (wanted - off[start : start + len(wanted)]).abs().max() > 1e-2
        start += len(wanted)
    assert start == len(found)


@pytest.mark.parametrize("options", [GREEDY, BEAMS], ids=["greedy", "beams"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_generates_what_separate_runs_do(family: str, options: dict[str, object]) -> None:
    model, batch = composed(family), channel_batch(family, ROWS)
    found = model.generate(**batch.inputs, **batch.extras, patches=EVERY_SET, **options)
    length = batch.inputs["input_ids"].shape[1]
    for row, names in enumerate(EVERY_SET):
        single = take_row(family, batch, row)
        wanted = model.generate(**single.inputs, **single.extras, patches=names, **options)
        assert torch.equal(found[row, length:], wanted[0, single.inputs["input_ids"].shape[1] :])


def test_no_order_matters() -> None:
    """Neither that of a call's names nor that in which patches came onto the model; bit for bit."""
    batch = channel_batch(LLAVA, 2)
    wanted = None
    for names in itertools.permutations(CHANNELS):
        model = composed(LLAVA, names)
        sides = {channel: batch.side[channel] for channel in names}
        for patches in (None, list(names), [list(names), list(reversed(names))], dict.fromkeys(names, 1.0)):
            found = logits(model, batch.inputs, side=sides, video_times_sec=batch.times, patches=patches)
            wanted = found if wanted is None else wanted
            assert torch.equal(found, wanted)


def test_a_mixed_call_leaves_nothing_behind() -> None:
    model, batch = composed(LLAVA), channel_batch(LLAVA, 3)
    before = [logits(model, batch.inputs, **batch.extras, patches=names) for names in (["depth"], [], None)]
    mixed = [["audio"], ["depth", "views"], []]
    first = logits(model, batch.inputs, **batch.extras, patches=mixed)
    assert torch.equal(first, logits(model, batch.inputs, **batch.extras, patches=mixed))
    after = [logits(model, batch.inputs, **batch.extras, patches=names) for names in (["depth"], [], None)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    with pytest.raises(InputError, match="placeholders"):
        model(**{**batch.inputs, "input_ids": batch.inputs["input_ids"][:, -1:]}, **batch.extras, patches=mixed)
    assert torch.equal(logits(model, batch.inputs, **batch.extras), before[2])


class TestWeights:
    def test_scale_residual_and_lora(self) -> None:
        batch = channel_batch(LLAVA, 2)
        model, halved = composed(LLAVA), composed(LLAVA)
        norm = halved.patches["audio"].norm
        with torch.no_grad():
            for weight in (norm.weight, norm.bias, *halved.lora.parameters("audio")[1::2]):
                weight.mul_(0.5)
        wanted = logits(halved, batch.inputs, **batch.extras, patches=["audio"])
        for patches in ({"audio": 0.5}, {"audio": 0.5, "depth": 0}, [{"audio": 0.5}, {"audio": 0.5}]):
            found = logits(model, batch.inputs, **batch.extras, patches=patches)
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        whole = logits(model, batch.inputs, **batch.extras, patches=["audio"])
        assert (whole - wanted).abs().max() > 1e-2
        assert torch.equal(whole, logits(composed(LLAVA), batch.inputs, **batch.extras, patches=["audio"]))

    def test_differ_from_sample_to_sample(self) -> None:
        model, batch = composed(LLAVA), channel_batch(LLAVA, 3)
        patches = [{"audio": 0.5, "views": -1.0}, {"audio": 2.0}, ["audio", "depth"]]
        found = logits(model, batch.inputs, **batch.extras, patches=patches)
        alone = []
        for row, weights in enumerate(patches):
            single = take_row(LLAVA, batch, row)
            alone.append(logits(model, single.inputs, **single.extras, patches=weights))
        torch.testing.assert_close(found, torch.cat(alone), atol=1e-5, rtol=1e-5)

    def test_of_zero_is_the_base(self) -> None:
        model, batch = composed(LLAVA), channel_batch(LLAVA, 2)
        wanted = logits(make_model(LLAVA), batch.inputs)
        nothing = dict.fromkeys(CHANNELS, 0)
        assert torch.equal(logits(model, batch.inputs, **batch.extras, patches=nothing), wanted)

    def test_of_a_shared_lora_is_the_largest(self) -> None:
        model = PaveModel.from_base(make_model(LLAVA))
        for name in ("audio", "depth"):
            model.add_patch(name, patch_config(channel=name), LoraSpec(r=4, shared="5eed"))
        randomize(model, "audio")
        batch = channel_batch(LLAVA, 2)
        without = {"side": {}, "video_times_sec": batch.times}
        model.add_patch("alone", None, LoraSpec(r=2))
        side = only(batch, "audio", "depth")
        with torch.no_grad():
            for patch in model.patches.values():
                patch.norm.weight.zero_()
                patch.norm.bias.zero_()
        patches = {"audio": 0.25, "depth": 0.75}
        found = logits(model, batch.inputs, side=side, video_times_sec=batch.times, patches=patches)
        assert torch.equal(
            found, logits(model, batch.inputs, side=side, video_times_sec=batch.times, patches={"depth": 0.75})
        )
        assert not torch.equal(found, logits(model, batch.inputs, **without))

    @pytest.mark.parametrize(
        ("patches", "message"),
        [
            ({"audio": float("nan")}, r"patches\['audio'\] is nan; give a finite weight"),
            ({"audio": "0.5"}, r"patches\['audio'\] is '0.5'; give a finite weight"),
            ({"audio": True}, r"patches\['audio'\] is True; give a finite weight"),
            ({"audi": 1.0}, "no patch 'audi' on this model; .*did you mean 'audio'"),
            ([{"audio": 1.0}], "patches has 1 entries for 2 samples"),
        ],
    )
    def test_that_cannot_be_used(self, patches: object, message: str) -> None:
        model, batch = composed(LLAVA, ["audio"]), channel_batch(LLAVA, 2)
        with pytest.raises(InputError, match=message):
            model(**batch.inputs, side=only(batch, "audio"), video_times_sec=batch.times, patches=patches)


class TestActiveSet:
    def test_is_what_acts_where_a_call_does_not_say(self) -> None:
        model, batch = composed(LLAVA), channel_batch(LLAVA, 2)
        wanted = {
            names: logits(model, batch.inputs, **batch.extras, patches=list(names))
            for names in ((), ("depth",), CHANNELS)
        }
        weighted = logits(model, batch.inputs, **batch.extras, patches={"audio": 0.5})
        assert model.active_patches == dict.fromkeys(CHANNELS, 1.0)
        for patches, found in (
            (["depth"], wanted[("depth",)]),
            ([], wanted[()]),
            ({"audio": 0.5}, weighted),
            (None, wanted[CHANNELS]),
        ):
            model.set_patches(patches)
            assert torch.equal(logits(model, batch.inputs, **batch.extras), found)
        model.set_patches(["depth"])
        assert torch.equal(logits(model, batch.inputs, **batch.extras, patches=list(CHANNELS)), wanted[CHANNELS])
        with model.base_only():
            assert torch.equal(logits(model, batch.inputs, **batch.extras), wanted[()])

    def test_follows_what_comes_and_goes(self) -> None:
        model = composed(LLAVA, ["audio", "depth"])
        model.set_patches({"audio": 0.5, "depth": 1.0})
        model.add_patch("views", patch_config(channel="views"), LORAS["views"])
        assert model.active_patches == {"audio": 0.5, "depth": 1.0}
        model.remove_patch("audio")
        assert model.active_patches == {"depth": 1.0}
        model.set_patches(None)
        assert model.active_patches == {"depth": 1.0, "views": 1.0}
        with pytest.raises(InputError, match="no patch 'audio' on this model"):
            model.set_patches(["audio"])
        assert model.active_patches == {"depth": 1.0, "views": 1.0}

    def test_a_removed_patch_leaves_the_others_as_they_were(self) -> None:
        model, batch = composed(LLAVA), channel_batch(LLAVA, 2)
        sides = only(batch, "audio", "views")
        wanted = logits(model, batch.inputs, **batch.extras, patches=["audio", "views"])
        model.remove_patch("depth")
        assert torch.equal(logits(model, batch.inputs, side=sides, video_times_sec=batch.times), wanted)


def test_lora_without_a_channel_acts_beside_patches() -> None:
    model, batch = composed(LLAVA), channel_batch(LLAVA, 3)
    model.add_patch("manner", None, LoraSpec(r=2))
    wake(model, "manner")
    patches = [["manner"], ["manner", "audio"], {"manner": 0.5, "depth": 1.0}]
    found = logits(model, batch.inputs, **batch.extras, patches=patches)
    alone = []
    for row, names in enumerate(patches):
        single = take_row(LLAVA, batch, row)
        alone.append(logits(model, single.inputs, **single.extras, patches=names))
    torch.testing.assert_close(found, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_absent_channels_mix_samples_by_themselves() -> None:
    """Patches whose channel a sample lacks do not act on it, so that one choice for all may still mix LoRAs."""
    model, batch = composed(LLAVA), channel_batch(LLAVA, 3)
    batch.side["audio"][1] = None
    batch.side["depth"][0] = None
    found = logits(model, batch.inputs, **batch.extras)
    wanted = logits(
        model, batch.inputs, **batch.extras, patches=[["audio", "views"], ["depth", "views"], list(CHANNELS)]
    )
    assert torch.equal(found, wanted)
    wake(model, "audio", extra=1)
    assert not torch.equal(logits(model, batch.inputs, **batch.extras), found)
