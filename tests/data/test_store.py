"""The feature store: gives back what was put, drops what is damaged, and says in one line why it cannot be used."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pave.data import store as module
from pave.data.store import FeatureStore, StoreError
from pave.data.store_item import Item, key_of
from pave.errors import InputError


def make_item(number: int, size: int = 8, **about: Any) -> Item:
    generator = torch.Generator().manual_seed(number)
    values = torch.randn(3, 2, size, generator=generator)
    return Item({"values": values}, {"times_sec": torch.arange(3, dtype=torch.float64) / 3}, {"n": number, **about})


def same(one: Item | None, other: Item | None) -> bool:
    assert one is not None and other is not None
    return (
        one.about == other.about
        and all(torch.equal(one.features[name], value) for name, value in other.features.items())
        and all(torch.equal(one.exact[name], value) for name, value in other.exact.items())
    )


def files(store: Path) -> dict[str, bytes]:
    """Content of a store, without the locks."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
    }


def shards(store: Path) -> list[Path]:
    return sorted((store / "shards").glob("*.safetensors"))


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("dtype", "width"), [("fp32", 24), ("bf16", 8), ("fp16", 11)])
def test_gives_back_what_was_put(tmp_path: Path, dtype: Any, width: int, packed: bool) -> None:
    item = make_item(0)
    with FeatureStore(tmp_path / "store", dtype) as store:
        put = store.put(item)
        if packed:
            store.compact()
    found = FeatureStore(tmp_path / "store").get(item.key)
    assert found is not None and same(found, put)
    assert found.features["values"].dtype == torch.float32
    torch.testing.assert_close(found.features["values"], item.features["values"], rtol=2**-width, atol=0)
    assert dtype != "fp32" or same(found, item)
    assert torch.equal(found.exact["times_sec"], item.exact["times_sec"])


@given(
    st.lists(st.tuples(st.sampled_from([torch.float32, torch.float16, torch.bfloat16]), st.integers(0, 5)), max_size=4)
)
@settings(max_examples=30, deadline=None)
def test_any_tensors(tensors: list[tuple[torch.dtype, int]]) -> None:
    import tempfile

    features = {f"t{index}": torch.randn(size, 2).to(dtype) for index, (dtype, size) in enumerate(tensors)}
    item = Item(features, {"grid": torch.tensor([2, 3]), "flag": torch.tensor(True)}, {"some": [1, "x", None]})
    with tempfile.TemporaryDirectory() as folder, FeatureStore(Path(folder) / "store", "fp32") as store:
        store.put(item)
        assert same(store.get(item.key), item)
        store.compact()
        assert same(store.get(item.key), item)


def test_key_is_the_content(tmp_path: Path) -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})
    with FeatureStore(tmp_path / "store") as store:
        assert store.get(make_item(1).key) is None
        assert store.keys() == set()


def test_same_items_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 1000)
    for name, order in (("one", range(20)), ("other", reversed(range(20)))):
        with FeatureStore(tmp_path / name) as store:
            for number in order:
                store.put(make_item(number))
            store.compact()
            assert store.keys() == {make_item(number).key for number in range(20)}
    one = files(tmp_path / "one")
    assert one == files(tmp_path / "other")
    assert sum(name.endswith(".safetensors") for name in one) > 2
    with FeatureStore(tmp_path / "one") as store:
        store.compact()
    assert files(tmp_path / "one") == one


def test_a_store_that_is_open_elsewhere_finds_what_was_packed(tmp_path: Path) -> None:
    reader = FeatureStore(tmp_path / "store", "fp32")
    with FeatureStore(tmp_path / "store") as writer:
        writer.put(make_item(0))
        assert same(reader.get(make_item(0).key), make_item(0))
        writer.compact()
        assert same(reader.get(make_item(0).key), make_item(0))
        writer.put(make_item(1))
        writer.prune([make_item(1).key])
        assert FeatureStore(tmp_path / "store").get(make_item(0).key) is None
        writer.put(make_item(2))
        writer.compact()
        assert same(reader.get(make_item(2).key), make_item(2))
        assert same(reader.get(make_item(1).key), make_item(1))


