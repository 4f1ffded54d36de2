"""Puts the page together from plans and result files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pave.blindspot.study.page import ablations, bases, main_table, overhead, plots, removed, sizes, times, together
from pave.blindspot.study.page.markdown import table
from pave.blindspot.study.plan import read_plan
from pave.blindspot.study.result import Results
from pave.blindspot.study.rows import Study, rows_of
from pave.config import read_json
from pave.files import write_whole

SECTIONS: Mapping[str, Callable[..., Iterator[str]]] = {
    "main": main_table.section,
    "bases": bases.section,
    "times": times.section,
    "together": together.section,
    "ablations": ablations.section,
}
MEASURED = {"main": main_table.STEPS_FILE}
"""Results of a benchmark that stand in the section of a plan."""

RESULTS_FOLDER = "results"
IMAGES_FOLDER = "images"

PICTURES = {
    "main": "Left: accuracy by track and method, with 95 % intervals; dotted: chance. Right: accuracy and operations "
    "of an answer; circle `hear`, square `depth`, diamond `views`, triangle `blink`.",
    "times": "Accuracy with side channels that were changed after training, with 95 % intervals.",
    "together": "Accuracy of every model on every track, in percent.",
    "ablations": "Difference of each variant to the default, with 95 % intervals.",
}

OPENING = """# The study

<!-- Written by `python -m pave.blindspot.study.page studies docs/study.md`; every number comes from a result file. -->

The claims of the paper, in a world small enough to test them in on two cores: that a patch beats tuning without its
channel, for several kinds of channel, at a small cost, several at once, and on several bases.

```bash
pave study studies/main.yaml
```

executes a plan, and goes on where it was stopped. Results are in `studies/results`, one file a run, with its full
configuration, versions, counts and every answer. This page is made of them alone; a number in a sentence comes with
pointers to its rows.

## What a miniature can show, and what it cannot

It can show mechanisms. The frames do not tell the answers, by construction: how much a guess that knows the generator
can make of them is known exactly, and is the chance in the tables. A method that does better reads its channel. Films,
LoRA, steps and optimiser of the methods are the same, and costs are counted, not estimated. Learning rates are the
same but where the plan says otherwise: appended tokens and the reference's patch have rates of their own, and the
plan says why.

It cannot show sizes of effects in the world. Films are drawn, questions come from templates, and answers are words;
the bases are tiny and trained on this world. In real data a channel is partly in the frames already, so that gains are
smaller; encoders are imperfect; language is open. Neither does a miniature tell which learning rates, numbers of steps
or widths suit a base of billions of weights. A patch is a large part of a tiny base: what it weighs beside a real one
stands in the section on real sizes.

Intervals are percentile bootstraps over films: the questions about one film, and the answers of all seeds to them,
stay together. They tell how far other films would move a number, and not how far another seed would: a patch that has
not begun to learn when its training ends answers by chance. So the main table has the accuracy of each seed, and the
result files have every answer. Differences are taken question by question."""


CLOSING = """## The same with real bases and real data

What stands above is a plan of `pave train` and `pave eval`, and so is the same comparison where there are GPUs,
weights and films. [Recipes](recipes.md) has the configurations, the commands that make their data, and what differs
from the paper.

| benchmark | channel | configuration |
| --- | --- | --- |
| ScanQA | `depth` | `configs/recipes/scanqa.yaml` |
| SQA3D | `depth` | `configs/recipes/sqa3d.yaml` |
| AVSD | `audio` | `configs/recipes/avsd.yaml` |
| AVQA | `audio` | `configs/recipes/avqa.yaml` |
| MUSIC-AVQA | `audio` | `configs/recipes/music-avqa.yaml` |
| Ego-Exo4D | `views` | `configs/recipes/ego-exo4d.yaml` |
| Video-MME, MVBench and MLVU, trained on LLaVA-Video | `frames` | `configs/recipes/llava-video.yaml` |

The base is one line of each, or an argument: `--base llava-hf/llava-onevision-qwen2-0.5b-ov-hf`,
`llava-hf/llava-onevision-qwen2-7b-ov-hf`, `Qwen/Qwen2.5-VL-7B-Instruct` or `Qwen/Qwen3-VL-8B-Instruct`. The rows of
the main table, on AVSD, after a look at what they take (all of them with the paper's queries, from before the
projector):

