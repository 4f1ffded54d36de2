"""The page stands alone: well formed, nothing from outside, and what results hold is on it as text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pave.cli import main
from pave.data.jsonl import read_samples
from pave.errors import InputError
from pave.evaluation.probe_plot import ProbeRow
from pave.evaluation.report.examples import differing
from pave.evaluation.report.gather import Entry
from pave.evaluation.report.page import write_report
from pave.evaluation.responses import Response, as_line, read_responses, response_to
from pave.evaluation.scoring import Scoring, score
from tests.media.writing import click, grey_frames, write_media
from tests.tiny import write_data

VOID = {"meta", "img", "br", "link", "line"}


class Checker(HTMLParser):
    """Collects addresses and text, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(page: Path) -> Checker:
    checker = Checker()
    checker.feed(page.read_text(encoding="utf-8"))
    assert checker.open == []
    assert all(address.startswith("data:") for address in checker.addresses)
    return checker


def write_result(folder: Path, responses: list[Response], patches: list[str]) -> dict[str, Any]:
    """Write a result folder as ``pave eval`` does, without a model."""
    folder.mkdir(parents=True)
    result = {
        **score(responses, Scoring()),
        "base": "bases/<tiny>",
        "patches": patches,
        "config": {"data": ["sets/hear"], "frames": 4, "patches": patches},
        "versions": {"torch": "2"},
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "responses.jsonl").write_bytes(b"".join(map(as_line, responses)))
    return result


@pytest.fixture
def results(tmp_path: Path) -> list[Path]:
    data = write_data(tmp_path / "set", count=4, videos=2, form="<b>sound</b>")
    write_media(data / "clips" / "000000.mp4", grey_frames(20, 48, 64), fps=10, sound=click(1.0, 2.0, 16_000))
    samples = read_samples(data)
    base = [response_to(sample, "<i>yes</i>") for sample in samples]
    write_result(tmp_path / "base", base, [])
    write_result(tmp_path / "patched", [response_to(sample, sample.answer or "") for sample in samples], ["out/hear"])
    return [tmp_path / "base", tmp_path / "patched"]


def test_two_results_side_by_side(results: list[Path], tmp_path: Path) -> None:
    write_report(results, tmp_path / "page.html")
    page = checked(tmp_path / "page.html")
    assert "Where <tiny> + hear differs from <tiny>" in page.text
    for said in ("<i>yes</i>", "<b>sound</b>", "red cube", "accuracy on hear", "convention exact"):
        assert said in page.text
    assert page.tags.count("article") == 4 and page.tags.count("audio") == 2 and page.tags.count("img") == 32
    assert "script" not in page.tags


def test_media_that_are_gone_are_said(results: list[Path], tmp_path: Path) -> None:
    (tmp_path / "set" / "clips" / "000001.mp4").unlink()
    write_report(results, tmp_path / "page.html", examples=3)
    page = checked(tmp_path / "page.html")
    assert "000001.mp4" in page.text and page.tags.count("article") == 3


def test_comparison_and_probe(results: list[Path], tmp_path: Path) -> None:
    found = [json.loads((folder / "result.json").read_text()) for folder in results]
    difference = {"model": "patch:hear", "than": "base", "metric": "accuracy", "value": 0.5, "interval": [0.2, 0.8]}
    comparison, probe = tmp_path / "comparison", tmp_path / "probe"
    comparison.mkdir()
    for name, folder in zip(("1-base", "2-patch-hear"), results, strict=True):
        folder.rename(comparison / name)
    models = dict(zip(("base", "patch:hear"), found, strict=True))
    (comparison / "comparison.json").write_text(json.dumps({"models": models, "differences": [difference]}))
    rows = [ProbeRow("real", "accuracy", 0.9, (0.8, 1.0), 4), ProbeRow("noise", "accuracy", 0.4, (0.3, 0.5), 4)]
    probe.mkdir()
    (comparison / "2-patch-hear").rename(probe / "1-real")
    write_result(comparison / "2-patch-hear", read_responses(probe / "1-real" / "responses.jsonl"), ["h"])
    told = {"rows": [vars(row) for row in rows], "warnings": ["No better."], "chance": 0.5, "result": found[1]}
    (probe / "probe.json").write_text(json.dumps({**told, "left_out": {"shuffled": "one clip"}}))
    assert main(["report", str(comparison), str(probe), "--out", str(tmp_path / "page.html")]) == 0
    page = checked(tmp_path / "page.html")
    for said in ("patch:hear - base", "+0.5", "No better.", "shuffled", "one clip", "use its channel?"):
        assert said in page.text


def test_comparisons_of_the_same_names_are_told_apart(results: list[Path], tmp_path: Path) -> None:
    difference = {"model": "patch:hear", "than": "base", "metric": "accuracy", "value": 0.5, "interval": [0.2, 0.8]}
    for kind in ("first", "second"):
        models = {}
        for name, source in zip(("base", "patch:hear"), results, strict=True):
            folder = tmp_path / kind / f"{len(models) + 1}-{name.replace(':', '-')}"
            models[name] = write_result(folder, read_responses(source / "responses.jsonl"), [])
        (tmp_path / kind / "comparison.json").write_text(json.dumps({"models": models, "differences": [difference]}))
    write_report([tmp_path / "first", tmp_path / "second"], tmp_path / "page.html")
    page = checked(tmp_path / "page.html")
    for kind in ("first", "second"):
        ours, than = f"patch:hear ({tmp_path / kind}/2-patch-hear)", f"base ({tmp_path / kind}/1-base)"
        assert f"{ours} - {than}" in page.text


def test_sets_of_one_name_have_charts_of_their_own(results: list[Path], tmp_path: Path) -> None:
    for folder, hashed in zip(results, ("a" * 64, "b" * 64), strict=True):
        result = json.loads((folder / "result.json").read_text())
        result["config"] |= {"data": [f"sets/{hashed[0]}/test"], "data_sha256": [hashed]}
        (folder / "result.json").write_text(json.dumps(result))
    write_report(results, tmp_path / "page.html")
    page = checked(tmp_path / "page.html")
    assert "accuracy on sets/a/test" in page.text and "accuracy on sets/b/test" in page.text


def test_gains_and_losses_take_turns() -> None:
    def entry(name: str, right: str) -> Entry:
        said = [
            Response(f"q{place}", "?", "yes", f"{name} {hit}", hit == "1", f"c{place}")
            for place, hit in enumerate(right)
        ]
        return Entry(name, "", {}, said)

    pairs = differing(entry("a", "1100000"), entry("b", "0011110"), 5)
    assert [pair.after.id for pair in pairs] == ["q2", "q0", "q3", "q1", "q4"]


def test_examples_of_ids_that_two_data_sets_use() -> None:
    before = [Response("q", asked, "yes", f"{asked} no", False, "c") for asked in ("one?", "two?")]
    after = [Response("q", asked, "yes", f"{asked} yes", True, "c") for asked in ("one?", "two?")]
    pairs = differing(Entry("a", "", {}, before), Entry("b", "", {}, after[1:]), 5)
    assert [(pair.before.question, pair.after.question) for pair in pairs] == [("two?", "two?")]
    pairs = differing(Entry("a", "", {}, before), Entry("b", "", {}, after), 5)
    assert [(pair.before.question, pair.after.question) for pair in pairs] == [("one?", "one?"), ("two?", "two?")]


def test_folders_without_a_result_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished result"):
        write_report([tmp_path], tmp_path / "page.html")
    with pytest.raises(InputError, match="name at least one result folder"):
        write_report([], tmp_path / "page.html")
