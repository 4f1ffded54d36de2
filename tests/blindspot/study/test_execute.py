"""Runs from end to end: processes, results, going on after a kill, and results of another configuration."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pave.blindspot.study.execute import DONE, FAILED, Event, Executor
from pave.blindspot.study.perform import perform
from pave.blindspot.study.places import Places
from pave.blindspot.study.plan import Plan, read_plan
from pave.blindspot.study.result import Results
from pave.blindspot.study.rows import rows_of
from pave.blindspot.study.run import Run
from pave.blindspot.study.table import result_table
from pave.cli import main
from pave.errors import InputError
from tests.blindspot.study.plans import TRAINING, plan, write_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def places(folder: Path) -> Places:
    return Places(folder / "work")


@pytest.fixture(scope="module")
def tiny(folder: Path, places: Places) -> Plan:
    found = read_plan(write_plan(folder), quick=True)
    for run in found.runs:
        for config in run.sets:
            places.make_set(config)
    return found


@pytest.fixture(scope="module")
def results(folder: Path, tiny: Plan, places: Places) -> Results:
    results = Results(folder / "out")
    for run in tiny.runs:
        perform(run, {}, places, results, _silent)
    return results


def test_a_result_says_all_that_decided_it(tiny: Plan, results: Results) -> None:
    found = results.find(tiny.runs[-1])

    assert found is not None
    assert found["train"]["patch"]["hidden_dim"] == 32 and found["train"]["patch"]["layers"] == 2
    assert found["train"]["data"][0]["make"]["count"] == 8
    assert found["trained"]["steps"] == 2 and found["trained"]["seconds_a_step"] is None
    assert found["evaluate"]["silent"]["side"] == "zeroed"
    score = found["scores"]["hear"]
    assert score["n"] == len(score["correct"]) == len(score["clips"]) == 4 and score["skipped"] == 0
    assert score["accuracy"] == score["correct"].count("1") / 4
    assert {"torch", "transformers", "pave"} <= set(found["versions"])


def test_costs_are_those_of_the_method(tiny: Plan, results: Results) -> None:
    base, lora, patched = (results.find(run) for run in tiny.runs)
    assert base is not None and lora is not None and patched is not None

    assert base["cost"]["trained_weights"] == {"patch": 0, "lora": 0}
    assert base["cost"]["encoder_flops"] == lora["cost"]["encoder_flops"] == 0
    assert patched["cost"]["trained_weights"] == patched["trained"]["trained_weights"]
    assert lora["cost"]["trained_weights"]["lora"] == patched["cost"]["trained_weights"]["lora"] > 0
    # A LoRA multiplies each token of the prompt by each of its weights, and those of the answer but the last.
    added = lora["cost"]["flops"] - base["cost"]["flops"]
    least = 2 * lora["cost"]["trained_weights"]["lora"] * base["cost"]["prompt_tokens"]
    assert least <= added <= 1.5 * least
    assert patched["cost"]["prompt_tokens"] == base["cost"]["prompt_tokens"]
    assert patched["cost"]["flops"] > lora["cost"]["flops"] + patched["cost"]["encoder_flops"] > lora["cost"]["flops"]


def test_the_table_has_a_line_for_each_evaluation(tiny: Plan, results: Results) -> None:
    from rich.console import Console

    text = io.StringIO()
    Console(width=140, file=text).print(result_table("tiny", rows_of(tiny.runs, results)))

    lines = [line.split() for line in text.getvalue().splitlines() if "1/1" in line]
    assert [line[0] for line in lines] == ["base", "lora", "silent", "default", "silent"]
    assert all("%" in line[2] or "%" in line[1] for line in lines)


def test_a_training_goes_on_where_it_was_killed(folder: Path, places: Places, tmp_path: Path) -> None:
    run = read_plan(write_plan(tmp_path)).runs[-1]
    results = Results(tmp_path)
    for config in run.sets:
        places.make_set(config)

    def killed(what: str, done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(run, {}, places, results, killed)
    assert results.find(run) is None
    told: list[tuple[str, int, int]] = []
    perform(run, {}, places, results, lambda *event: told.append(event))

    found = results.find(run)
    assert found is not None and found["trained"]["resumed_from"] == 4
    assert [done for what, done, _ in told if what == "training"] == [5, 6]

    results.path(run).unlink()
    told.clear()
    perform(run, {}, places, results, lambda *event: told.append(event))

    assert results.find(run) == {**found, "seconds": (results.find(run) or {})["seconds"]}
    assert not [what for what, _, _ in told if what == "training"]


def test_a_run_whose_training_has_changed_is_asked_anew(tiny: Plan, places: Places, tmp_path: Path) -> None:
    perform(tiny.runs[-1], {}, places, Results(tmp_path / "before"), _silent)
    content = plan()
    content["quick"]["overrides"]["patch_lr"] = 0.01
    run = read_plan(write_plan(tmp_path, content), quick=True).runs[-1]
    assert run.name == tiny.runs[-1].name

    perform(run, {}, places, Results(tmp_path / "after"), _silent)

    found = Results(tmp_path / "after").find(run)
    assert found is not None and found["train"]["patch_lr"] == 0.01


def test_the_patches_of_other_runs_act_together(tiny: Plan, places: Places, results: Results, tmp_path: Path) -> None:
    content = plan()
    pair = [{"set": "hear", "patches": ["lora-0", "default-0"], "without": ["audio"]}]
    content["runs"].append({"name": "pair", "config": "train.yaml", "train": False, "evaluate": pair})
    runs = read_plan(write_plan(tmp_path, content), quick=True).runs

    perform(
        runs[-1], {run.name: run for run in runs if run.name in runs[-1].needs}, places, Results(tmp_path), _silent
    )

    found = Results(tmp_path).find(runs[-1])
    assert found is not None and found["trained"] is None
    lora, patched = (results.find(run) for run in tiny.runs[1:])
    assert lora is not None and patched is not None
    weights = [one["cost"]["trained_weights"]["lora"] for one in (lora, patched)]
    assert found["cost"]["trained_weights"]["lora"] == sum(weights)
    assert found["scores"]["hear"]["absent"] == {"audio": 4}


def test_a_run_that_fails_does_not_keep_others_from_their_results(tiny: Plan, places: Places, tmp_path: Path) -> None:
    training = {**TRAINING, "patch": {**TRAINING["patch"], "side_dim": 3}}
    runs = read_plan(write_plan(tmp_path, None, training), quick=True).runs
    results = Results(tmp_path / "out")
    events: list[Event] = []

    chosen = [runs[-1], runs[0]]
    failed = Executor({run.name: run for run in runs}, places, results, events.append, jobs=2).execute(chosen)

    assert list(failed) == ["default-0"] and "side_dim: 256" in failed["default-0"]
    assert "\n" not in failed["default-0"]
    ends = {event.run.name: event.what for event in events if event.what in (DONE, FAILED)}
    assert ends == {"default-0": FAILED, "base": DONE}
    assert results.find(runs[0]) is not None


def test_a_result_of_another_configuration_is_refused(
    tiny: Plan, results: Results, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = {**TRAINING, "patch": {**TRAINING["patch"], "layers": 3}}
    path = write_plan(tmp_path, None, training)
    arguments = ["study", str(path), "--quick", "--work", str(folder / "work")]

    assert main([*arguments, "--out", str(results.folder)]) == 2
    said = capsys.readouterr().err

    assert "train.patch.layers was 2, is 3" in said and "default-0.json" in said
    assert len(said.splitlines()) == 1


def test_results_from_before_a_field_was_added_are_still_good(tiny: Plan, results: Results, tmp_path: Path) -> None:
    run = tiny.runs[-1]
    found = results.find(run)
    assert found is not None
    del found["train"]["patch"]["layers"]
    older = Results(tmp_path)
    older.path(run).write_text(json.dumps(found), encoding="utf-8")

    assert older.find(run) is not None

    found["train"]["patch"]["depth"] = 1
    older.path(run).write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(InputError, match="unknown key 'depth'"):
        older.find(run)


def test_the_command_executes_what_lacks_and_prints_the_table(
    tiny: Plan, results: Results, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["study", str(folder / "tiny.yaml"), "--quick", "--out", str(results.folder)]

    assert main([*arguments, "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == ["base: done", "lora-0: done", "default-0: done"]
    assert main([*arguments, "--work", str(tmp_path), "--only", "default-*"]) == 0
    assert "default" in capsys.readouterr().out
    assert main([*arguments, "--only", "x"]) == 2
    assert "no run of" in capsys.readouterr().err


def test_a_plan_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(["a"]), encoding="utf-8")

    assert main(["study", str(path)]) == 2
    assert "holds no mapping" in capsys.readouterr().err


def _silent(*_: Any) -> None:
    """Take no note."""


@pytest.mark.slow
def test_the_quick_form_of_the_main_study_gives_a_result_of_every_run(tmp_path: Path) -> None:
    path = Path(__file__).parents[3] / "studies" / "main.yaml"
    out = tmp_path / "out"

    assert main(["study", str(path), "--quick", "--out", str(out), "--work", str(tmp_path / "work")]) == 0

    runs: list[Run] = list(read_plan(path, quick=True).runs)
    assert all(Results(out).find(run) is not None for run in runs)