```bash
pave train configs/recipes/avsd.yaml --dry-run tiny
TRAIN="accelerate launch --multi_gpu --num_processes 4 -m pave train \\
    configs/recipes/avsd.yaml --gradient_accumulation 4"
$TRAIN
$TRAIN --out outputs/avsd-lora --patch null --preprocessing.encoder null
$TRAIN --out outputs/avsd-append --patch.type append
$TRAIN --out outputs/avsd-reference --patch.value_projection tied --patch.alignment index \\
    --patch.layout grid  # LLaVA-OneVision's alone
pave eval avsd --data sets/avsd-test --out results/avsd --precision bf16 \\
    --compare base,lora:outputs/avsd-lora,patch:outputs/avsd-append,patch:outputs/avsd-reference,patch:outputs/avsd
```

None of this was run in its real size here. Tests take the steps of every recipe, and of every row of this table, on a
tiny random base of its family, through the code that trains."""


def read_studies(plans: Path) -> list[Study]:
    """Read the plans of a folder and their results.

    Raises:
        InputError: If a plan or a result cannot be used.
    """
    studies = []
    for name in SECTIONS:
        plan = read_plan(plans / f"{name}.yaml")
        studies.append(Study(name, plan.about, rows_of(plan.runs, Results(plans / RESULTS_FOLDER / name))))
    return studies


def write_page(plans: Path, page: Path) -> None:
    """Write the page and its plots.

    Args:
        plans: Folder of the plans, with their results in ``results/``.
        page: The Markdown file; plots go into ``images/`` beside it.

    Raises:
        InputError: If a plan or a result cannot be used.
    """
    studies = read_studies(plans)
    results = plans / RESULTS_FOLDER
    parts = [OPENING, *_state(studies)]
    for study in studies:
        measured = [_measured(results / MEASURED[study.name])] if study.name in MEASURED else []
        heading, *rest = SECTIONS[study.name](study, *measured)
        image = page.parent / IMAGES_FOLDER / f"study-{study.name}.svg"
        pictured = plots.draw(study, image)
        parts += [heading, *([f"![{PICTURES[study.name]}]({IMAGES_FOLDER}/{image.name})"] if pictured else []), *rest]
    ablated = next(study for study in studies if study.name == "ablations")
    parts += removed.section(ablated, removed.read_ideas(results / removed.FOLDER))
    parts += sizes.section(_sizes(results / sizes.SIZES_FILE))
    parts += [*overhead.section(_measured(results / overhead.OVERHEAD_FILE)), CLOSING]
    write_whole(page, "\n\n".join(part.strip() for part in parts) + "\n")


def _state(studies: Sequence[Study]) -> Iterator[str]:
    yield "## What was run"
    lines, counted = [], set[str]()
    for study in studies:
        runs = sum(len(row.runs) for row in study.rows)
        results = [found for row in study.rows for found in row.found]
        trainings = {json.dumps(found["train"], sort_keys=True): found["trained"] for found in results}
        new = [trained for training, trained in trainings.items() if trained and training not in counted]
        counted |= trainings.keys()
        lines.append([f"`studies/{study.name}.yaml`", study.about, str(runs), str(len(results)), _hours(new)])
    yield table(["plan", "question", "runs", "done", "hours"], lines)
    yield (
        "Hours are those of the trainings that are done, added up: the steps of each times the seconds that one took "
        "on one core, while something else ran on the other. Two at a time (`--jobs 2`) take half as long. A training "
        "that several plans have is done once, and counts where it stands first."
    )


def _hours(trained: Sequence[Mapping[str, Any]]) -> str:
    """Return the hours of trainings; one that was resumed for its last few steps does not know how long they took."""
    timed = [made for made in trained if made["seconds_a_step"] is not None]
    hours = sum(made["steps"] * made["seconds_a_step"] for made in timed) / 3600
    return f"{hours:.1f}" if len(timed) == len(trained) else f"{hours:.1f} or more"


def _measured(path: Path) -> dict[str, Any] | None:
    """Return the result of a benchmark, if it was run."""
    return read_json(path) if path.is_file() else None


def _sizes(path: Path) -> Sequence[Mapping[str, Any]]:
    if not path.is_file():
        return []
    found: Sequence[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found
