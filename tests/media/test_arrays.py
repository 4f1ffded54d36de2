"""NumPy files are read whole or refused in one line, however they are damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pave.errors import InputError
from pave.media.arrays import read_arrays


def test_arrays_come_back(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "one.npy", values)
    np.savez_compressed(tmp_path / "many.npz", values=values, times_sec=values[0])
    one, many = read_arrays(tmp_path / "one.npy"), read_arrays(tmp_path / "many.npz")
    assert isinstance(one, np.ndarray) and (one == values).all()
    assert isinstance(many, dict) and list(many) == ["values", "times_sec"] and (many["values"] == values).all()


@pytest.mark.parametrize("name", ["one.npy", "many.npz"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_told_in_one_line(tmp_path: Path, name: str, data: st.DataObject) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4))
    path = tmp_path / name
    np.save(path, values) if name.endswith("npy") else np.savez_compressed(path, values=values)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        read_arrays(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: not a whole ") and "\n" not in str(error)


def test_objects_and_unknown_compression_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "open.npy").write_bytes(b"\x93NUMPY\x01\x00\x04\x00{'a'")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("values.npy", b"")
    odd = bytearray((tmp_path / "odd.npz").read_bytes())
    odd[odd.index(b"PK\x01\x02") + 10] = 77
    (tmp_path / "odd.npz").write_bytes(odd)
    for name in ("objects.npy", "open.npy", "odd.npz"):
        with pytest.raises(InputError, match=rf"{name}: not a whole .np[yz] file of numbers \(.*\); write it again"):
            read_arrays(tmp_path / name)
