from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pave.encoders import build
from pave.encoders.llava3d import ACTIVATION, chosen_views, view_features
from pave.encoders.published_clip import read_clip
from pave.encoders.weights import Checkpoint, Stored
from pave.errors import InputError
from tests.encoders.published import GOLDEN, clip_state, position_state, save
from tests.media.rooms import LAYOUTS, six_views, write_scannet

LLAVA3D = GOLDEN / "llava3d"
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the encoders' outputs are not beside this checkout")
VIEWS = six_views()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """CLIP and the position embedding, as two files."""
    folder = tmp_path_factory.mktemp("weights")
    click = {"model.video_tower.prompt_encoder.pos_emb3d.position_embedding_head.0.weight": torch.ones(4, 3)}
    return (
        save(folder / "clip.safetensors", clip_state() | {"text_model.final.weight": torch.ones(2)}),
        save(folder / "llava3d.bin", position_state() | click | {"model.layers.0.weight": torch.ones(2)}),
    )


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return write_scannet(tmp_path_factory.mktemp("room") / "scene0000_00", VIEWS)


def encoder_of(weights, **settings):
    clip, positions = map(str, weights)
    paths = {"weights": clip, "position_weights": positions}
    return build({"type": "llava3d", "heads": 4, "device": "cpu", **paths, **settings})


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    assert found.shape == wanted.shape
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@golden
class TestReference:
    def features(self, file, points):
        stored = load_file(LLAVA3D / "small_forward.safetensors")
        encoder = encoder_of([file, file])
        given = [stored["xyz"][0].flatten(1, 2)] if points else []
        with torch.no_grad():
            return view_features(encoder.module, stored["images"][0], *given)

    def test_patches_and_their_positions(self):
        stored = load_file(LLAVA3D / "small_forward.safetensors")
        file = LLAVA3D / "small_model.safetensors"
        assert relative(self.features(file, points=False), stored["clip_patch_features"]) < 1e-5
        assert relative(self.features(file, points=True).flatten(0, 1), stored["output_features"][0]) < 1e-5

    def test_small_variances(self, tmp_path):
        """A wrong epsilon in a norm shows here alone."""
        factors = json.loads((LLAVA3D / "config.json").read_text())["eps_probe"]["scale"]
        state = load_file(LLAVA3D / "small_model.safetensors")
        for pattern, factor in factors.items():
            for name in state:
                if re.search(pattern, name):
                    state[name] = state[name] * factor
        file = save(tmp_path / "small.pth", state)
        wanted = load_file(LLAVA3D / "eps_probe.safetensors")

        patches = self.features(file, points=False)
        with torch.no_grad():
            points = load_file(LLAVA3D / "small_forward.safetensors")["xyz"]
            embedded = encoder_of([file, file]).module["positions"](points)

        assert relative(patches, wanted["clip_patch_features"]) < 2e-5
        assert relative(embedded, wanted["pos_embed"]) < 2e-5

    def test_published_sizes(self):
        shapes = json.loads((GOLDEN.parent / "fullsize_shapes.json").read_text())["llava3d_clip_vit_l14_336"]
        tensors = {
            name.removeprefix("vision_model."): Stored(LLAVA3D, name, tuple(shape))
            for name, shape in shapes.items()
            if "position_ids" not in name
        }
        clip = read_clip(Checkpoint("published", tensors, {}, None), None, ACTIVATION)
        assert (clip.width, clip.rows, clip.image_size, clip.config.num_hidden_layers) == (1024, 24, 336, 24)


def test_a_grid_of_patches_a_view(weights, room):
    encoder = encoder_of(weights, batch_size=4)

    side = encoder.encode(room)

    assert side.values.shape == (6, 4, 16) and side.grid == (2, 2)
    assert (side.width, side.tokens) == (encoder.width, encoder.tokens)
    assert side.times_sec.tolist() == pytest.approx([0, 1, 2, 3, 4, 5])
    torch.testing.assert_close(side.values, encoder_of(weights, batch_size=1).encode(room).values, atol=1e-5, rtol=0)


