from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pave.encoders import build
from pave.encoders.features import save_features
from pave.errors import InputError
from pave.types import SideChannel
from tests.encoders.test_features import Bomb

VALUES = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
TIMES_SEC = torch.tensor([0.5, 1.0, 2.0, 4.0])
WITH_TIMES = {"values": VALUES, "times_sec": TIMES_SEC}


def write(path, content):
    if path.suffix == ".safetensors":
        save_file(content if isinstance(content, dict) else {"values": content}, path)
    elif path.suffix == ".npy":
        np.save(path, content.numpy() if isinstance(content, torch.Tensor) else content, allow_pickle=True)
    elif path.suffix == ".npz":
        np.savez(path, **{key: np.asarray(value) for key, value in content.items()})
    else:
        torch.save(content, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt", ".pth"])
def test_files_with_times(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", WITH_TIMES | {"grid": torch.tensor([2, 1])})

    side = build({"type": "precomputed", "width": 3}).encode(path)

    assert torch.equal(side.values, VALUES)
    assert side.times_sec.tolist() == TIMES_SEC.tolist()
    assert side.grid == (2, 1)


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors"])
def test_files_without_times_get_them_from_the_settings(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", VALUES)

    side = build({"type": "precomputed", "hop_sec": 0.5, "start_sec": 0.25}).encode(path)

    assert side.times_sec.tolist() == [0.25, 0.75, 1.25, 1.75]
    with pytest.raises(InputError, match=r"holds no times; .*'hop_sec'"):
        build({"type": "precomputed"}).encode(path)


def test_two_axes_are_one_token_a_step(tmp_path):
    path = write(tmp_path / "a.npy", VALUES[:, 0])

    assert build({"type": "precomputed", "hop_sec": 1.0}).encode(path).values.shape == (4, 1, 3)


def test_the_offset_is_added_to_times_of_either_origin(tmp_path):
    with_times = write(tmp_path / "a.pt", WITH_TIMES)
    without = write(tmp_path / "a.npy", VALUES)

    assert build({"type": "precomputed", "offset_sec": 1.5}).encode(with_times).times_sec[0] == 2.0
    assert build({"type": "precomputed", "hop_sec": 1.0, "offset_sec": 1.5}).encode(without).times_sec[0] == 1.5


def test_what_was_saved_is_read(tmp_path):
    side = SideChannel(VALUES.bfloat16(), TIMES_SEC)
    save_features(tmp_path / "a.safetensors", side)

    read = build({"type": "precomputed"}).encode(tmp_path / "a.safetensors")

    assert torch.equal(read.values, side.values) and torch.equal(read.times_sec, side.times_sec)


def test_big_endian_arrays_are_read(tmp_path):
    np.save(tmp_path / "a.npy", VALUES.numpy().astype(">f4"))

    assert torch.equal(build({"type": "precomputed", "hop_sec": 1.0}).encode(tmp_path / "a.npy").values, VALUES)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("nan.pt", {"values": torch.full((4, 3), float("nan")), "times_sec": TIMES_SEC}, "NaN"),
        ("inf.pt", {"values": VALUES, "times_sec": TIMES_SEC / 0}, "NaN or infinity"),
        ("wide.pt", {"values": torch.zeros(4, 5), "times_sec": TIMES_SEC}, "width 5, the settings say 3"),
        ("back.pt", {"values": VALUES, "times_sec": TIMES_SEC.flip(0)}, "goes back at step 1"),
        ("early.pt", {"values": VALUES, "times_sec": TIMES_SEC - 1}, "negative time -0.5"),
        ("more.pt", {"values": VALUES, "times_sec": TIMES_SEC[:3]}, "for 4 steps"),
        ("flat.pt", {"values": torch.zeros(4), "times_sec": TIMES_SEC}, r"\(K,N,D\)"),
        ("whole.pt", {"values": torch.zeros(4, 3, dtype=torch.int64), "times_sec": TIMES_SEC}, "float tensor"),
        ("grid.pt", WITH_TIMES | {"grid": torch.tensor([3, 3])}, "grid 3 x 3"),
        ("shape.pt", WITH_TIMES | {"grid": torch.tensor([2])}, "rows and columns"),
        ("keys.pt", {"features": VALUES}, "holds features; name its tensors values"),
        ("extra.pt", WITH_TIMES | {"labels": VALUES}, "holds values, times_sec, labels"),
        ("text.pt", {"values": "many", "times_sec": TIMES_SEC}, "values is a str"),
        ("bomb.pt", {"values": Bomb()}, "never unpickled"),
        ("object.npy", np.array([{"a": 1}], dtype=object), "not a whole .npy file of numbers"),
        ("text.npy", np.array(["a", "b"]), "values is an array of <U1"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, name, content, says):
    path = write(tmp_path / name, content)

    with pytest.raises(InputError, match=says) as error:
        build({"type": "precomputed", "width": 3}).encode(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".npy", ".npz", ".pt"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9])
def test_cut_files_are_named(tmp_path, suffix, kept):
    path = write(tmp_path / f"a{suffix}", VALUES if suffix == ".npy" else WITH_TIMES)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    with pytest.raises(InputError) as error:
        build({"type": "precomputed", "hop_sec": 1.0}).encode(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_files_that_are_none(tmp_path):
    encoder = build({"type": "precomputed"})
    with pytest.raises(InputError, match="no such file"):
        encoder.encode(tmp_path / "none.pt")
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InputError, match=r"unknown feature format '\.csv'; use one of \.safetensors"):
        encoder.encode(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "settings", [{"width": 0}, {"hop_sec": 0.0}, {"start_sec": -1.0}, {"offset_sec": float("inf")}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        build({"type": "precomputed", **settings})
