"""Every benchmark from its raw files to a data set that is read back; what lacks media; what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pave.data.jsonl import read_samples
from pave.errors import InputError
from pave.evaluation.benchmarks import registry
from pave.evaluation.benchmarks.benchmark import Benchmark, PrepareConfig
from pave.evaluation.benchmarks.manifest import read_manifest
from tests.evaluation.benchmarks.raw_files import WRITERS, mvbench, prepared, write_json

NAMES = sorted(WRITERS)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw files of all benchmarks, a folder each."""
    folder = tmp_path_factory.mktemp("raw")
    for name, write in WRITERS.items():
        write(folder / name)
    return folder


def splits() -> list[tuple[str, str]]:
    return [(name, split) for name in NAMES for split in registry.get(name).splits]


def test_all_are_registered() -> None:
    assert registry.names() == NAMES
    for name in NAMES:
        benchmark = registry.get(name)
        assert isinstance(benchmark, Benchmark) and benchmark.name == name
        assert benchmark.splits and benchmark.conventions and benchmark.generation.max_new_tokens > 0


def test_conventions_are_those_that_score_it() -> None:
    conventions = pytest.importorskip("pave.evaluation.conventions", reason="scoring is not in this tree")
    for name in NAMES:
        assert registry.get(name).conventions == tuple(conventions.names(name))


@pytest.mark.parametrize(("name", "split"), splits())
def test_every_split_is_read_back(name: str, split: str, raw: Path, tmp_path: Path) -> None:
    manifest, lines = prepared(name, raw / name, tmp_path / "out", split=split)
    samples = read_samples(tmp_path / "out")
    assert manifest.samples.found == len(lines) == len(samples) > 0
    assert read_manifest(tmp_path / "out") == manifest
    assert {item.id for item in manifest.missing} == {line["id"] for line in lines if line["missing"]}
    for line, sample in zip(lines, samples, strict=True):
        assert (line["benchmark"], line["split"]) == (name, split)
        assert (sample.video is None) <= bool(line["missing"])
        assert isinstance(line["references"], list) and isinstance(line["question"], str)
        if line["choices"] is None:
            assert sample.answer is None or sample.answer in line["references"]
        else:
            (letter,) = line["references"]
            assert sample.answer == letter and letter <= "ABCDE"[len(line["choices"]) - 1]
    for file in manifest.raw:
        assert file.sha256 == hashlib.sha256((raw / name / file.path).read_bytes()).hexdigest()
    if manifest.categories:
        assert sum(count.found for count in manifest.categories.values()) == len(lines)


