"""Numbers that are none pass through JSON, tables and pages."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from pave.cli import main
from pave.evaluation.figures import NONE, figure, number, plain, span
from pave.evaluation.probe_plot import ProbeRow, drawn
from pave.evaluation.report.gather import gather
from pave.evaluation.responses import Response, as_line
from tests.cli.calls import call


def test_json_has_no_nan() -> None:
    found = plain({"value": math.nan, "interval": (math.nan, 1.5), "path": Path("a")})
    assert found == {"value": None, "interval": [None, 1.5], "path": "a"}
    assert math.isnan(number(found["value"])) and number(1.5) == 1.5


def test_text() -> None:
    assert (figure(12.3456), figure(2.0, "+"), figure(None), figure(math.nan)) == ("12.35", "+2", NONE, NONE)
    assert span((None, math.nan)) == f"{NONE} to {NONE}" and span([-1.0, 2.5], "+") == "-1 to +2.5"


def test_answers_that_no_script_can_read(tmp_path: Path, capsys) -> None:
    """Video-MME's own script divides by the answers that hold a letter; here none does."""
    extra = {"benchmark": "video-mme", "choices": ["w", "x", "y", "z"], "category": "short", "references": ["C"]}
    said = Response("1", "?", "C", "no idea", False, "a.mp4", extra)
    answers = [said, replace(said, id="2", cluster="b.mp4")]
    (tmp_path / "responses.jsonl").write_bytes(b"".join(map(as_line, answers)))
    arguments = ["score", str(tmp_path), "--convention", "official"]
    assert main([*arguments, "--json", "--out", str(tmp_path / "result.json")]) == 0
    text = capsys.readouterr().out
    assert "NaN" not in text and json.loads(text)["metrics"]["accuracy"] == {"value": None, "interval": [None, None]}
    assert json.loads((tmp_path / "result.json").read_text())["metrics"]["accuracy_all"]["value"] == 0
    assert main(arguments) == 0
    assert f"{NONE} to {NONE}" in capsys.readouterr().out
    write_as_evaluated(tmp_path / "result.json")
    assert call("report", tmp_path, "--out", tmp_path / "page.html") == 0
    assert f"{NONE} to {NONE}" in (tmp_path / "page.html").read_text(encoding="utf-8")


def write_as_evaluated(path: Path) -> None:
    """Add to scores what only an evaluation knows."""
    found = {**json.loads(path.read_text()), "base": "base", "patches": [], "config": {}, "versions": {}}
    path.write_text(json.dumps(found))


def test_a_probe_of_no_number_is_read_back_and_drawn(tmp_path: Path) -> None:
    rows = [
        ProbeRow("real", "accuracy", math.nan, (math.nan, math.nan), 2),
        ProbeRow("zeroed", "accuracy", 50.0, (0.0, 100.0), 2, math.nan, (math.nan, math.nan)),
    ]
    folder = tmp_path / "1-real"
    folder.mkdir()
    (folder / "responses.jsonl").write_bytes(as_line(Response("1", "?", "C", "C", True, "a.mp4")))
    result = {"base": "base", "patches": [], "config": {}}
    content = {"rows": [vars(row) for row in rows], "left_out": {}, "warnings": [], "chance": None, "result": result}
    (tmp_path / "probe.json").write_text(json.dumps(plain(content)))
    found = gather([tmp_path]).probes[0].rows
    assert math.isnan(found[0].value) and found[0].drop is None
    assert found[1].value == 50 and math.isnan(found[1].drop)
    assert drawn(found, None, "png").startswith(b"\x89PNG")