def test_positions_are_added_to_what_clip_sees(weights, room):
    encoder = encoder_of(weights)
    plain = encoder_of(weights, position_weights=None)

    added = encoder.encode(room).values - plain.encode(room).values

    points = [encoder._points(frame) for frame in _frames(room)]
    with torch.no_grad():
        wanted = encoder.module["positions"](torch.from_numpy(np.stack(points)))
    torch.testing.assert_close(added, wanted, atol=1e-5, rtol=0)
    assert plain.num_parameters < encoder.num_parameters and plain.revision != encoder.revision


def test_points_are_where_the_room_is(weights, room):
    """The ray-cast room has its floor at height 0; nothing but what the cameras see is a point."""
    encoder = encoder_of(weights)
    points = np.concatenate([encoder._points(frame) for frame in _frames(room)])
    assert points[:, 2].min() > -0.05 and np.abs(points).max() < 8


def _frames(room):
    from pave.media.recording import open_recording

    return open_recording(room).frames()


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_layout(weights, tmp_path, name):
    folder = LAYOUTS[name](tmp_path / name, VIEWS)
    fx, fy, cx, cy = VIEWS[0].intrinsics
    settings = {"intrinsics": [fx, fy, cx, cy]} if name == "tum" else {}

    assert encoder_of(weights, **settings).encode(folder).steps == 6


def test_views_are_taken_evenly_from_the_first(weights, room):
    assert encoder_of(weights, views=3).encode(room).times_sec.tolist() == pytest.approx([0, 2, 4])
    assert chosen_views(100, 32) == list(range(0, 96, 3))
    assert chosen_views(20, 32) == list(range(20))
    assert chosen_views(32, 32) == list(range(32))


def test_a_view_without_a_pose_is_skipped(weights, tmp_path, caplog):
    room = write_scannet(tmp_path / "scene0001_00", VIEWS)
    (room / "pose" / "60.txt").write_text("-inf -inf -inf -inf\n" * 4)

    assert encoder_of(weights).encode(room).times_sec.tolist() == pytest.approx([0, 1, 3, 4, 5])
    assert "1 of 6 frames skipped" in caplog.text


def test_half_precision_keeps_positions_whole(weights, room):
    half = encoder_of(weights, dtype="bfloat16")

    assert half.encode(room).values.dtype == torch.bfloat16
    assert next(half.module["positions"].parameters()).dtype == torch.float32
    assert relative(half.encode(room).values.float(), encoder_of(weights).encode(room).values) < 0.05


def test_costs(weights):
    encoder = encoder_of(weights)
    assert encoder.num_parameters == sum(weight.numel() for weight in encoder.module.parameters())
    assert encoder.flops(3.0) == 32 * encoder_of(weights, views=1).flops(9.0) > 10**5


def test_settings_that_do_not_go(weights, tmp_path):
    def refused(message, **settings):
        with pytest.raises(InputError, match=message):
            encoder_of(weights, **settings)

    refused("views is 0", views=0)
    refused("heads is 0", heads=0)
    refused("frames_per_sec is 0", frames_per_sec=0.0)
    refused(
        "embeds positions in width 20, but .* has 16",
        position_weights=str(save(tmp_path / "w.pth", position_state(20))),
    )
    with pytest.raises(InputError, match="lacks 'position_weights'"):
        build({"type": "llava3d", "weights": str(weights[0])})


def test_what_decides_a_recording(weights, room, tmp_path):
    """A folder by all that is in it; a list of cameras also by the files that it names."""
    assert encoder_of(weights).sources(room) == [room]
    folder = LAYOUTS["cameras"](tmp_path / "cameras", VIEWS)
    listing = folder / "cameras.json"

    found = encoder_of(weights, views=2).sources(listing)

    assert found[0] == listing and len(found) == 5 and all(file.is_file() for file in found)
