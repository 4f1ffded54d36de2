"""Several models on the same samples: their scores, and their differences with paired intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from pave.checkpoint import locate_patch, read_preprocessing, read_spec
from pave.data.processor import PaveProcessor
from pave.errors import InputError
from pave.evaluation.config import EvalConfig
from pave.evaluation.figures import plain
from pave.evaluation.folder import COMPARISON_FILE, ResultFolder, folder_name
from pave.evaluation.questions import read_questions
from pave.evaluation.responses import Response, keys_of
from pave.evaluation.result import EvalResult
from pave.evaluation.run import answer_and_score, asker_for, channels_of, own_shard, scoring_for, settled
from pave.evaluation.scoring import Scoring, clusters_of, kept, metrics_of
from pave.evaluation.statistics import paired_interval
from pave.files import write_whole
from pave.model import PaveModel
from pave.processes import processes
from pave.training.build import DTYPES

BASE, LORA, PATCH = "base", "lora", "patch"


@dataclass(frozen=True)
class Contender:
    """One of the models that are compared.

    Args:
        name: As the user wrote it: ``base``, ``lora:SOURCE``, ``patch:SOURCE`` or ``patch:SOURCE+SOURCE``.
        patches: Shipped names, folders or hub ids of its patches.
    """

    name: str
    patches: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Contender:
        """Read a contender as the user writes it.

        Raises:
            InputError: If it is written otherwise.
        """
        kind, mark, sources = text.partition(":")
        if text == BASE:
            return cls(text, ())
        if kind not in (LORA, PATCH) or not mark or not all(sources.split("+")):
            raise InputError(f"--compare {text}: write base, lora:FOLDER, patch:FOLDER or patch:FOLDER+FOLDER")
        return cls(text, tuple(sources.split("+")))

    def check_kind(self) -> None:
        """Check that what is called a LoRA is nothing more.

        Raises:
            InputError: If it has a fusion module.
        """
        for source in self.patches if self.name.startswith(LORA) else ():
            if read_spec(locate_patch(source)).patch is not None:
                raise InputError(f"--compare {self.name}: {source} is a patch, not a LoRA alone; write patch:{source}")


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same samples.

    Args:
        model: The one.
        than: The other.
        metric: Name of the metric.
        value: Metric of the one minus that of the other.
        interval: 95 % interval, by paired bootstrap over videos.
    """

    model: str
    than: str
    metric: str
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Results by contender, and every difference, later ones minus earlier ones."""

    results: Mapping[str, EvalResult]
    differences: Sequence[Difference]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the responses, in plain JSON types."""
        found: dict[str, Any] = plain(
            {
                "models": {name: result.to_dict() for name, result in self.results.items()},
                "differences": [vars(difference) for difference in self.differences],
            }
        )
        return found


def run_comparison(config: EvalConfig, contenders: Sequence[Contender]) -> Comparison | None:
    """Evaluate models one after the other on one base, on the same samples and frames.

    Args:
        config: The evaluation; its patches are those of the contenders.
        contenders: The models; each gets a folder of its own in ``out``.

    Returns:
        The comparison; ``None`` while parts of other processes lack.

    Raises:
        InputError: If a model, the data or the output folder cannot be used.
    """
    check_contenders(contenders)
    shard = own_shard(config)
    folders = result_folders(config, [contender.name for contender in contenders])
    settled_frames = config.frames or _common("frames", contenders)
    preset = _common("preset", contenders)
    channels = channels_of([patch for contender in contenders for patch in contender.patches])
    questions = read_questions(config, channels)
    scoring = scoring_for(config, questions)
    model = _base(config, contenders)
    results: dict[str, EvalResult] = {}
    for contender, folder in zip(contenders, folders, strict=True):
        names = [model.load_patch(patch, f"patch_{place}") for place, patch in enumerate(contender.patches, start=1)]
        processor = PaveProcessor.from_model(model, settled_frames, preset)
        asker = asker_for(model, settled(config.settings, scoring), processor)
        own = replace(config, patches=contender.patches, base=model.record.name)
        result = answer_and_score(asker, questions, scoring, own, folder, shard)
        for name in names:
            model.remove_patch(name)
        if result is not None:
            results[contender.name] = result
    if len(results) < len(contenders):
        return None
    comparison = Comparison(results, differences_of(results, scoring))
    if config.out is not None and processes().is_main_process:
        write_json(config.out / COMPARISON_FILE, comparison.to_dict())
    return comparison


def check_contenders(contenders: Sequence[Contender]) -> None:
    """Check that there is something to compare.

    Raises:
        InputError: If there are not two different ones, or one is not what it is called.
    """
    names = [contender.name for contender in contenders]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"--compare {','.join(names)}: name at least two models, each once")
    for contender in contenders:
        contender.check_kind()


def differences_of(results: Mapping[str, EvalResult], scoring: Scoring) -> list[Difference]:
    """Return the differences of every pair of results, in every metric, later ones minus earlier ones."""
    found = []
    for (than, before), (model, after) in combinations(results.items(), 2):
        found += paired(model, after.responses, than, before.responses, scoring)
    return found


def paired(
    model: str, responses: Sequence[Response], than: str, others: Sequence[Response], scoring: Scoring
) -> list[Difference]:
    """Return the differences of one pair over the samples that both have answered, in every metric.

    Raises:
        InputError: If they have none in common.
    """
    answered = dict(zip(keys_of(others), others, strict=True))
    found = dict(zip(keys_of(responses), responses, strict=True))
    common = [key for key in found if key in answered]
    ours, theirs = (kept([side[key] for key in common], scoring) for side in (found, answered))
    metrics, baseline = metrics_of(ours, scoring), metrics_of(theirs, scoring)
    return [
        Difference(
            model,
            than,
            name,
            float(metric.value - baseline[name].value),
            paired_interval(metric.rows, baseline[name].rows, metric.combine, clusters_of(ours), scoring.seed),
        )
        for name, metric in metrics.items()
        if name in baseline
    ]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file so that nobody ever sees half of it."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def result_folders(config: EvalConfig, names: Sequence[str]) -> Sequence[ResultFolder | None]:
    """Return the folder in ``out`` of each of several evaluations.

    Raises:
        InputError: If one of them is somebody else's.
    """
    if config.out is None:
        return [None] * len(names)
    folders = [ResultFolder(config.out / folder_name(number, name)) for number, name in enumerate(names, start=1)]
    for folder in folders:
        folder.check_usable()
    return folders


def _base(config: EvalConfig, contenders: Sequence[Contender]) -> PaveModel:
    folders = _folders(contenders)
    if config.base is not None:
        base, revision = config.base, None
    elif folders:
        record = read_spec(folders[0]).base
        base, revision = record.name, record.revision
    else:
        raise InputError("--compare: neither --base nor a patch says which base is meant; name it by --base")
    return PaveModel.from_base(base, revision, dtype=DTYPES[config.precision]).to(processes().device)


def _folders(contenders: Sequence[Contender]) -> list[Path]:
    return [locate_patch(patch) for contender in contenders for patch in contender.patches]


def _common(name: str, contenders: Sequence[Contender]) -> Any:
    """Return what all patches were made with, so that every model sees the same; ``None`` if none says.

    Raises:
        InputError: If they differ.
    """
    made = [read_preprocessing(folder) for folder in _folders(contenders)]
    found = {getattr(preprocessing, name) for preprocessing in made if preprocessing is not None}
    if len(found) > 1:
        told = ", ".join(map(str, sorted(found)))
        raise InputError(f"--compare: the patches were made with different {name} ({told}); compare those of one")
    return next(iter(found), None)
