"""The files of a checkpoint are read out of folders and zips without running or unpacking anything."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from pave.convert.reference import convert_reference
from tests.convert.checkpoints import NAME, PATCH_FILE, Intruder, refused, write_checkpoint, zipped


class TestZip:
    @pytest.mark.parametrize("inside", ["", f"{NAME}/"])
    def test_the_same_as_its_folder(self, base: str, source: Path, tmp_path: Path, inside: str) -> None:
        convert_reference(source, base, tmp_path / "folder")
        convert_reference(zipped(source, tmp_path / f"{NAME}.zip", inside), base, tmp_path / "zip")
        files = sorted(path.relative_to(tmp_path / "zip") for path in (tmp_path / "zip").rglob("*") if path.is_file())
        assert len(files) == 8
        for file in files:
            assert (tmp_path / "zip" / file).read_bytes() == (tmp_path / "folder" / file).read_bytes(), file

    def test_the_checkpoint_beside_earlier_ones(self, base: str, source: Path, tmp_path: Path) -> None:
        earlier = write_checkpoint(source / "checkpoint-3")
        torch.save({}, earlier / PATCH_FILE)
        convert_reference(source, base, tmp_path / "out")

    @pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil", "a/../../evil", "C:/evil", "..\\evil", "\\evil"])
    def test_members_that_lead_out_are_refused(self, base: str, source: Path, tmp_path: Path, name: str) -> None:
        path = zipped(source, tmp_path / "checkpoint.zip")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(zipfile.ZipInfo(name), "gotcha")
        refused(path, base, tmp_path / "out", "checkpoint.zip: member '.*evil.*' leads out of the zip")

    def test_links_are_refused(self, base: str, source: Path, tmp_path: Path) -> None:
        path = zipped(source, tmp_path / "checkpoint.zip")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(link, "/etc/passwd")
        refused(path, base, tmp_path / "out", "checkpoint.zip: member 'link' is a symbolic link")

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
    def test_truncated(self, base: str, source: Path, tmp_path: Path, share: float) -> None:
        path = zipped(source, tmp_path / "checkpoint.zip")
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        refused(path, base, tmp_path / "out", "checkpoint.zip: no folder, and no zip or a truncated one")

    def test_damaged_inside(self, base: str, source: Path, tmp_path: Path) -> None:
        path = zipped(source, tmp_path / "checkpoint.zip")
        with zipfile.ZipFile(path) as archive:
            offset = archive.getinfo(PATCH_FILE).header_offset
        data = bytearray(path.read_bytes())
        data[offset + 2000 : offset + 2100] = bytes(100)
        path.write_bytes(data)
        refused(path, base, tmp_path / "out", f"checkpoint.zip/{PATCH_FILE}: damaged, truncated or locked")

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_two_members_of_one_name(self, base: str, source: Path, tmp_path: Path) -> None:
        path = zipped(source, tmp_path / "checkpoint.zip")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(PATCH_FILE, b"another")
        refused(path, base, tmp_path / "out", f"holds the member '{PATCH_FILE}' 2 times")

    def test_several_checkpoints(self, base: str, source: Path, tmp_path: Path) -> None:
        write_checkpoint(source.parent / "other")
        refused(source.parent, base, tmp_path / "out", "holds several checkpoints .*give the folder of one")


@pytest.mark.parametrize("options", [{}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("name", [PATCH_FILE, "adapter_model.bin"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_a_callable_is_not_run(base: str, tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    source = write_checkpoint(tmp_path / "in", pickled_lora=True)
    state = torch.load(source / name, weights_only=True)
    torch.save({**state, "more": Intruder(tmp_path / "marker")}, source / name, **options)
    refused(source, base, tmp_path / "out", f"{name}: holds 'posix.system', which is no tensor")
    assert not (tmp_path / "marker").exists()
