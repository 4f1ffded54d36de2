"""The page of the study: made of result files alone, true to them, and every number with its row."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from pave.blindspot.study.page import write
from pave.blindspot.study.page.markdown import anchor, signed
from pave.blindspot.study.page.write import SECTIONS, read_studies, write_page
from pave.blindspot.study.plan import read_plan
from pave.blindspot.study.result import Results
from pave.blindspot.study.run import Run
from pave.errors import InputError
from pave.files import write_whole
from tests.blindspot.study.made_up import write_result

ROOT = Path(__file__).parents[3]
STUDIES = ROOT / "studies"


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plans of this project, without their results."""
    folder = tmp_path_factory.mktemp("plans")
    shutil.copytree(STUDIES, folder / "studies", ignore=shutil.ignore_patterns("results"))
    shutil.copytree(ROOT / "configs", folder / "configs")
    return folder / "studies"


def rate_of(run: Run) -> float:
    """Right where something reads the channel, at chance elsewhere."""
    labels = set(run.labels.values())
    return 0.3 if labels & {"base", "lora"} or run.name == "base" else 0.9


def page_with(plans: Path, folder: Path, seeds: tuple[str | None, ...], names: Iterable[str] = SECTIONS) -> str:
    """Write made-up results of some seeds of some plans, and return the page."""
    shutil.rmtree(plans / "results", ignore_errors=True)
    for name in names:
        for number, run in enumerate(read_plan(plans / f"{name}.yaml").runs):
            if run.labels.get("seed") in seeds:
                flops = 30e6 if "append" in run.name else 12e6 if "default" in run.name else 9e6
                write_result(Results(plans / "results" / name), run, rate_of(run), number, flops=flops)
    write_page(plans, folder / "study.md")
    return (folder / "study.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(plans: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("page")
    return page_with(plans, folder, (None, "0", "1", "2")), folder


def test_every_sentence_with_a_number_points_to_a_row_that_is_there(whole: tuple[str, Path]) -> None:
    page, _ = whole
    anchors = set(re.findall(r'<a id="([^"]+)">', page))
    decisions = page.split("### What decides each default")[1].split("\n## ")[0].splitlines()
    sentences = [line for line in page.splitlines() if line.startswith("- ")]
    sentences += [line for line in decisions if line.startswith("| `")]

    assert len(sentences) > 40
    assert all("](#" in sentence for sentence in sentences if re.search(r"\d", sentence))
    pointers = re.findall(r"\]\(#([^)]+)\)", page)
    assert pointers and set(pointers) <= anchors
    assert len(anchors) == len(re.findall(r'<a id="', page))


def test_verdicts_follow_the_numbers(whole: tuple[str, Path]) -> None:
    page, _ = whole

    assert "+60.0 points" in page and "gains 40 points or more holds" in page
    assert "is 10 % of the operations that appended tokens add" in page
    assert "does **not** hold" not in page.split("## Several channels")[0]


def test_a_seed_that_did_not_learn_is_seen(plans: Path, tmp_path: Path) -> None:
    shutil.rmtree(plans / "results", ignore_errors=True)
    rates = {"hear-default-0": 0.9, "hear-default-1": 0.3, "depth-lora-2": 0.5}
    for run in read_plan(plans / "main.yaml").runs:
        if (rate := rates.get(run.name)) is not None:
            write_result(Results(plans / "results" / "main"), run, rate)
    write_page(plans, tmp_path / "study.md")
    page = (tmp_path / "study.md").read_text(encoding="utf-8")
    lines = {found[1]: line for line in page.splitlines() if (found := re.search(r'id="main-([^"]+)"', line))}

    assert lines["hear-default"].endswith("| 90.0, 30.0 (2 of 3) |")
    assert lines["depth-lora"].endswith("| 50.0 (1 of 3) |")
    assert lines["depth-default"].endswith("| 0 of 3 |")


def test_what_seeds_in_which_both_learned_say_is_told_apart(plans: Path, tmp_path: Path) -> None:
    shutil.rmtree(plans / "results", ignore_errors=True)
    for name in ("main", "times"):
        for run in read_plan(plans / f"{name}.yaml").runs:
            if run.labels["track"] == "hear" and run.labels["method"] in ("default", "reference"):
                learned = run.name != "hear-reference-1"
                write_result(Results(plans / "results" / name), run, 0.9 if learned else 0.3)
    write_page(plans, tmp_path / "study.md")
    sentences = [line for line in (tmp_path / "study.md").read_text().splitlines() if line.startswith("- ")]

    main = next(line for line in sentences if "main-hear-reference" in line)
    assert main.startswith("- +20.0 points") and "clearly better. Without seed 1, in which one" in main
    assert main.endswith("has not learned: 0.0 points (0.0 to 0.0), no clear difference.")
    (times,) = [line for line in sentences if line.startswith("- `hear` without seed 1, ")]
    assert "(times-hear-default)" in times.replace("#", "") and "`sparse` no clear difference, 0.0 points" in times


def test_a_default_that_is_beaten_is_told(plans: Path, tmp_path: Path) -> None:
    shutil.rmtree(plans / "results", ignore_errors=True)
    rates = {"default": 0.6, "layers=1": 0.9, "layers=3": 0.3, "gate=tanh": 0.6}
    for number, run in enumerate(read_plan(plans / "ablations.yaml").runs):
        if (rate := rates.get(run.labels["variant"])) is not None:
            write_result(Results(plans / "results" / "ablations"), run, rate, number)
    write_page(plans, tmp_path / "study.md")
    page = (tmp_path / "study.md").read_text(encoding="utf-8").split("### What decides each default")[1]
    lines = {line.split(" | ")[0]: line for line in page.splitlines() if line.startswith("| `")}

    assert list(lines)[:2] == ["| `patch.layers`", "| `patch.gate`"]
    assert lines["| `patch.layers`"].startswith(
        "| `patch.layers` | `2` | `beaten` | [hear-layers=1](#ablations-hear-layers-1) `hear` +"
    )
    assert "[hear-layers=3](#ablations-hear-layers-3) `hear` −" in lines["| `patch.layers`"].split(" | ")[4]
    assert "| `norm` | `holds` | – | – |" in lines["| `patch.gate`"]


def test_what_is_better_by_less_than_seeds_differ_beats_no_default(plans: Path, tmp_path: Path) -> None:
    shutil.rmtree(plans / "results", ignore_errors=True)
    rates = {"default": (0.5, 0.8, 0.8), "layers=1": (0.9, 0.8, 0.9), "gate=tanh": (0.9,)}
    for number, run in enumerate(read_plan(plans / "ablations.yaml").runs):
        if run.labels["track"] == "hear" and (seeds := rates.get(run.labels["variant"])) is not None:
            write_result(Results(plans / "results" / "ablations"), run, seeds[int(run.labels["seed"])], number)
    write_page(plans, tmp_path / "study.md")
    page = (tmp_path / "study.md").read_text(encoding="utf-8").split("### What decides each default")[1]
    assert "| `patch.layers` | `2` | `within seeds` | [hear-layers=1]" in page
    assert "| `patch.gate` | `norm` | `within seeds` | [hear-gate=tanh]" in page


def test_a_default_of_each_track_is_told(plans: Path, tmp_path: Path) -> None:
    shutil.rmtree(plans / "results", ignore_errors=True)
    for run in read_plan(plans / "ablations.yaml").runs:
        if run.labels["variant"] in ("default", "overlap_sec=0", "overlap_sec=1"):
            write_result(Results(plans / "results" / "ablations"), run, 0.6)
    write_page(plans, tmp_path / "study.md")
    page = (tmp_path / "study.md").read_text(encoding="utf-8")

    assert "| `patch.overlap_sec` | `0.0` on `hear`, `2.0` on `depth` (`0.0`) | `holds` |" in page


def test_what_is_better_on_one_track_and_worse_on_another_is_a_trade(plans: Path, tmp_path: Path) -> None:
    shutil.rmtree(plans / "results", ignore_errors=True)
    rates = {"default": 0.6, "layers=1": 0.9}
    for number, run in enumerate(read_plan(plans / "ablations.yaml").runs):
        if (rate := rates.get(run.labels["variant"])) is not None:
            rate = 1.2 - rate if run.labels["track"] == "depth" else rate
            write_result(Results(plans / "results" / "ablations"), run, rate, number)
    write_page(plans, tmp_path / "study.md")
    page = (tmp_path / "study.md").read_text(encoding="utf-8").split("### What decides each default")[1]

    assert "| `patch.layers` | `2` | `a trade` | [hear-layers=1]" in page
    assert "[depth-layers=1](#ablations-depth-layers-1) `depth` −" in page


def test_what_was_taken_out_is_still_told(plans: Path, tmp_path: Path) -> None:
    shutil.rmtree(plans / "results", ignore_errors=True)
    results, removed = Results(plans / "results" / "ablations"), plans / "results" / "removed"
    default, other = (
        next(run for run in read_plan(plans / "ablations.yaml").runs if run.name == name)
        for name in ("hear-default-0", "hear-layers=1-0")
    )
    write_result(results, default, 0.9)
    write_result(results, other, 0.3)
    removed.mkdir()
    results.path(other).rename(removed / "hear-idea=bad-0.json")
    entry = "- {idea: Bad, after: Nobody, setting: 'patch.idea: bad', beside: hear-default, commit: abc, results: "
    write_whole(removed / "ideas.yaml", f"{entry}[hear-idea=bad-0]}}\n")
    write_page(plans, tmp_path / "study.md")
    page = (tmp_path / "study.md").read_text(encoding="utf-8").split("### Tried and taken out")[1]

    assert '| <a id="ablations-hear-idea-bad"></a>Bad | Nobody | `patch.idea: bad` | 30.0 % (' in page
    assert "| −60.0 points (" in page and "| clearly worse | [hear-default](#ablations-hear-default) | abc |" in page
    (removed / "hear-idea=bad-0.json").unlink()
    with pytest.raises(InputError, match="ideas.yaml: .*hear-idea=bad-0.json is missing"):
        write_page(plans, tmp_path / "study.md")
    write_whole(removed / "ideas.yaml", f"{entry}[]}}\n")
    with pytest.raises(InputError, match="ideas.yaml: 'Bad' names no 'results'; give at least one result file"):
        write_page(plans, tmp_path / "study.md")


def test_plots_are_drawn(whole: tuple[str, Path]) -> None:
    page, folder = whole
    pictures = sorted(path.name for path in (folder / "images").glob("*.svg"))

    assert pictures == ["study-ablations.svg", "study-main.svg", "study-times.svg", "study-together.svg"]
    assert all(f"(images/{name})" in page for name in pictures)


def test_what_was_not_run_is_shown_as_such(plans: Path, tmp_path: Path) -> None:
    page = page_with(plans, tmp_path, ())

    assert page.count("not run") > 100
    assert not (tmp_path / "images").exists()
    assert not [line for line in page.splitlines() if line.startswith("- ")]


def test_some_seeds_make_a_page_that_says_how_many_and_is_the_same_each_time(plans: Path, tmp_path: Path) -> None:
    page = page_with(plans, tmp_path, (None, "0"), ["main"])
    plot = (tmp_path / "images" / "study-main.svg").read_bytes()
    write_page(plans, tmp_path / "study.md")
    table = page.split("## Does a patch beat")[1].split("## Does it hold")[0]

    assert "1 of 3" in table and "not run" not in table
    assert re.search(r"studies/main.yaml` \\|[^|]+\\| 52 \\| 20 \\| 0.1 \\|", page)  # 16 trainings of 18 seconds
    assert (tmp_path / "study.md").read_text(encoding="utf-8") == page
    assert (tmp_path / "images" / "study-main.svg").read_bytes() == plot


@pytest.mark.parametrize(("share", "text"), [(0.123, "+12.3"), (-0.0204, "−2.0"), (0.0004, "0.0"), (-0.0004, "0.0")])
def test_differences_have_signs(share: float, text: str) -> None:
    assert signed(share) == text


def test_the_committed_page_is_that_of_the_committed_results(tmp_path: Path) -> None:
    write_page(STUDIES, tmp_path / "study.md")

    assert (tmp_path / "study.md").read_text(encoding="utf-8") == (ROOT / "docs" / "study.md").read_text(
        encoding="utf-8"
    )


def test_measured_seconds_come_with_their_ratios_within_a_round(plans: Path, tmp_path: Path) -> None:
    seconds = {"base": [1.0, 2.0, 4.0], "patch": [1.0, 2.2, 4.0]}
    states = dict.fromkeys(("unmerged", "merged"), {"sec": seconds, "median_sec": {"base": 2.0, "patch": 2.2}})
    base = {"frames": 4, "sequence": 817, "new_tokens": 16, "rounds": 3, "prefill": states, "generate": states}
    measured = {"device": "cpu", "threads": 2, "bases": {"llava-onevision-0.5b": base}}
    write_whole(plans / "results" / "overhead.json", json.dumps(measured))
    write_page(plans, tmp_path / "study.md")
    (plans / "results" / "overhead.json").unlink()
    page = (tmp_path / "study.md").read_text(encoding="utf-8")

    assert "| apart | first token | 2000.0 ms | 2200.0 ms | 1.000 (1.000 to 1.050) | 3 |" in page
    assert "| merged | answer, 16 tokens | 2000.0 ms | 2200.0 ms | 1.000 (1.000 to 1.050) | 3 |" in page


def test_seconds_of_a_step_are_those_of_the_benchmark(plans: Path, tmp_path: Path) -> None:
    found = {"median_sec": {"lora": 0.2, "append": 2.5, "default": 0.25}, "ratio": {"append": 12.6, "default": 1.24}}
    measured = {"device": "cpu", "threads": 2, "samples": 64, "rounds": 9, "tracks": {"depth": found}}
    write_whole(plans / "results" / "steps.json", json.dumps(measured))
    write_page(plans, tmp_path / "study.md")
    (plans / "results" / "steps.json").unlink()
    page = (tmp_path / "study.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if '<a id="main-depth-' in line]

    assert "on the CPU, 2 threads, medians of 9 rounds" in page
    assert [cells[-2] for cells in rows] == ["–", "0.200", "2.500 (12.60)", "–", "0.250 (1.24)"]


def test_seconds_that_cannot_be_read_are_named(plans: Path, tmp_path: Path) -> None:
    write_whole(plans / "results" / "overhead.json", '{"device": "cpu", ')
    with pytest.raises(InputError, match=r"overhead\.json: not valid JSON"):
        write_page(plans, tmp_path / "study.md")
    (plans / "results" / "overhead.json").unlink()
    assert not (tmp_path / "study.md").exists()


def test_hours_of_trainings_that_were_not_timed_are_not_made_up() -> None:
    timed, resumed = {"steps": 3600, "seconds_a_step": 2.0}, {"steps": 9, "seconds_a_step": None}
    assert write._hours([timed]) == "2.0" and write._hours([timed, resumed]) == "2.0 or more"


def test_names_of_rows_are_names_of_places() -> None:
    for study in read_studies(STUDIES):
        assert len({anchor(study, row) for row in study.rows}) == len(study.rows)
        assert all(re.fullmatch(r"[a-z0-9-]+", anchor(study, row)) for row in study.rows)
