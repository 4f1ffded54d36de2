from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from pave.encoders.llava3d_views import patch_points, square_camera, square_depth, square_picture
from pave.media.cameras import Intrinsics
from tests.encoders.published import GOLDEN

golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the encoders' outputs are not beside this checkout")
LLAVA3D = GOLDEN / "llava3d"


@golden
class TestReference:
    def test_from_depth_to_points(self):
        stored = load_file(LLAVA3D / "geometry.safetensors")
        matrix = stored["intrinsic_raw_4x4"]
        depths = stored["depth_u16_mm"].view(np.uint16).astype(np.float32) / 1000
        height, width = depths.shape[1:]
        camera = Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], width, height)
        for view, depth in enumerate(depths):
            square = square_depth(depth, 336)
            assert np.array_equal(square[::7, ::7], stored["depth_336_stride_7"][view])
            scaled = square_camera(camera, 336)
            assert scaled == pytest.approx(stored["intrinsic_336"][view][:3, :3], abs=1e-4)
            pose = stored["axis_align"] @ stored["pose_cam_to_world"][view]
            points = patch_points(square, scaled, pose, 24)
            assert points == pytest.approx(stored["xyz_24"][0, view], abs=2e-5)

    def test_pictures(self):
        stored = load_file(LLAVA3D / "geometry.safetensors")
        for pixels, wanted in zip(stored["rgb_u8"], stored["clip_pixels_stride_9"], strict=True):
            assert square_picture(pixels, 336)[:, ::9, ::9] == pytest.approx(wanted, abs=2e-5)

    def test_what_is_larger_than_the_square(self):
        stored = load_file(LLAVA3D / "preprocess_formula.safetensors")
        x, y = np.arange(640), np.arange(480)[:, None]
        depth = ((17 * x + 29 * y) % 7000).astype(np.float32) / 1000
        assert np.array_equal(square_depth(depth, 336)[::5, ::5], stored["depth_336_stride_5"])
        x, y = np.arange(648), np.arange(484)[:, None]
        colours = [(3 * x * x + 5 * y * y + 7 * x * y + 37 * colour) % 256 for colour in range(3)]
        found = square_picture(np.stack(colours, axis=-1).astype(np.uint8), 336)[:, ::7, ::7]
        assert found == pytest.approx(stored["clip_pixels_stride_7"][0], abs=2e-5)


@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (50, 50)])
def test_points_lie_where_the_camera_sees_them(width, height):
    """A plane 2 m in front of a camera, whatever the shape of its picture."""
    camera = Intrinsics(60.0, 60.0, (width - 1) / 2, (height - 1) / 2, width, height)
    pose = np.eye(4)
    pose[:3, 3] = [1.0, 2.0, 3.0]

    matrix = square_camera(camera, 28)
    points = patch_points(square_depth(np.full((height, width), 2.0, np.float32), 28), matrix, pose, 2)

    assert points[..., 2] == pytest.approx(np.full((2, 2), 5.0))
    middle = points[1, 1, :2]
    assert middle == pytest.approx([1.0, 2.0], abs=2 * 2.0 / 60), "the middle of the picture is straight ahead"
    assert points[1, 1, 0] - points[1, 0, 0] == pytest.approx(min(width, height) / 2 / 60 * 2.0, rel=0.1)


def test_a_pixel_without_depth_is_at_the_camera():
    pose = np.eye(4)
    pose[:3, 3] = [1.0, 2.0, 3.0]
    points = patch_points(np.zeros((28, 28), np.float32), np.diag([20.0, 20.0, 1.0]), pose, 2)
    assert points == pytest.approx(np.broadcast_to([1.0, 2.0, 3.0], (2, 2, 3)))
