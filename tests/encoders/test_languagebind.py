from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pave.encoders import build
from pave.encoders.languagebind import clip_pixels, count_clips, pooled
from pave.encoders.languagebind_model import TemporalLayer
from pave.encoders.published_clip import hidden_states, read_clip
from pave.encoders.weights import Checkpoint, Stored
from pave.errors import InputError
from tests.encoders.published import GOLDEN, clip_state, save
from tests.media.writing import grey_frames, grey_levels, write_media

LANGUAGEBIND = GOLDEN / "languagebind_video"
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the encoders' outputs are not beside this checkout")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save(tmp_path_factory.mktemp("weights") / "model.safetensors", clip_state(temporal=True))


def encoder_of(weights, **settings):
    return build({"type": "languagebind", "weights": str(weights), "heads": 4, "device": "cpu", **settings})


def frames_first(frames: torch.Tensor) -> torch.Tensor:
    """(3,T,H,W) to (T,H,W,3)."""
    return frames.permute(1, 2, 3, 0)


def formula(height: int, width: int, frames: int) -> torch.Tensor:
    x, y = torch.arange(width), torch.arange(height)[:, None]
    plain = 3 * x * x + 5 * y * y + 7 * x * y
    stack = [torch.stack([plain + 37 * colour + 11 * t for colour in range(3)], dim=-1) for t in range(frames)]
    return (torch.stack(stack) % 256).to(torch.uint8)


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    assert found.shape == wanted.shape
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@golden
class TestReference:
    def features(self, folder, clips):
        """Tokens (n,8,1+P,D) of clips (n,3,8,H,W)."""
        module = encoder_of(folder).module
        with torch.no_grad():
            return hidden_states(module, clips.transpose(1, 2).flatten(0, 1)).unflatten(0, (-1, 8))

    def test_features_before_the_last_layer(self):
        stored = load_file(LANGUAGEBIND / "small_forward.safetensors")
        found = self.features(LANGUAGEBIND / "small_model.safetensors", stored["input"])
        assert relative(found, stored["hidden_state_minus2"]) < 1e-5

    def test_the_activation_of_the_configuration(self, tmp_path):
        save(tmp_path / "model.safetensors", load_file(LANGUAGEBIND / "small_model.safetensors"))
        settings = {"vision_config": {"hidden_act": "quick_gelu", "num_attention_heads": 4}}
        (tmp_path / "config.json").write_text(json.dumps(settings))
        encoder = encoder_of(tmp_path, heads=None)
        stored = load_file(LANGUAGEBIND / "small_forward.safetensors")
        with torch.no_grad():
            tokens = hidden_states(encoder.module, stored["input"].transpose(1, 2).flatten(0, 1)).unflatten(0, (2, 8))

        wanted = load_file(LANGUAGEBIND / "small_forward_quick_gelu.safetensors")["hidden_state_minus2"]
        assert relative(tokens[:, :2], wanted) < 1e-5
        assert encoder.revision != encoder_of(LANGUAGEBIND / "small_model.safetensors").revision

    def test_small_variances(self, tmp_path):
        """A wrong epsilon in a norm shows here alone."""
        factors = json.loads((LANGUAGEBIND / "config.json").read_text())["eps_probe"]["scale"]
        state = load_file(LANGUAGEBIND / "small_model.safetensors")
        for pattern, factor in factors.items():
            for name in state:
                if re.search(pattern, name):
                    state[name] = state[name] * factor
        clips = load_file(LANGUAGEBIND / "small_forward.safetensors")["input"][:1]

        found = self.features(save(tmp_path / "small.pth", state), clips)

        wanted = load_file(LANGUAGEBIND / "eps_probe.safetensors")["hidden_state_minus2"]
        assert relative(found[:, :3], wanted) < 2e-5

    def test_from_frames_to_what_is_stored(self):
        stored = load_file(LANGUAGEBIND / "grid224_e2e.safetensors")
        pixels = clip_pixels(frames_first(stored["frames_u8_cthw"]), 224)

        strided = pixels.transpose(0, 1)[:, :, ::11, ::13]
        torch.testing.assert_close(strided, stored["preprocessed_stride_11_13"], atol=2e-5, rtol=0)
        with torch.no_grad():
            module = encoder_of(LANGUAGEBIND / "grid224_model.safetensors", heads=2).module
            found = pooled(hidden_states(module, pixels), 2)
        assert relative(found, stored["pave_output"]) < 1e-5

    def test_pixels_of_other_shapes(self):
        upright = load_file(LANGUAGEBIND / "preprocess_other_aspect.safetensors")
        found = clip_pixels(frames_first(upright["frames_u8_cthw"]), 224).transpose(0, 1)[:, :, ::5, ::5]
        torch.testing.assert_close(found, upright["preprocessed_stride_5"], atol=2e-5, rtol=0)

        large = load_file(LANGUAGEBIND / "preprocess_downscale.safetensors")["preprocessed_stride_9"]
        found = clip_pixels(formula(360, 480, 2), 224).transpose(0, 1)[:, :, ::9, ::9]
        torch.testing.assert_close(found, large, atol=2e-5, rtol=0)

    def test_frame_counts(self):
        for rule in json.loads((LANGUAGEBIND / "config.json").read_text())["frame_count_rule"]:
            assert 8 * count_clips(rule["duration_s"]) == rule["frames"]

    def test_published_sizes(self):
        shapes = json.loads((GOLDEN.parent / "fullsize_shapes.json").read_text())["languagebind_video"]
        tensors = {
            name.removeprefix("vision_model."): Stored(LANGUAGEBIND, name, tuple(shape))
            for name, shape in shapes.items()
            if "vision_model." in name
        }
        tower = read_clip(Checkpoint("published", tensors, {}, None), None, "gelu", TemporalLayer)

        assert (tower.width, tower.rows, tower.image_size) == (1024, 16, 224)
        # All but the last layer.
        weights = sum(weight.numel() for weight in tower.outline.parameters())
        assert weights == 404_187_136 - 16_804_864


