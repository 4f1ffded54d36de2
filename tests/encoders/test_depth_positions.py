"""Where patches lie: true places of a ray-cast room, medians that were measured, Fourier features by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pave.encoders.depth_positions import fourier_features, fourier_width, patch_positions
from pave.media.cameras import Intrinsics, to_camera
from pave.media.recording import open_recording
from pave.media.rgbd import RgbdFrame
from tests.media.rooms import six_views, write_cameras

CAMERA = Intrinsics(40.0, 40.0, 5.5, 3.5, 12, 8)


def frame_of(depth_m, camera=CAMERA, depth_camera=None):
    height, width = depth_m.shape
    depth_camera = depth_camera or camera.scaled(width, height)
    pixels = np.zeros((camera.height, camera.width, 3), np.uint8)
    return RgbdFrame(0.0, pixels, depth_m.astype(np.float32), camera, depth_camera, np.eye(4), np.eye(4), None)


def test_patches_of_six_cameras_lie_on_the_surfaces_of_the_room(tmp_path):
    folder = write_cameras(tmp_path / "room", six_views(160, 120))
    for frame in open_recording(folder).frames():
        places = patch_positions(frame, (30, 40))
        # The floor is z = 0 and the back wall y = 3.3; a patch whose depths differ little shows one surface.
        cells = frame.depth_m.reshape(30, 4, 40, 4)
        flat = (np.ptp(cells, axis=(1, 3)) < 0.1 * cells.max((1, 3))).ravel()
        depth = to_camera(places, frame.camera_to_world)[:, 2]
        for off in (places[:, 2], places[:, 1] - 3.3):
            error = np.abs(off[flat & (np.abs(off) < 0.1)]) / depth[flat & (np.abs(off) < 0.1)]
            assert len(error) > 40
            assert np.quantile(error, 0.95) < 0.01 and np.median(error) < 0.005


def test_the_median_is_one_of_the_depths_and_knows_no_hole():
    depth = np.full((8, 12), 5.0)
    depth[0, 0] = 0
    depth[:4, 4:6] = 2.0
    depth[4:, :4] = 0
    places = patch_positions(frame_of(depth), (2, 3))
    assert places[:, 2][[0, 1, 2]].tolist() == [5, 2, 5], "of two depths in equal number the nearer"
    assert np.isnan(places[3]).all() and not np.isnan(places[4:]).any()


def test_the_place_is_at_the_centre_of_the_patch():
    places = patch_positions(frame_of(np.full((8, 12), 4.0)), (1, 1))
    np.testing.assert_allclose(places, [[0, 0, 4]], atol=1e-12)
    left = patch_positions(frame_of(np.full((8, 12), 4.0)), (1, 2))[0]
    np.testing.assert_allclose(left, [-3 / 40 * 4, 0, 4])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_depth_of_any_size_fills_every_patch(height, width, rows, columns):
    camera = Intrinsics(400.0, 400.0, 319.5, 239.5, 640, 480)
    depth_camera = camera.scaled(width, height)
    places = patch_positions(frame_of(np.full((height, width), 3.0), camera, depth_camera), (rows, columns))
    assert places.shape == (rows * columns, 3)
    np.testing.assert_allclose(places[:, 2], 3.0)


def test_depth_of_a_narrower_view_leaves_the_border_without():
    narrow = Intrinsics(80.0, 80.0, 5.5, 3.5, 12, 8)
    places = patch_positions(frame_of(np.full((8, 12), 3.0), depth_camera=narrow), (4, 4))
    has = ~np.isnan(places[:, 2]).reshape(4, 4)
    assert has.tolist() == [[False] * 4, [False, True, True, False], [False, True, True, False], [False] * 4]


def test_a_wider_depth_view_is_cut_to_the_picture():
    wide = Intrinsics(20.0, 20.0, 5.5, 3.5, 12, 8)
    depth = np.full((8, 12), 9.0)
    depth[2:6, 3:9] = 3.0
    places = patch_positions(frame_of(depth, depth_camera=wide), (2, 3))
    np.testing.assert_allclose(places[:, 2], 3.0)


def test_fourier_features_by_hand():
    positions = torch.tensor([[3.0, 0.0, 1.0], [math.nan] * 3])
    features = fourier_features(positions, (1.0, 0.0, 1.0), 4.0, (1.0, 2.0))
    p = torch.tensor([0.5, 0.0, 0.0])
    waves = [wave(math.pi * f * p) for f in (1.0, 2.0) for wave in (torch.sin, torch.cos)]
    torch.testing.assert_close(features[0], torch.cat([torch.ones(1), p, *waves]))
    assert features.shape[1] == fourier_width((1.0, 2.0)) == 16
    assert not features[1].any()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-20, 20), min_size=3, max_size=3), st.floats(0.5, 20), st.sampled_from([1.0, 2.0, 8.0]))
def test_a_frequency_repeats_at_its_wave_length(place, extent, frequency):
    here = torch.tensor(place, dtype=torch.float64)
    there = here + 2 * extent / frequency
    one, other = (fourier_features(x, (0, 0, 0), extent, (frequency,))[4:] for x in (here, there))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    assert abs(one.square().sum().item() - 3) < 1e-5, "a sine and a cosine for each axis"


def test_frames_keep_their_pose():
    depth = np.full((8, 12), 4.0)
    moved = np.eye(4)
    moved[:3, 3] = 1, 2, 3
    shifted = patch_positions(replace(frame_of(depth), camera_to_world=moved), (2, 2))
    np.testing.assert_allclose(shifted, patch_positions(frame_of(depth), (2, 2)) + [1, 2, 3])
