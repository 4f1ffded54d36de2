from __future__ import annotations

import json
import os

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError
from safetensors.torch import save_file

from pave.encoders import build, weights_place
from pave.encoders.weights import count_layers, open_checkpoint
from pave.errors import InputError
from tests.encoders.published import clip_state, imagebind_state, position_state, save


def own(name: str) -> str | None:
    return name.removeprefix("own.") if name.startswith("own.") else None


STATE = {
    "own.a": torch.arange(6.0).view(2, 3),
    "own.b": torch.ones(4, dtype=torch.bfloat16),
    "other.c": torch.zeros(9),
}


def opened(path, **options):
    return open_checkpoint(str(path), None, own, **options)


def shards(folder, pickled=False):
    suffix = "bin" if pickled else "safetensors"
    weight_map = {}
    for number, names in enumerate([["own.a"], ["own.b"], ["other.c"]]):
        file = f"part-{number}.{suffix}"
        weight_map |= dict.fromkeys(names, file)
        save(folder / file, {name: STATE[name] for name in names})
    index = "pytorch_model.bin.index.json" if pickled else "model.safetensors.index.json"
    (folder / index).write_text(json.dumps({"weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt", "w.bin"])
def test_one_part_of_a_file(tmp_path, name):
    found = opened(save(tmp_path / name, STATE))

    assert found.shapes == {"a": (2, 3), "b": (4,)} and found.settings == {}
    read = found.read(["b", "a"])
    assert all(
        torch.equal(read[key], STATE[f"own.{key}"]) and read[key].dtype == STATE[f"own.{key}"].dtype for key in read
    )


def test_a_file_of_the_older_kind_is_read_too(tmp_path):
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(opened(tmp_path / "old.pth").read(["a"])["a"], STATE["own.a"])


@pytest.mark.parametrize("pickled", [False, True])
def test_of_several_files_only_those_that_hold_the_part_are_read(tmp_path, pickled):
    folder = shards(tmp_path, pickled)
    (folder / f"part-2.{'bin' if pickled else 'safetensors'}").unlink()

    assert opened(folder).shapes == {"a": (2, 3), "b": (4,)}
    (folder / f"part-1.{'bin' if pickled else 'safetensors'}").unlink()
    with pytest.raises(InputError, match=r"names the file 'part-1\..*', which is not beside it"):
        opened(folder)


def test_the_file_of_a_folder(tmp_path):
    save(tmp_path / "anything.pth", STATE)
    assert opened(tmp_path).shapes == {"a": (2, 3), "b": (4,)}
    save(tmp_path / "more.pth", STATE)
    with pytest.raises(InputError, match=r"several weights files \(anything\.pth, more\.pth\)"):
        opened(tmp_path)
    assert opened(tmp_path, usual="more.pth").tensors["a"].file.name == "more.pth"
    save(tmp_path / "model.safetensors", STATE)
    (tmp_path / "config.json").write_text('{"vision_config": {"hidden_act": "gelu"}}')
    assert opened(tmp_path).settings == {"vision_config": {"hidden_act": "gelu"}}


def test_identity_is_of_the_part_that_is_used(tmp_path):
    first = opened(save(tmp_path / "a.pth", STATE)).revision(["a", "b"])

    assert opened(save(tmp_path / "b.safetensors", STATE | {"other.c": torch.ones(2)})).revision(["a", "b"]) == first
    assert opened(save(tmp_path / "c.pth", STATE | {"own.b": torch.zeros(4)})).revision(["a", "b"]) != first


class TestHub:
    @pytest.fixture
    def hub(self, tmp_path, monkeypatch):
        """A hub with one repository; what is asked for is noted."""
        snapshot = tmp_path / "models--some--one" / "snapshots" / "0123abcd"
        snapshot.mkdir(parents=True)
        asked = []

        def download(name, file, revision=None):
            asked.append((name, file, revision))
            if not (snapshot / file).is_file():
                raise LocalEntryNotFoundError("no connection") if revision == "offline" else _absent()
            return str(snapshot / file)

        monkeypatch.setattr(weights_place, "hf_hub_download", download)
        return snapshot, asked

    def test_only_what_is_needed_is_fetched(self, hub):
        snapshot, asked = hub
        shards(snapshot)

        found = open_checkpoint("some/one", "main", own)

        assert found.commit == "0123abcd" and found.revision(["a"]) == "0123abcd"
        assert [file for _, file, _ in asked] == [
            "model.safetensors.index.json",
            "part-0.safetensors",
            "part-1.safetensors",
            "config.json",
        ]
        assert {(name, revision) for name, _, revision in asked} == {("some/one", "main")}

    def test_a_usual_file_is_looked_for(self, hub):
        snapshot, _ = hub
        save(snapshot / "imagebind_huge.pth", STATE)
        assert open_checkpoint("some/one", None, own, "imagebind_huge.pth").shapes == {"a": (2, 3), "b": (4,)}

    @pytest.mark.parametrize(("revision", "says"), [(None, "gave none of x.pth, model"), ("offline", "no connection")])
    def test_a_repository_without_weights(self, hub, revision, says):
        with pytest.raises(InputError, match=says) as caught:
            open_checkpoint("some/one", revision, own, "x.pth")
        assert "\n" not in str(caught.value)


def _absent() -> RemoteEntryNotFoundError:
    error = RemoteEntryNotFoundError.__new__(RemoteEntryNotFoundError)
    Exception.__init__(error, "404")
    return error


class Intruder:
    def __init__(self, marker) -> None:
        self.marker = marker

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


class TestRefused:
    def says(self, path, message):
        with pytest.raises(InputError, match=message) as caught:
            opened(path).read(["a"])
        assert "\n" not in str(caught.value)

    def test_objects_are_never_unpickled(self, tmp_path):
        torch.save({**STATE, "own.a": Intruder(tmp_path / "ran")}, tmp_path / "w.pth")
        self.says(tmp_path / "w.pth", "Python objects, which are never unpickled")
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
    def test_files_that_are_cut(self, tmp_path, name):
        path = save(tmp_path / name, STATE)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.says(path, r"not a whole|damaged")
        path.write_bytes(b"")
        self.says(path, "0 bytes")

    def test_what_is_no_state(self, tmp_path):
        torch.save([torch.ones(2)], tmp_path / "list.pth")
        self.says(tmp_path / "list.pth", "holds a list, not tensors by name")
        torch.save({"own.a": torch.ones(2), "epoch": 3}, tmp_path / "epoch.pth")
        self.says(tmp_path / "epoch.pth", "entry 'epoch' is a int")
        (tmp_path / "w.npy").write_bytes(b"numbers")
        self.says(tmp_path / "w.npy", "unknown weights format '.npy'")

    def test_another_checkpoint(self, tmp_path):
        save_file({"model.layers.0.weight": torch.ones(2)}, tmp_path / "w.safetensors")
        self.says(tmp_path / "w.safetensors", "none of the tensors that are wanted; it holds 'model.layers.0.weight'")

    @pytest.mark.parametrize("values", [torch.tensor([float("nan")]), torch.tensor([1])])
    def test_values_that_are_no_weights(self, tmp_path, values):
        self.says(save(tmp_path / "w.pth", STATE | {"own.a": values}), "tensor 'own.a' (holds NaN|is torch.int64)")

    @pytest.mark.parametrize("source", ["nowhere.pth", "./some/one", "a/b/c", "word", "some/file.safetensors"])
    def test_places_that_are_none(self, source):
        self.says(source, "no such file or folder, and no hub id")

    def test_an_index_without_files(self, tmp_path):
        (tmp_path / "model.safetensors.index.json").write_text("{}")
        self.says(tmp_path, "lacks 'weight_map'")
        (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"own.a": "../w.safetensors"}}')
        self.says(tmp_path, "names the file '../w.safetensors', which is not beside it")


