"""RGB-D recordings as side channels: true times, places and features; bounded memory; wrong input told."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from pave.data.side import SideReader
from pave.encoders import build
from pave.encoders.depth_positions import fourier_features, fourier_width, patch_positions
from pave.errors import InputError
from pave.media.recording import open_recording
from tests.encoders.depth_models import DEPTH_BUILDERS, save_tiny_model
from tests.encoders.video_models import GreyTower
from tests.media.rooms import LAYOUTS, edit_cameras, six_views, write_cameras, write_scannet
from tests.media.writing import grey_frames, grey_levels, write_media

VIEWS = six_views()
SPATIAL = fourier_width((1, 2, 4, 8, 16, 32))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: save_tiny_model(name, folder / name) for name in [*DEPTH_BUILDERS, "clip", "dinov2"]}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return write_cameras(tmp_path_factory.mktemp("rooms") / "room", VIEWS)


def on_tower(**settings):
    encoder = build({"type": "depth", "device": "cpu", **settings})
    encoder.attach(GreyTower())
    return encoder


def places_only(**settings):
    return build({"type": "depth", "vision": "none", "grid": [3, 4], **settings})


def blind(index):
    """The views, one of them without any valid depth."""
    return [replace(v, depth_m=v.depth_m * (i != index)) for i, v in enumerate(VIEWS)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_features_and_places_of_every_layout(tmp_path, name):
    folder = LAYOUTS[name](tmp_path / name, VIEWS)
    encoder = on_tower(**({"intrinsics": list(VIEWS[0].intrinsics)} if name == "tum" else {}))

    side = encoder.encode(folder)

    assert side.times_sec.tolist() == pytest.approx(list(range(6)), abs=1e-5)
    assert side.grid == (2, 2) and side.width == encoder.width == 1 + SPATIAL and encoder.tokens == 4
    grey = [view.picture.mean(-1).reshape(2, 36, 2, 48).mean((1, 3)).ravel() for view in VIEWS]
    np.testing.assert_allclose(side.values[..., 0], grey, atol=2)
    assert (side.values[..., 1] == 1).all()
    frames = list(open_recording(folder, encoder.config).frames())
    places = torch.from_numpy(np.stack([patch_positions(frame, (2, 2)) for frame in frames]))
    expected = fourier_features(places, (0, 0, 0), 8.0, encoder.config.frequencies)
    torch.testing.assert_close(side.values[..., 1:], expected)


def test_tokens_of_one_place_are_alike_from_every_camera(room):
    """What positions are for: the same wall gives the same coordinate from all six cameras."""
    side = places_only(grid=[18, 24]).encode(room)
    depth_flag, places = side.values[..., 0], side.values[..., 1:4] * 8
    for step in range(6):
        floor = (places[step, :, 2].abs() < 0.03) & (depth_flag[step] == 1)
        wall = (places[step, :, 1] - 3.3).abs() < 0.06
        assert floor.sum() > 40 and wall.sum() > 10


def test_frames_are_taken_evenly_and_at_their_true_times(room):
    assert on_tower(frames=2).encode(room).times_sec.tolist() == [1, 4]
    assert on_tower(frames=3).encode(room).times_sec.tolist() == [1, 3, 5]
    assert on_tower(frames=2, offset_sec=0.75).encode(room).times_sec.tolist() == [1.75, 4.75]


def test_a_patch_without_depth_says_so(tmp_path, caplog):
    folder = write_cameras(tmp_path / "room", blind(2))
    with caplog.at_level(logging.WARNING):
        side = on_tower().encode(folder)
    assert side.values[2, :, 1:].abs().sum() == 0
    assert (side.values[[0, 1, 3, 4, 5], :, 1] == 1).all()
    assert "1 of 6 frames have no valid depth" in caplog.text


def test_places_beyond_the_scene_are_counted(room, caplog):
    with caplog.at_level(logging.WARNING):
        places_only(extent_m=2.0).encode(room)
    assert "patches lie beyond extent_m 2" in caplog.text


def test_a_wrong_convention_fails_loudly(tmp_path):
    folder = write_scannet(tmp_path / "scene", VIEWS)
    with pytest.raises(InputError, match="read as 'poses: camera_to_world, axes: opencv' they agree in 100%"):
        places_only(poses="world_to_camera").encode(folder)
    assert places_only(poses="world_to_camera", min_agreement=0).encode(folder).steps == 6


def test_the_scene_is_where_the_settings_say(room):
    moved = places_only(centre_m=[1, 2, 3], extent_m=4).encode(room).values
    plain = places_only().encode(room).values
    seen = plain[..., 0] == 1
    places = moved[seen][:, 1:4] * 4 + torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(places, plain[seen][:, 1:4] * 8, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", DEPTH_BUILDERS)
def test_missing_depth_is_estimated_and_the_rest_is_not(tmp_path, models, name):
    folder = write_cameras(tmp_path / "room", blind(2))
    (folder / "depth" / "004.png").unlink()
    edit_cameras(folder, frames={5: {"depth": None}})
    measured = places_only().encode(folder)
    assert measured.times_sec.tolist() == [0, 1, 2, 3], "without an estimate, frames without a depth file are skipped"

    encoder = places_only(depth="estimate", depth_model=str(models[name]), device="cpu")
    side = encoder.encode(folder)

    assert side.times_sec.tolist() == [0, 1, 2, 3, 4, 5]
    assert (side.values[[2, 4, 5], :, 0] == 1).all()
    torch.testing.assert_close(side.values[[0, 1, 3]], measured.values[[0, 1, 3]])
    assert encoder.num_parameters > 1000 and encoder.flops(1.0) > 0 and encoder.revision


def test_any_vision_model_sees_the_pictures(room, models):
    encoder = build({"type": "depth", "vision": str(models["dinov2"]), "device": "cpu"})
    side = encoder.encode(room)
    assert side.grid == (4, 4) and side.width == encoder.width == 16 + SPATIAL and encoder.tokens == 16
    assert side.values[..., :16].std() > 0.1
    assert encoder.revision and encoder.num_parameters > 1000 and encoder.flops(1.0) % 32 == 0
    coarse = build({"type": "depth", "vision": str(models["dinov2"]), "device": "cpu", "grid": [2, 1]}).encode(room)
    expected = side.values[..., :16].reshape(6, 2, 2, 4, 16).mean((2, 3))
    torch.testing.assert_close(coarse.values[..., :16], expected)


def test_half_precision(room, models):
    side = build({"type": "depth", "vision": str(models["clip"]), "device": "cpu", "dtype": "bfloat16"}).encode(room)
    assert side.values.dtype == torch.bfloat16


def test_few_frames_are_in_memory_at_once(tmp_path, monkeypatch):
    folder = write_cameras(tmp_path / "room", VIEWS * 5)
    edit_cameras(folder, frames={index: {"time_sec": index / 10} for index in range(30)})
    encoder = on_tower()
    assert encoder.encode(folder).steps == 30
    assert encoder.attached.most == 8


def test_the_files_that_decide_the_channel(tmp_path):
    scene = write_scannet(tmp_path / "scene", VIEWS)
    room = write_cameras(tmp_path / "room", VIEWS)
    encoder = on_tower(frames=2)
    assert encoder.sources(scene) == [scene], "a number in a file's name is its time"
    listed = [file.relative_to(room).as_posix() for file in encoder.sources(room / "cameras.json")]
    assert listed == ["cameras.json", "color/001.png", "color/004.png", "depth/001.png", "depth/004.png"]
    film = write_media(tmp_path / "film.mp4", grey_frames(60, 72, 96), fps=10)
    edit_cameras(room, video="../film.mp4", frames={index: {"picture": None} for index in range(6)})
    assert [file.resolve() for file in encoder.sources(room)] == [room, film]


def test_a_film_shows_what_its_cameras_saw(tmp_path):
    room = write_cameras(tmp_path / "room", VIEWS)
    write_media(room / "film.mp4", grey_frames(60, 72, 96), fps=10)
    edit_cameras(room, video="film.mp4", frames={index: {"picture": None} for index in range(6)})
    side = on_tower().encode(room)
    np.testing.assert_allclose(side.values[:, 0, 0], grey_levels(22)[[0, 10, 20, 8, 18, 6]], atol=3)


def test_the_base_gives_its_own_tower(tmp_path, room):
    from pave.config import PatchConfig, Preprocessing
    from pave.model import PaveModel
    from tests.tiny import base_folder

    model = PaveModel.from_base(str(base_folder("llava_onevision")))
    width = model.family.vision_dim + SPATIAL
    model.add_patch("depth", PatchConfig(channel="depth", side_dim=width, hidden_dim=16, heads=2), lora=None)
    model.preprocessing["depth"] = Preprocessing(frames=4, encoder={"type": "depth", "frames": 3})
    side = SideReader.from_model(model).encode("depth", room)
    assert side.width == width and side.steps == 3 and side.grid == model.family.frame_grid


def test_a_tower_is_needed_only_where_the_settings_say_so(room, models):
    assert build({"type": "depth"}).needs_tower
    assert not places_only().needs_tower
    with pytest.raises(InputError, match="attach"):
        build({"type": "depth"}).encode(room)


def test_pictures_of_two_sizes_are_refused(tmp_path):
    folder = write_cameras(tmp_path / "room", VIEWS)
    other = write_cameras(tmp_path / "other", six_views(48, 36))
    (folder / "color" / "003.png").write_bytes((other / "color" / "003.png").read_bytes())
    with pytest.raises(InputError, match=r"003\.png: has 48 x 36 pixels, the pictures before 96 x 72"):
        on_tower().encode(folder)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frames": 0}, "frames is 0"),
        ({"grid": [3]}, "rows and columns"),
        ({"vision": "none"}, "set grid"),
        ({"depth": "estimate"}, "go together"),
        ({"depth_model": "a/b"}, "go together"),
        ({"depth": "guess"}, "choose from 'files', 'estimate'"),
        ({"centre_m": [0, 0]}, "x, y and z"),
        ({"extent_m": 0}, "extent_m is 0"),
        ({"frequencies": [1, -2]}, "each must be above 0"),
        ({"min_agreement": 1.5}, "from 0 to 1"),
        ({"axes": "opengel"}, "did you mean 'opengl'"),
        ({"layout": "scanet"}, "did you mean 'scannet'"),
        ({"dtype": "float8"}, "choose from"),
        ({"device": "gpu7x"}, "device"),
        ({"frame": 3}, "did you mean 'frames'"),
    ],
)
def test_settings_are_checked(settings, words):
    with pytest.raises(InputError, match=words):
        build({"type": "depth", **settings})


def test_a_grid_finer_than_the_features_is_refused(room):
    with pytest.raises(InputError, match="finer than the 2 x 2 features"):
        on_tower(grid=[3, 2]).encode(room)