def film(path, frames, rate=10):
    return write_media(path, grey_frames(frames, 40, 60), fps=rate)


def test_steps_are_frames_of_the_video(weights, tmp_path):
    encoder = encoder_of(weights)

    side = encoder.encode(film(tmp_path / "film.mp4", 85))

    assert side.values.shape == (16, 4, 16) and side.grid == (2, 2)
    assert (side.width, side.tokens) == (encoder.width, encoder.tokens)
    numbers = np.linspace(0, 84, 16, dtype=int)
    assert side.times_sec.tolist() == pytest.approx((numbers / 10).tolist(), abs=1e-3)


def test_each_step_shows_its_own_frame(weights, tmp_path):
    """Flat frames whose grey tells their number, encoded by hand."""
    encoder = encoder_of(weights, grid=1)
    side = encoder.encode(film(tmp_path / "film.mp4", 20))

    levels = grey_levels(22)[np.linspace(0, 19, 8, dtype=int)].astype(np.uint8)
    flat = torch.from_numpy(np.broadcast_to(levels[:, None, None, None], (8, 40, 60, 3)).copy())
    with torch.no_grad():
        wanted = pooled(hidden_states(encoder.module, clip_pixels(flat, 28)), 1)[:, 1:]
    assert relative(side.values, wanted) < 0.05
    distance = torch.cdist(side.values[:, 0], wanted[:, 0])
    assert distance.argmin(dim=1).tolist() == list(range(8))


def test_variable_frame_rate_has_true_times(weights, tmp_path):
    times_sec = np.cumsum(np.r_[0.0, np.tile([0.05, 0.25], 15)])
    path = write_media(tmp_path / "film.mp4", grey_frames(31, 40, 60), frame_times_sec=times_sec)

    side = encoder_of(weights).encode(path)

    numbers = np.linspace(0, 30, side.steps, dtype=int)
    assert side.times_sec.tolist() == pytest.approx(times_sec[numbers].tolist(), abs=1e-3)


def test_batches_change_nothing_and_bound_the_frames_held(weights, tmp_path, monkeypatch):
    from pave.encoders import languagebind

    path = film(tmp_path / "film.mp4", 170)
    asked = []
    frames_at = languagebind.frames_at
    monkeypatch.setattr(
        languagebind, "frames_at", lambda path, times: asked.append(len(times)) or frames_at(path, times)
    )

    one, many = (encoder_of(weights, batch_size=size).encode(path).values for size in (1, 3))

    torch.testing.assert_close(one, many, atol=1e-4, rtol=0)
    assert asked == [8] * 4 + [24, 8]


def test_offset(weights, tmp_path, caplog):
    path = film(tmp_path / "film.mp4", 40)
    plain = encoder_of(weights).encode(path)

    late, early = (encoder_of(weights, offset_sec=offset_sec).encode(path) for offset_sec in (1.5, -1.0))

    assert torch.allclose(late.times_sec, plain.times_sec + 1.5)
    kept = plain.times_sec >= 1.0
    assert torch.equal(early.values, plain.values[kept]) and torch.allclose(early.times_sec, plain.times_sec[kept] - 1)


def test_a_grid_of_its_own(weights, tmp_path):
    side = encoder_of(weights, grid=1).encode(film(tmp_path / "film.mp4", 20))
    assert side.values.shape == (8, 1, 16)
    with pytest.raises(InputError, match="grid is 3; a frame has 2 rows of patches"):
        encoder_of(weights, grid=3)


def test_inside_video_llava(tmp_path):
    state = clip_state(temporal=True)
    inside = {name.replace("vision_model.", "model.video_tower.video_tower."): value for name, value in state.items()}
    path = save(tmp_path / "shard.safetensors", inside | {"model.layers.0.mlp.weight": torch.ones(3)})
    own = save(tmp_path / "own.pth", state | {"vision_model.embeddings.position_ids": torch.arange(5)[None]})

    assert encoder_of(path).revision == encoder_of(own).revision


def test_what_is_published_under_similar_names(tmp_path):
    def refused(state, message):
        with pytest.raises(InputError, match=message):
            encoder_of(save(tmp_path / "w.safetensors", state))

    refused(clip_state(), "has no attention along time, as a plain CLIP has none")
    lora = "vision_model.encoder.layers.0.temporal_attn.q_proj.lora_A.default.weight"
    refused(clip_state(temporal=True) | {lora: torch.ones(2, 2)}, "holds a LoRA")
    stem = {"vision_model.embeddings.patch_embedding.weight": torch.ones(16, 3, 1, 14, 14)}
    refused(clip_state(temporal=True) | stem, "its patches span several frames")
    refused(clip_state(layers=1, temporal=True), "holds 1 layers")
    (tmp_path / "config.json").write_text('{"vision_config": {"hidden_act": "relu7"}}')
    refused(clip_state(temporal=True), "activation 'relu7'")
    (tmp_path / "config.json").write_text('{"hidden_act": 7}')
    refused(clip_state(temporal=True), "hidden_act is 7; it must be of type str")


def test_costs(weights):
    encoder = encoder_of(weights)
    assert encoder.num_parameters == sum(weight.numel() for weight in encoder.module.parameters())
    assert encoder.flops(8.0) == 2 * encoder.flops(4.0) > 10**5


def test_no_video(weights, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        encoder_of(weights).encode(tmp_path / "none.mp4")
