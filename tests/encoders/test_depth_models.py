"""Monocular depth and picture models of every family, tiny and random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from pave.encoders.depth_estimate import FAMILIES, DepthEstimator
from pave.encoders.depth_vision import PictureModel
from pave.encoders.pretrained import Pretrained
from pave.errors import InputError
from pave.media.cameras import Intrinsics
from tests.encoders.depth_models import BUILDERS, DEPTH_BUILDERS, SIDE, VISION_BUILDERS, save_tiny_model

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
CAMERA = Intrinsics(60.0, 60.0, 31.5, 23.5, 64, 48)
FRAMES = torch.from_numpy(PIXELS).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: save_tiny_model(name, folder / name) for name in BUILDERS}


def estimator(folder, dtype="float32"):
    return DepthEstimator(Pretrained("depth", str(folder)), dtype, "cpu")


def pictures(folder, dtype="float32"):
    return PictureModel(Pretrained("depth", str(folder)), dtype, "cpu")


def test_every_depth_family_has_a_test():
    assert set(FAMILIES) == set(DEPTH_BUILDERS)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", DEPTH_BUILDERS)
def test_depth_has_the_pictures_size(models, name, dtype):
    depth = estimator(models[name], dtype).estimate(PIXELS, CAMERA)
    assert depth.shape == (48, 64) and depth.dtype == np.float32
    assert (depth >= 0).all() and depth.std() > 0


@pytest.mark.parametrize("name", DEPTH_BUILDERS)
def test_depth_is_what_the_models_own_pipeline_gives(models, name):
    model = transformers.AutoModelForDepthEstimation.from_pretrained(models[name]).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(models[name])
    sizes = {"target_sizes": [(48, 64)]} | ({"source_sizes": [(48, 64)]} if name == "zoedepth" else {})
    with torch.no_grad():
        output = model(**processor(images=[PIXELS], return_tensors="pt"))
    camera = CAMERA
    if name == "depth_pro":
        focal = 0.5 * 64 / torch.tan(torch.deg2rad(output.field_of_view[0]) / 2).item()
        camera = Intrinsics(focal, focal, 31.5, 23.5, 64, 48)
    expected = processor.post_process_depth_estimation(output, **sizes)[0]["predicted_depth"].clamp(min=0)
    np.testing.assert_allclose(estimator(models[name]).estimate(PIXELS, camera), expected.numpy(), rtol=1e-4)


def test_depth_pro_is_told_the_focal_length(models):
    depth = estimator(models["depth_pro"])
    once, twice = (depth.estimate(PIXELS, Intrinsics(f, f, 31.5, 23.5, 64, 48)) for f in (60.0, 120.0))
    within = twice < 5000
    assert within.mean() > 0.3
    np.testing.assert_allclose(twice[within], 2 * once[within], rtol=1e-3)


def test_models_without_metres_are_refused(models, tmp_path):
    with pytest.raises(InputError, match="unknown scale; name one that gives metres"):
        estimator(models["relative"])
    with pytest.raises(InputError, match="known: depth_anything, depth_pro, zoedepth"):
        estimator(models["vit"])
    with pytest.raises(InputError, match="cannot be read"):
        estimator(tmp_path)


def test_nan_depth_is_refused(models, monkeypatch):
    depth = estimator(models["zoedepth"])
    for weight in depth.model.parameters():
        weight.data.fill_(float("nan"))
    with pytest.raises(InputError, match="gives NaN"):
        depth.estimate(PIXELS, CAMERA)


@pytest.mark.parametrize("name", VISION_BUILDERS)
def test_every_vision_family_gives_a_grid(models, name):
    model = pictures(models[name])
    features = model.features(FRAMES.repeat(3, 1, 1, 1))
    assert features.shape == (3, *model.grid, model.width) == (3, 4, 4, 16)
    torch.testing.assert_close(features[0], features[2])
    assert features.std() > 0.1


@pytest.mark.parametrize("name", [name for name in VISION_BUILDERS if name != "convnext"])
def test_features_stand_where_the_picture_changed(models, name):
    """With attention cut off, a change in one corner of a picture changes the features of that corner only."""
    model = pictures(models[name])
    for module in model._module.modules():
        for part in ("out_proj", "dense", "o_proj", "output"):
            if hasattr(module, part) and "ttention" in type(module).__name__:
                layer = getattr(module, part)
                for weight in layer.parameters():
                    weight.data.zero_()
    changed = FRAMES.clone()
    changed[..., 36:, 48:] = 255 - changed[..., 36:, 48:]
    moved = (model.features(changed) - model.features(FRAMES)).abs().amax(-1)[0]
    assert moved.argmax() == 15
    assert (moved > 0.5 * moved[3, 3]).sum() == 1


def test_features_are_those_of_the_model_itself(models):
    model = transformers.CLIPVisionModel.from_pretrained(models["clip"]).eval()
    square = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    processor = transformers.AutoImageProcessor.from_pretrained(models["clip"])
    with torch.no_grad():
        hidden = model(**processor(images=list(square), return_tensors="pt")).last_hidden_state
    torch.testing.assert_close(pictures(models["clip"]).features(square).flatten(1, 2), hidden[:, 1:])


def test_the_whole_picture_is_seen(models):
    """Pictures are squashed, not cropped: even the outermost columns of a wide one count."""
    model = pictures(models["dinov2"])
    wide = torch.zeros(1, 3, 24, 96, dtype=torch.uint8)
    edge = wide.clone()
    edge[..., :6] = 255
    assert not torch.allclose(model.features(wide), model.features(edge))


def test_revisions_tell_weights_apart(models, tmp_path):
    other = save_tiny_model("vit", tmp_path / "vit", seed=1)
    assert pictures(models["vit"]).revision != pictures(other).revision
    assert estimator(models["zoedepth"]).identity == estimator(models["zoedepth"]).identity
