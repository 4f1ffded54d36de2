"""What training and test sets share: by path, by content, by question."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pave.data.check import CheckReport, Overlap, check
from pave.types import Sample


def sample(name: str, video: Path | None, *questions: str, **extra: Any) -> Sample:
    turns = [turn for text in questions for turn in (("user", text), ("assistant", "yes"))]
    return Sample(name, video, [{"role": role, "content": text} for role, text in turns], extra=extra)


def by_kind(report: CheckReport) -> dict[str, Overlap]:
    return {overlap.kind: overlap for overlap in report.overlaps}


@pytest.fixture
def films(tmp_path: Path) -> dict[str, Path]:
    """Two films of the same length and other bytes, a copy of the first, and a link to it."""
    paths = {name: tmp_path / f"{name}.mp4" for name in ("one", "two", "copy", "link")}
    paths["one"].write_bytes(b"a film")
    paths["two"].write_bytes(b"a fish")
    shutil.copy(paths["one"], paths["copy"])
    paths["link"].symlink_to(paths["one"])
    return paths


def test_nothing_shared(films: dict[str, Path]) -> None:
    report = check([sample("a", films["one"], "What rings?")], [sample("b", films["two"], "Who sings?")])
    assert not report.found and (report.train_samples, report.test_samples) == (1, 1)
    assert len(report.overlaps) == 4


@pytest.mark.parametrize(("name", "kind"), [("link", "same path"), ("copy", "same content under another path")])
def test_same_media(name: str, kind: str, films: dict[str, Path]) -> None:
    train = [sample("a", films["one"], "What rings?"), sample("b", films["one"], "Who rings?")]
    report = check(train, [sample("c", films[name], "Who sings?"), sample("d", films["two"], "Who?")])
    found = by_kind(report)
    assert {overlap.kind for overlap in report.overlaps if overlap.matches} == {kind}
    assert (found[kind].train_samples, found[kind].test_samples) == (2, 1)
    (match,) = found[kind].matches
    assert (match.train, match.test) == ("a", "c") and match.what.endswith(".mp4")


def test_media_of_side_channels(films: dict[str, Path]) -> None:
    train = Sample("a", None, [{"role": "user", "content": "?"}], side={"audio": films["one"], "depth": None})
    report = check([train], [sample("b", films["copy"], "Who sings?")])
    assert by_kind(report)["same content under another path"].test_samples == 1


def test_folders_are_media(films: dict[str, Path], tmp_path: Path) -> None:
    for name in ("scan", "same", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jpg").write_bytes(b"one" if name != "other" else b"two")
    train = [sample("a", tmp_path / "scan", "What rings?")]
    found = by_kind(check(train, [sample("b", tmp_path / "same", "Who?"), sample("c", tmp_path / "other", "Who?")]))
    assert [match.test for match in found["same content under another path"].matches] == ["b"]


def test_media_that_both_lack() -> None:
    train = [sample("a", None, "What rings?", missing=["Charades/AB1C2.mp4"])]
    test = [sample("b", None, "Who sings?", missing=["Charades/AB1C2.mp4"]), sample("c", None, "Who?")]
    assert by_kind(check(train, test))["same path"].test_samples == 1


@pytest.mark.parametrize("asked", ["what  rings", "What rings?", "WHAT, rings!"])
def test_same_question(asked: str, films: dict[str, Path]) -> None:
    train = [sample("a", films["one"], "Who sings?", "What rings?", "Why?")]
    test = [sample("b", films["two"], asked), sample("c", films["copy"], "Who sings?", "How many?")]
    found = by_kind(check(train, test))
    assert [match.what for match in found["same question"].matches] == [asked]
    assert not found["same question about the same video"].matches
    assert not check([sample("a", None, "Why?")], [sample("b", None, "Why not?")]).found


def test_same_question_about_a_copy(films: dict[str, Path]) -> None:
    found = by_kind(check([sample("a", films["one"], "Why?")], [sample("b", films["copy"], "why")]))
    assert found["same question about the same video"].test_samples == 1


def test_the_question_of_a_benchmark_is_without_its_prompt() -> None:
    train = [sample("a", None, "Question:Why?\nOption: ...", question="Why?")]
    assert check(train, [sample("b", None, "Why?")]).found


@pytest.mark.parametrize(("kinds", "count"), [(("media",), 2), (("questions",), 1)])
def test_only_some_kinds(kinds: tuple[str, ...], count: int, films: dict[str, Path]) -> None:
    assert len(check([sample("a", films["one"], "?!")], [sample("b", films["one"], "x")], kinds).overlaps) == count
