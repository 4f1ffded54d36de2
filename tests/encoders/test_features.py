from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pave.encoders import features
from pave.encoders.features import read_features, save_features
from pave.errors import InputError
from pave.types import SideChannel


@pytest.fixture
def side():
    values = torch.randn(5, 6, 4, generator=torch.Generator().manual_seed(0))
    return SideChannel(values, torch.arange(5) * 0.5, (2, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_round_trip_is_exact(tmp_path, side, dtype):
    save_features(tmp_path / "a.safetensors", side.to(dtype=dtype))

    read = read_features(tmp_path / "a.safetensors")

    assert torch.equal(read.values, side.values.to(dtype)) and read.values.dtype == dtype
    assert torch.equal(read.times_sec, side.times_sec) and read.times_sec.dtype == torch.float64
    assert read.grid == (2, 3)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, side, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_features(path, side)
    before = path.read_bytes()

    def fail(tensors, target):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(features, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_features(path, side)

    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_where_features_cannot_be_written(tmp_path, side):
    with pytest.raises(InputError, match=r"end the name so"):
        save_features(tmp_path / "a.pt", side)
    with pytest.raises(InputError, match="does not exist"):
        save_features(tmp_path / "none" / "a.safetensors", side)


class Bomb:
    def __reduce__(self):
        return (os.system, ("false",))


def test_python_objects_are_never_unpickled(tmp_path):
    torch.save({"values": Bomb()}, tmp_path / "a.pt")

    with pytest.raises(InputError, match=r"a\.pt: .*never unpickled") as error:
        read_features(tmp_path / "a.pt")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt", "old.pt", "a.safetensors"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_told_in_one_line(tmp_path, side, name, data):
    path = tmp_path / name
    write = {
        "a.npy": lambda: np.save(path, side.values.numpy()),
        "a.npz": lambda: np.savez_compressed(path, values=side.values.numpy()),
        "a.pt": lambda: torch.save({"values": side.values}, path),
        "old.pt": lambda: torch.save({"values": side.values}, path, _use_new_zipfile_serialization=False),
        "a.safetensors": lambda: save_features(path, side),
    }
    write[name]()
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        read_features(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