class TestDamage:
    @pytest.fixture
    def store(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> FeatureStore:
        store = FeatureStore(tmp_path / "store", "fp32")
        for number in range(6):
            store.put(make_item(number))
        store.compact()
        store.put(make_item(6))
        store.close()
        return store

    def reopened(self, store: FeatureStore) -> FeatureStore:
        return FeatureStore(store.folder)

    def served(self, store: FeatureStore) -> list[int]:
        """Numbers of the items that a store gives, each of which must be right."""
        found = []
        for number in range(7):
            item = store.get(make_item(number).key)
            if item is not None:
                assert same(item, make_item(number))
                found.append(number)
        return found

    def test_one_bit(self, store: FeatureStore, caplog: pytest.LogCaptureFixture) -> None:
        flip(shards(store.folder)[0])
        opened = self.reopened(store)
        served = self.served(opened)
        assert len(served) == 6
        assert "fails its checksum" in caplog.text
        (missing,) = set(range(7)) - set(served)
        opened.put(make_item(missing))
        assert self.served(opened) == list(range(7))
        opened.compact()
        caplog.clear()
        assert self.served(self.reopened(store)) == list(range(7)) and caplog.text == ""
        assert len(shards(store.folder)) == 1

    def test_verify_drops_what_is_damaged(self, store: FeatureStore) -> None:
        flip(shards(store.folder)[0])
        (dropped,) = self.reopened(store).verify()
        assert dropped in {make_item(number).key for number in range(6)}
        assert len(self.reopened(store).keys()) == 6
        assert self.reopened(store).verify() == []

    def test_every_byte_of_a_shard_and_its_index(self, tmp_path: Path) -> None:
        source = FeatureStore(tmp_path / "source", "fp32")
        for number in range(2):
            source.put(make_item(number, size=1))
        source.compact()
        index = next((source.folder / "shards").glob("*.json"))
        for path in (shards(source.folder)[0], index):
            for place in range(0, path.stat().st_size, 7):
                shutil.copytree(source.folder, tmp_path / "copy")
                flip(tmp_path / "copy" / "shards" / path.name, place)
                opened = FeatureStore(tmp_path / "copy")
                for number in range(2):
                    item = opened.get(make_item(number).key)
                    assert item is None or same(item, make_item(number, size=1))
                opened.verify()
                shutil.rmtree(tmp_path / "copy")

    @pytest.mark.parametrize("keep", [0, 10, 1000])
    def test_cut_off_shard(self, store: FeatureStore, keep: int) -> None:
        shard = shards(store.folder)[0]
        shard.write_bytes(shard.read_bytes()[:keep])
        opened = self.reopened(store)
        assert self.served(opened) == [6]
        assert len(opened.verify()) == 6
        assert self.served(self.reopened(store)) == [6]

    def test_missing_shard_or_index(self, store: FeatureStore) -> None:
        shards(store.folder)[0].unlink()
        assert self.served(self.reopened(store)) == [6]
        self.reopened(store).compact()
        assert len(list((store.folder / "shards").iterdir())) == 2

    @pytest.mark.parametrize("content", [b"", b"half", None])
    def test_loose_item(self, store: FeatureStore, content: bytes | None) -> None:
        (path,) = (store.folder / "loose").glob("*/*.safetensors")
        if content is None:
            flip(path)
        else:
            path.write_bytes(content)
        assert self.served(self.reopened(store)) == list(range(6))
        assert self.reopened(store).verify() == [make_item(6).key]
        assert not path.exists()

    def test_an_item_under_another_key(self, store: FeatureStore) -> None:
        (path,) = (store.folder / "loose").glob("*/*.safetensors")
        key = make_item(9).key
        (store.folder / "loose" / key[:2]).mkdir(exist_ok=True)
        path.rename(store.folder / "loose" / key[:2] / f"{key}.safetensors")
        assert self.reopened(store).get(key) is None


def test_prune(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store", "fp32")
    for number in range(4):
        store.put(make_item(number))
    store.compact()
    for number in range(4, 8):
        store.put(make_item(number))
    left_by_a_crash = store.folder / "loose" / make_item(5).key[:2] / ".half-written.safetensors"
    left_by_a_crash.touch()
    keep = {make_item(number).key for number in (0, 2, 5)}
    assert store.prune(keep) == 5
    assert store.keys() == keep
    assert all(same(store.get(make_item(number).key), make_item(number)) for number in (0, 2, 5))
    assert not left_by_a_crash.exists()
    assert store.prune(keep) == 0


def test_prune_waits_for_writers(tmp_path: Path) -> None:
    writer = FeatureStore(tmp_path / "store")
    writer.put(make_item(0))
    with pytest.raises(StoreError, match=r"process .* is writing to this store; prune when it is done"):
        FeatureStore(tmp_path / "store").prune([])
    writer.close()
    assert FeatureStore(tmp_path / "store").prune([]) == 1


def test_a_store_whose_making_was_cut_off_is_made(tmp_path: Path) -> None:
    for name in ("loose", "shards"):
        (tmp_path / "store" / name).mkdir(parents=True)
    for name in (".lock", ".store.json-half.json"):
        (tmp_path / "store" / name).touch()
    with FeatureStore(tmp_path / "store") as store:
        store.put(make_item(0))
        assert FeatureStore(tmp_path / "store").keys() == {make_item(0).key}
    (tmp_path / "other" / "loose").mkdir(parents=True)
    (tmp_path / "other" / "loose" / "mine.txt").touch()
    with pytest.raises(StoreError, match=r"other: holds no store.json but other things"):
        FeatureStore(tmp_path / "other")


def test_nobody_begins_to_write_while_what_crashes_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packer, writer = FeatureStore(tmp_path / "store", "fp32"), FeatureStore(tmp_path / "store", "fp32")
    began = threading.Thread(target=lambda: writer.put(make_item(0)))
    sweep = packer._sweep

    def sweep_slowly() -> None:
        began.start()
        began.join(0.2)
        assert not list((tmp_path / "store" / "loose").iterdir())
        sweep()

    monkeypatch.setattr(packer, "_sweep", sweep_slowly)
    packer.compact()
    began.join()
    assert packer.keys() == {make_item(0).key}
    writer.close()


def test_limit(tmp_path: Path) -> None:
    with FeatureStore(tmp_path / "store", "fp32", max_gb=1e-5) as store:
        with pytest.raises(StoreError, match="would outgrow its limit of 1e-05 GB; raise the limit or prune it"):
            for number in range(100):
                store.put(make_item(number))
        assert 0.8e4 < store.size_bytes <= 1e4
        store.compact()
        store.prune([])
        store.put(make_item(0))


def test_limit_counts_what_others_write(tmp_path: Path) -> None:
    with (
        FeatureStore(tmp_path / "store", "fp32", 3e-5) as one,
        FeatureStore(tmp_path / "store", "fp32", 3e-5) as other,
    ):
        with pytest.raises(StoreError, match="outgrow"):
            for number in range(100):
                (one, other)[number % 2].put(make_item(number))
        assert one.size_bytes < 3.2e4


class TestRefused:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_nan(self, tmp_path: Path, value: float) -> None:
        item = make_item(0)
        item.features["values"][1, 0, 2] = value
        with pytest.raises(InputError, match="feature 'values' holds NaN or infinity"):
            FeatureStore(tmp_path / "store").put(item)
        assert FeatureStore(tmp_path / "store").keys() == set()

    def test_too_large_for_the_float_type(self, tmp_path: Path) -> None:
        item = Item({"values": torch.full((1, 1, 1), 1e5)}, {}, {})
        with pytest.raises(
            InputError, match="feature 'values' holds 100000, too large for fp16; use a store of bf16 or fp32"
        ):
            FeatureStore(tmp_path / "store", "fp16").put(item)

    def test_other_float_type(self, tmp_path: Path) -> None:
        FeatureStore(tmp_path / "store", "bf16")
        with pytest.raises(StoreError, match="a store of bf16, not fp32"):
            FeatureStore(tmp_path / "store", "fp32")
        with pytest.raises(StoreError, match="dtype is 'fp8'; choose from fp32, bf16, fp16; did you mean"):
            FeatureStore(tmp_path / "store", "fp8")  # type: ignore[arg-type]

    @pytest.mark.parametrize("found", [{"format_version": 2, "dtype": "bf16"}, {"format_version": 1}, {}])
    def test_other_format_version(self, tmp_path: Path, found: dict[str, Any]) -> None:
        FeatureStore(tmp_path / "store")
        (tmp_path / "store" / "store.json").write_text(json.dumps(found))
        with pytest.raises(StoreError, match=r"store.json: format version .*, this library reads version 1"):
            FeatureStore(tmp_path / "store")

    def test_no_json(self, tmp_path: Path) -> None:
        FeatureStore(tmp_path / "store")
        (tmp_path / "store" / "store.json").write_text("{")
        with pytest.raises(StoreError, match="not valid JSON"):
            FeatureStore(tmp_path / "store")

    def test_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with pytest.raises(StoreError, match="holds no store.json but other things"):
            FeatureStore(tmp_path)
        with pytest.raises(StoreError, match=r"notes.txt: a file; name a folder"):
            FeatureStore(tmp_path / "notes.txt")

    @pytest.mark.parametrize(
        ("number", "reason"),
        [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "may not be written")],
    )
    @pytest.mark.parametrize("place", ["tempfile.mkstemp", "os.fsync", "os.replace"])
    def test_a_disk_that_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, place: str
    ) -> None:
        store = FeatureStore(tmp_path / "store", "fp32")
        store.put(make_item(0))

        def fail(*arguments: object, **options: object) -> None:
            raise OSError(number, "said the disk")

        monkeypatch.setattr(place, fail)
        with pytest.raises(StoreError, match=f"store: the store cannot be written: .*{reason}") as error:
            store.put(make_item(1))
        assert "\n" not in str(error.value)
        assert same(FeatureStore(tmp_path / "store").get(make_item(0).key), make_item(0))

    def test_read_only(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        FeatureStore(tmp_path / "store", "fp32").put(make_item(0))

        def refuse(*arguments: object, **options: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(module.FileLock, "acquire", refuse)
        store = FeatureStore(tmp_path / "store")
        assert same(store.get(make_item(0).key), make_item(0))
        for write in (store.check_writable, store.compact, store.verify):
            with pytest.raises(StoreError, match="it is on a read-only file system"):
                write()


def test_logs_nothing_where_all_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "pave"), FeatureStore(tmp_path / "store") as store:
        store.put(make_item(0))
        store.compact()
        store.get(make_item(0).key)
        store.get(make_item(1).key)
        store.verify()
        store.prune([])
    assert caplog.text == ""
