"""The tower by itself gives what the base sees of the same frames, whatever the batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pave.data.processor import PaveProcessor, load_base_processor
from pave.encoders.tower import Tower, flops_a_frame
from pave.errors import InputError
from pave.media.video import Frames
from pave.model import PaveModel
from tests.tiny import FAMILIES, base_folder, make_model, patched


def tower_of(model: PaveModel) -> Tower:
    return model.family.tower(model.base, load_base_processor(model).video_processor)


def noise(count: int, height: int = 64, width: int = 64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_that_the_base_sees(family: str) -> None:
    model = patched(family, lora=False)
    frames = noise(3)
    shown = frames.repeat_interleave(model.family.frames_per_step, dim=0)
    pixels = shown.permute(0, 2, 3, 1).numpy()
    processor = PaveProcessor.from_model(model)
    video = processor.prepare_video(Frames(pixels, torch.arange(len(pixels)).double().numpy()))
    inputs = {**video.inputs, **{name: value[None] for name, value in video.expansion.items()}}
    expected = model.encode_videos(inputs, [video.times_sec])[0]
    tower = tower_of(model)
    features = tower.features(frames)
    assert (features.shape[-1], tuple(features.shape[1:3])) == (tower.width, expected.grid)
    assert tower.grid in (None, expected.grid)
    torch.testing.assert_close(features.flatten(1, 2), expected.vision, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_pooling_joins_two_by_two_patches(family: str) -> None:
    tower = tower_of(PaveModel.from_base(base_folder(family)))
    pooled, patches = tower.features(noise(2)), tower.features(noise(2), pooled=False)
    rows, columns = pooled.shape[1:3]
    assert patches.shape[1:3] == (2 * rows, 2 * columns)
    means = patches.unflatten(1, (rows, 2)).unflatten(3, (columns, 2)).mean(dim=(2, 4))
    torch.testing.assert_close(pooled, means, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frame_does_not_depend_on_its_neighbours(family: str) -> None:
    tower = tower_of(PaveModel.from_base(base_folder(family)))
    frames = noise(19)
    together = tower.features(frames)
    alone = torch.cat([tower.features(frames[index : index + 1]) for index in (0, 8, 18)])
    torch.testing.assert_close(together[[0, 8, 18]], alone, atol=1e-5, rtol=1e-5)
    assert not together.requires_grad


def test_other_aspect_ratios_keep_their_place() -> None:
    tower = tower_of(PaveModel.from_base(base_folder("qwen2_5_vl")))
    frames = torch.zeros(1, 3, 56, 112, dtype=torch.uint8)
    changed = frames.clone()
    changed[..., 28:56, 84:112] = 255
    difference = (tower.features(changed, pooled=False) - tower.features(frames, pooled=False)).norm(dim=-1)[0]
    assert difference.shape == (4, 8)
    assert (difference[2:, 6:].mean() > 2 * difference[:2, :6].mean()).item()


def test_revision_tells_weights_and_scaling_apart() -> None:
    towers = [tower_of(PaveModel.from_base(base_folder("llava_onevision"))) for _ in range(2)]
    assert towers[0].revision == towers[1].revision
    processor = load_base_processor(PaveModel.from_base(base_folder("llava_onevision"))).video_processor
    other = PaveModel.from_base(make_model("llava_onevision", seed=1))
    assert other.family.tower(other.base, processor).revision != towers[0].revision
    processor.image_mean = [0.1, 0.2, 0.3]
    model = PaveModel.from_base(base_folder("llava_onevision"))
    assert model.family.tower(model.base, processor).revision != towers[0].revision


@pytest.mark.parametrize("family", FAMILIES)
def test_cost_of_a_frame(family: str) -> None:
    assert flops_a_frame(tower_of(PaveModel.from_base(base_folder(family)))) > 10_000


def test_data_loading_processes_cannot_use_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    model = PaveModel.from_base(base_folder("llava_onevision"))
    tower = tower_of(model)
    monkeypatch.setattr("pave.bases.tower.get_worker_info", object)
    assert len(tower.features(noise(1))) == 1
    model.to("meta")
    with pytest.raises(InputError, match="data-loading processes cannot use; set workers: 0"):
        tower.features(noise(1))