def test_a_stray_name_makes_no_layer():
    names = [f"l.{index}.{part}" for index in range(3) for part in "abcd"]
    assert count_layers([*names, "l.7.a"], "l.") == 3
    assert count_layers([], "l.") == 0


STATES = {
    "imagebind": (imagebind_state(layers=1), {"heads": 4}),
    "languagebind": (clip_state(layers=2, temporal=True), {"heads": 4}),
    "llava3d": (clip_state(layers=2) | position_state(), {"heads": 4}),
}


def names_of(encoder: str) -> list[str]:
    """Every tensor that is not only the same in an earlier layer."""
    return [name for name in STATES[encoder][0] if ".layers.0." not in name]


@pytest.mark.parametrize("encoder", sorted(STATES))
class TestStrictness:
    """Every single tensor of every encoder, missing or of another shape, and one that does not belong."""

    def refusal(self, encoder, tmp_path, state):
        path = str(save(tmp_path / "w.safetensors", state))
        settings = {"position_weights": path} if encoder == "llava3d" else {}
        with pytest.raises(InputError) as caught:
            build({"type": encoder, "weights": path, "device": "cpu", **STATES[encoder][1], **settings})
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_a_missing_tensor_is_named(self, encoder, tmp_path):
        for name in names_of(encoder):
            left = {other: value for other, value in STATES[encoder][0].items() if other != name}
            inner = name.removeprefix("vision_model.").split("position_embedding_head.")[-1]
            assert f"{inner}' is missing" in self.refusal(encoder, tmp_path, left)

    def test_a_tensor_of_another_shape_is_named(self, encoder, tmp_path):
        for name in names_of(encoder):
            value = STATES[encoder][0][name]
            grown = torch.cat([value, value[..., :1]], dim=-1) if value.ndim else value.view(1)
            assert f"{name!r} has shape {tuple(grown.shape)}" in self.refusal(
                encoder, tmp_path, STATES[encoder][0] | {name: grown.contiguous()}
            )

    def test_an_unexpected_tensor_is_named(self, encoder, tmp_path):
        for name in names_of(encoder):
            more = name.replace("weight", "weights") if name.endswith("weight") else f"{name}_more"
            assert f"unexpected tensor {more!r}" in self.refusal(
                encoder, tmp_path, STATES[encoder][0] | {more: torch.ones(2)}
            )
