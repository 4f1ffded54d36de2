"""Plans: axes, overrides, names, and what is wrong with one, told on one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pave.blindspot.study.plan import read_plan
from pave.errors import InputError
from tests.blindspot.study.plans import TRAINING, plan, write_plan

STUDIES = Path(__file__).parents[3] / "studies"


def test_each_combination_of_axes_is_a_run(tmp_path: Path) -> None:
    runs = read_plan(write_plan(tmp_path)).runs

    assert [run.name for run in runs] == ["base", "lora-0", "lora-1", "default-0", "default-1"]
    assert runs[0].train is None and runs[0].base == "blindspot"
    assert [run.train.seed for run in runs[1:] if run.train is not None] == [0, 1, 0, 1]
    assert runs[1].train is not None and runs[1].train.patch is None
    assert runs[3].train is not None and runs[3].train.patch is not None
    assert [evaluation.name for evaluation in runs[3].evaluate] == ["hear", "silent"]
    assert runs[3].evaluate[1].side == "zeroed" and not runs[3].evaluate[0].is_altered


def test_quick_keeps_some_values_and_shrinks_trainings_and_sets(tmp_path: Path) -> None:
    runs = read_plan(write_plan(tmp_path), quick=True).runs

    assert [run.name for run in runs] == ["base", "lora-0", "default-0"]
    assert [run.steps for run in runs] == [0, 2, 2]
    assert all(evaluation.set.count == 4 for run in runs for evaluation in run.evaluate)


def test_names_of_axes_are_filled_in_everywhere(tmp_path: Path) -> None:
    content = plan()
    content["runs"].append(
        {
            "name": "pair-{seed}",
            "config": "train.yaml",
            "train": False,
            "each": ["seed"],
            "evaluate": [{"set": "hear", "patches": ["lora-{seed}", "default-{seed}"]}],
        }
    )

    runs = read_plan(write_plan(tmp_path, content)).runs

    assert runs[-1].name == "pair-1"
    assert runs[-1].needs == ["lora-1", "default-1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seeds": {}}, "unknown key 'seeds'"),
        ({"runs": []}, "'runs' must be a list"),
        ({"sets": {"hear": {"track": "hear", "count": 6}}}, "lacks 'seed'"),
        ({"sets": {"hear": {"track": "heer", "count": 6, "seed": 1}}}, "did you mean 'hear'"),
        ({"axes": {"method": {"base": {"overides": {}}}}}, "did you mean 'overrides'"),
        ({"runs": [{"config": "train.yaml", "each": ["metod"], "evaluate": ["hear"]}]}, "did you mean 'method'"),
        ({"runs": [{"config": "train.yaml", "evaluate": ["hear"]}]}, "neither 'name' nor 'each'"),
        ({"runs": [{"name": "a", "config": "other.yaml", "evaluate": ["hear"]}]}, "other.yaml: no such file"),
        ({"runs": [{"name": "a", "config": "train.yaml", "evaluate": ["heer"]}]}, "unknown set 'heer'"),
        ({"runs": [{"name": "a", "config": "train.yaml"}]}, "run a: 'evaluate' is missing"),
        ({"runs": [{"name": "a-{x}", "config": "train.yaml", "evaluate": ["hear"]}]}, "{x} is no axis"),
        ({"runs": 2 * [{"name": "a", "config": "train.yaml", "evaluate": ["hear"]}]}, "two runs are named 'a'"),
        ({"runs": [{"name": "../a", "config": "train.yaml", "evaluate": ["hear"]}]}, "cannot be the name of a file"),
        ({"runs": [{"name": "", "config": "train.yaml", "evaluate": ["hear"]}]}, "cannot be the name of a file"),
        ({"runs": [{"name": "a", "config": "train.yaml", "evaluate": ["hear", "hear"]}]}, "two evaluations are named"),
        (
            {"runs": [{"name": "a", "config": "train.yaml", "evaluate": [{"set": "hear", "patches": ["b"]}]}]},
            "uses the patch of 'b'",
        ),
        (
            {"runs": [{"name": "a", "config": "train.yaml", "evaluate": [{"set": "hear", "side": "reel"}]}]},
            "did you mean 'real'",
        ),
        (
            {
                "runs": [
                    {
                        "name": "a",
                        "config": "train.yaml",
                        "overrides": {"patch.hiden_dim": 3},
                        "evaluate": ["hear"],
                    }
                ]
            },
            "did you mean 'hidden_dim'",
        ),
        (
            {
                "runs": [
                    {
                        "name": "a",
                        "config": "train.yaml",
                        "overrides": {"data.1.weight": 3},
                        "evaluate": ["hear"],
                    }
                ]
            },
            "no place in a list of 1 entries",
        ),
    ],
)
def test_a_plan_that_cannot_be_used_is_told_on_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = write_plan(tmp_path, {**plan(), **change})

    with pytest.raises(InputError) as caught:
        read_plan(path)

    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_training_keeps_its_name_when_a_default_is_written_out(tmp_path: Path) -> None:
    from pave.blindspot.study.run import trained_hash

    def hash_of(training: dict[str, Any]) -> str:
        train = read_plan(write_plan(tmp_path, None, training)).runs[-1].train
        assert train is not None
        return trained_hash(train)

    same = {**TRAINING, "patch": {**TRAINING["patch"], "layers": 2}, "save_every": 1}
    other = {**TRAINING, "patch": {**TRAINING["patch"], "layers": 3}}

    assert hash_of(same) == hash_of(TRAINING)
    assert hash_of(other) != hash_of(TRAINING)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("quick", [False, True])
def test_the_plans_of_this_project_can_be_read(path: Path, quick: bool) -> None:
    assert read_plan(path, quick).runs
