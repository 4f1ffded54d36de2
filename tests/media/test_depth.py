"""Depth maps and pictures from single files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pave.errors import InputError
from pave.media.depth import picture_size, read_depth, read_picture

UNITS = np.array([[0, 1500], [65535, 20]], np.uint16)


def test_sixteen_bits_in_millimetres(tmp_path):
    for name in ("depth.png", "depth.tiff"):
        Image.fromarray(UNITS).save(tmp_path / name)
        np.testing.assert_allclose(read_depth(tmp_path / name, 0.001), [[0, 1.5], [65.535, 0.02]], rtol=1e-6)


def test_floats_without_depth_are_zero(tmp_path):
    metres = np.array([[np.nan, np.inf, -np.inf], [-1, 0, 2.5]], np.float32)
    np.save(tmp_path / "depth.npy", metres)
    Image.fromarray(metres).save(tmp_path / "depth.tiff")
    for name in ("depth.npy", "depth.tiff"):
        depth = read_depth(tmp_path / name, 1.0)
        assert depth.dtype == np.float32
        assert depth.tolist() == [[0, 0, 0], [0, 0, 2.5]]


def test_a_picture_of_depth_is_not_depth(tmp_path):
    Image.fromarray((UNITS >> 8).astype(np.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"grey\.png: holds pixels of type L"):
        read_depth(tmp_path / "grey.png", 0.001)


@pytest.mark.parametrize("array", [np.zeros((2, 2, 3)), np.zeros((2, 2), complex), np.zeros((0, 2))])
def test_other_arrays_are_not_depth(tmp_path, array):
    np.save(tmp_path / "depth.npy", array)
    with pytest.raises(InputError, match=r"depth is numbers \(H,W\)"):
        read_depth(tmp_path / "depth.npy", 1.0)


@pytest.mark.parametrize("name", ["depth.png", "depth.npy"])
def test_damaged_files_are_named(tmp_path, name):
    whole = tmp_path / f"whole-{name}"
    noise = np.random.default_rng(0).integers(1, 60_000, (64, 64)).astype(np.uint16)
    np.save(whole, noise) if name.endswith("npy") else Image.fromarray(noise).save(whole)
    (tmp_path / name).write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InputError, match=name):
        read_depth(tmp_path / name, 0.001)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="0 bytes"):
        read_depth(tmp_path / name, 0.001)
    with pytest.raises(InputError, match="no such file"):
        read_depth(tmp_path / "nothing" / name, 0.001)


def test_pictures_are_rgb_whatever_they_were(tmp_path):
    Image.new("L", (5, 3), 7).save(tmp_path / "grey.png")
    picture = read_picture(tmp_path / "grey.png")
    assert picture.shape == (3, 5, 3) and (picture == 7).all()
    assert picture_size(tmp_path / "grey.png") == (5, 3)


@pytest.mark.parametrize("read", [read_picture, picture_size])
def test_what_is_no_picture_is_said(tmp_path, read):
    (tmp_path / "x.png").write_text("not a picture")
    with pytest.raises(InputError, match=r"x\.png: not a whole picture \(no format that is known\)"):
        read(tmp_path / "x.png")


def test_a_picture_whose_decoder_fails_in_its_own_way_is_said(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "odd.dds")
    content = bytearray((tmp_path / "odd.dds").read_bytes())
    content[80:84] = bytes(4)
    (tmp_path / "odd.dds").write_bytes(content)
    for read in (read_picture, picture_size, lambda path: read_depth(path, 1.0)):
        with pytest.raises(InputError, match=r"odd.dds: not a whole (picture|depth file) \(Unknown pixel format"):
            read(tmp_path / "odd.dds")


def test_a_picture_of_more_pixels_than_can_be_meant_is_said(tmp_path, monkeypatch):
    Image.new("RGB", (30, 20)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for read in (read_picture, picture_size, lambda path: read_depth(path, 1.0)):
        with pytest.raises(InputError, match=r"huge.png: states more than 200 pixels; scale the .* down, or copy it"):
            read(tmp_path / "huge.png")


def test_an_archive_of_arrays_is_not_depth(tmp_path):
    np.savez(tmp_path / "depth.npz", depth=np.ones((2, 2)))
    (tmp_path / "depth.npz").rename(tmp_path / "depth.npy")
    with pytest.raises(InputError, match=r"depth.npy: an archive of arrays; depth is one array \(H,W\)"):
        read_depth(tmp_path / "depth.npy", 1.0)