@pytest.mark.parametrize("name", [name for name in NAMES if registry.get(name).counts[registry.get(name).splits[0]]])
def test_too_few_entries_are_another_version(
    name: str, raw: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = PrepareConfig(raw / name, tmp_path / "out")
    if name == "scanqa":
        # Its numbers are only stated, so that others are said and taken.
        registry.get(name).prepare(config)
        assert "holds 2 questions; the official file has 4,675, as far as is known" in caplog.text
        return
    with pytest.raises(InputError, match=r"holds \d+ \w+; the official file has [\d,]+: get that one") as error:
        registry.get(name).prepare(config)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_what_lacks_media_can_be_left_out(raw: Path, tmp_path: Path) -> None:
    manifest, lines = prepared("avsd", raw / "avsd", tmp_path / "out", leave_out_missing=True)
    assert [line["id"] for line in lines] == ["AB1C2_1"]
    assert (manifest.samples.found, manifest.left_out) == (2, 1)
    (lacking,) = manifest.missing
    assert (lacking.id, lacking.media) == ("DE3F4_0", ("Charades_v1_480/DE3F4.mp4",))


def test_no_media_at_all(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    manifest, lines = prepared("avqa", raw / "avqa", tmp_path / "out", media=tmp_path / "media")
    assert len(lines) == len(manifest.missing) == 2 and all(line["video"] is None for line in lines)
    assert manifest.channels == {"audio": 0, "frames": 0}
    with pytest.raises(InputError, match="holds no media of any sample"):
        prepared("avqa", raw / "avqa", tmp_path / "none", media=tmp_path / "media", leave_out_missing=True)
    assert not (tmp_path / "none").exists()


def test_media_elsewhere_and_inside(raw: Path, tmp_path: Path) -> None:
    _, lines = prepared("avqa", raw / "avqa", tmp_path / "out", media=raw / "avqa" / "data" / "video")
    assert lines[0]["video"] == str(raw / "avqa/data/video/AbC-_fGhIjK_000030.mp4")
    assert lines[0]["side"] == dict.fromkeys(("audio", "frames"), lines[0]["video"])


def test_channels_that_are_named(raw: Path, tmp_path: Path) -> None:
    _, lines = prepared("avqa", raw / "avqa", tmp_path / "one", channels=("audio",))
    assert list(lines[0]["side"]) == ["audio"]
    _, lines = prepared("scanqa", raw / "scanqa", tmp_path / "none", channels=())
    assert lines[0]["side"] == {} and lines[0]["missing"] == []


def test_features_instead_of_media(raw: Path, tmp_path: Path) -> None:
    deep = tmp_path / "features" / "Real_audio_feat"
    deep.mkdir(parents=True)
    (deep / "AbC-_fGhIjK_000030.pt").touch()
    manifest, lines = prepared("avqa", raw / "avqa", tmp_path / "out", features={"audio": tmp_path / "features"})
    assert lines[0]["side"]["audio"] == str(deep / "AbC-_fGhIjK_000030.pt")
    assert lines[0]["side"]["frames"] == lines[0]["video"]
    assert lines[1]["missing"][-1].endswith("features/ZzCdEfGhIjK_000000")
    assert manifest.channels["audio"] == 1
    (tmp_path / "features" / "AbC-_fGhIjK_000030.npy").touch()
    with pytest.raises(InputError, match="lie at .* and at "):
        prepared("avqa", raw / "avqa", tmp_path / "two", features={"audio": tmp_path / "features"})


def test_features_in_a_folder_each(raw: Path, tmp_path: Path) -> None:
    home = tmp_path / "features" / "scene0011_00"
    home.mkdir(parents=True)
    (home / "video_features.pt").touch()
    _, lines = prepared("scanqa", raw / "scanqa", tmp_path / "out", features={"depth": tmp_path / "features"})
    assert lines[1]["side"] == {"depth": str(home / "video_features.pt")}


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"split": "vall"}, "avqa has no split 'vall'; known: val, train; did you mean 'val'"),
            ({"prompt": "leo"}, "avqa has no prompt 'leo'; known: reference"),
            ({"films": True}, "avqa has no option films"),
            ({"frames": 8}, "avqa has no option frames"),
            ({"frames": 0}, "frames is 0"),
            ({"channels": ("depth",)}, "channel 'depth': the media of avqa hold audio, frames"),
            ({"media": Path("nowhere")}, "nowhere: no such folder"),
            ({"features": {"audio": Path("nowhere")}}, "nowhere: no such folder"),
            ({"features": {"audio": Path("x")}, "channels": ("frames",)}, "channels do not name it"),
            ({"raw": Path("nowhere")}, "nowhere: no such folder; name the one that holds the raw files"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str, raw: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=message):
            registry.get("avqa").prepare(PrepareConfig(**{"raw": raw / "avqa", "out": tmp_path / "out", **options}))
        assert list(tmp_path.iterdir()) == []

    def test_an_output_folder_that_is_full(self, raw: Path, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with pytest.raises(InputError, match="not empty"):
            prepared("avqa", raw / "avqa", tmp_path)

    def test_a_folder_without_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "raw").mkdir()
        with pytest.raises(InputError, match=r"holds none of data/annotation/val_qa.json, annotation/val_qa.json"):
            prepared("avqa", tmp_path / "raw", tmp_path / "out")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("[{", "not valid JSON .* at line 1.*; download the file again"),
            ("{}", "holds a JSON dict; the published file is a list"),
            ("[]", "holds no questions"),
            ("[3]", "entry 1: holds a JSON int; each entry must be an object"),
            ('[{"id": 1, "multi_choice": "dog"}]', "entry 1: multi_choice is 'dog'; it must be a list"),
            ('[{"id": 1, "multi_choices": ["dog"]}]', "field 'multi_choice' is missing; did you mean 'multi_choices'"),
        ],
    )
    def test_a_damaged_file(self, content: str, message: str, tmp_path: Path) -> None:
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw" / "val_qa.json").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            prepared("avqa", tmp_path / "raw", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw" / "val_qa.json").write_bytes(b"\xff\xfe")
        with pytest.raises(InputError, match="not UTF-8 text"):
            prepared("avqa", tmp_path / "raw", tmp_path / "out")


def test_official_numbers_pass_and_one_less_does_not(tmp_path: Path) -> None:
    raw = mvbench(tmp_path / "raw")
    for path in (raw / "json").iterdir():
        write_json(path, json.loads(path.read_text(encoding="utf-8")) * 200)
    manifest, lines = prepared("mvbench", raw, tmp_path / "out", any_count=False)
    assert (manifest.samples.found, manifest.samples.official, len(lines)) == (4000, 4000, 4000)
    assert all((count.found, count.official) == (200, 200) for count in manifest.categories.values())
    assert len(manifest.raw) == 20
    short = raw / "json" / "moving_count.json"
    write_json(short, json.loads(short.read_text(encoding="utf-8"))[1:])
    with pytest.raises(InputError, match=r"moving_count.json: holds 199 questions; the official file has 200"):
        prepared("mvbench", raw, tmp_path / "short", any_count=False)
