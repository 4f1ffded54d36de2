"""Every benchmark from made-up files in its raw format to a page: prepare, eval on the shipped tiny base, report.

Their answers are scored again under every other convention, without the model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from pave.errors import InputError
from pave.evaluation import conventions
from pave.evaluation.conventions.java import find_java
from tests.cli.calls import call, result
from tests.evaluation.benchmarks.raw_files import WRITERS


class Case(NamedTuple):
    """One way through.

    Args:
        benchmark: Its name.
        samples: How many are asked about.
        missing: How many of them lack media.
        options: Of ``pave data prepare``.
    """

    benchmark: str
    samples: int
    missing: int
    options: tuple[str, ...] = ()


CASES = (
    Case("avqa", 2, 1),
    Case("avsd", 2, 1),
    Case("avsd", 1, 0, ("--split", "dstc10")),
    Case("avsd", 2, 1, ("--split", "dstc7-single")),
    Case("blindspot", 1, 0),
    Case("ego-exo4d", 2, 1, ("--channels",)),
    Case("mlvu", 5, 3),
    Case("music-avqa", 3, 1),
    Case("music-avqa", 3, 1, ("--split", "test-v2-balanced")),
    Case("mvbench", 5, 3, ("--films",)),
    Case("scanqa", 2, 1, ("--films",)),
    Case("sqa3d", 2, 0),
    Case("video-mme", 2, 1),
    Case("video-mme", 2, 1, ("--split", "test-subtitles")),
)
MOST = 5


def test_no_benchmark_is_left_out() -> None:
    assert {case.benchmark for case in CASES} == set(WRITERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join((case.benchmark, *case.options)))
def test_from_raw_files_to_a_page(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_java(case.benchmark)
    raw, data, out = WRITERS[case.benchmark](tmp_path / "raw"), tmp_path / "data", tmp_path / "out"
    options = ("--raw", raw, "--out", data, "--any-count", *case.options)
    manifest = result("data", capsys, "prepare", case.benchmark, *options)
    assert manifest["samples"]["found"] >= case.samples

    asked = ("--data", data, "--base", "blindspot", "--frames", 8, "--max-new-tokens", 3, "--limit", MOST)
    found = result("eval", capsys, case.benchmark, *asked, "--out", out)
    assert (found["benchmark"], found["convention"]) == (case.benchmark, conventions.names(case.benchmark)[0])
    assert (found["n"], found["missing"]) == (case.samples, case.missing)
    for metric in found["metrics"].values():
        low, high = metric["interval"]
        assert low <= metric["value"] <= high

    lines = [json.loads(line) for line in (out / "responses.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == case.samples
    for line in lines:
        assert (line["prediction"] == "") >= bool(line["extra"]["missing"])
        assert line["extra"]["references"] and line["extra"]["benchmark"] == case.benchmark

    for convention in conventions.names(case.benchmark)[1:]:
        again = result("score", capsys, out, "--convention", convention)
        assert (again["convention"], again["n"], again["missing"]) == (convention, case.samples, case.missing)
    there = result("score", capsys, out, "--skip-missing")
    assert (there["n"], there["missing"]) == (case.samples - case.missing, case.missing)

    page = tmp_path / "page.html"
    assert call("report", out, "--out", page) == 0
    text = page.read_text(encoding="utf-8")
    assert f"Benchmark {case.benchmark}, convention {found['convention']}" in text
    assert 'src="http' not in text and 'href="http' not in text


def check_java(benchmark: str) -> None:
    try:
        conventions.get(benchmark, conventions.names(benchmark)[0]).check()
    except InputError as error:
        with pytest.raises(InputError, match="Java"):
            find_java()
        pytest.skip(str(error))
