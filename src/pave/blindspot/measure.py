"""Asks a base the questions of a set, from the films on disk through the base's own processor, and counts."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pave.blindspot.tiny_base import FRAME_COUNT
from pave.data.processor import PaveProcessor
from pave.model import PaveModel

_BATCH = 32
_LONGEST_ANSWER = 4


@dataclass(frozen=True)
class Measurement:
    """How many questions were asked, the share answered right, the chance of a blind answerer, and shares by form."""

    questions: int
    accuracy: float
    blind: float
    by_form: dict[str, float]


def measure_base(base: Path, samples: Path) -> Measurement:
    """Answer every question of a set greedily and compare word for word."""
    model = PaveModel.from_base(base)
    processor = PaveProcessor.from_model(model, FRAME_COUNT)
    lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    videos = {clip: processor.read_video(samples.parent / clip) for clip in {line["video"] for line in lines}}
    collate = processor.collator("left")
    right: list[bool] = []
    for start in range(0, len(lines), _BATCH):
        part = lines[start : start + _BATCH]
        turns = [processor.tokenise(line["messages"][:1], video=True, answer=False) for line in part]
        films = [videos[line["video"]] for line in part]
        inputs = collate([processor.features(asked, film) for asked, film in zip(turns, films, strict=True)])
        ids = model.generate(**inputs, max_new_tokens=_LONGEST_ANSWER, do_sample=False)
        answers = processor.decode(ids, inputs["input_ids"].shape[1])
        right += [answer == line["answer"] for answer, line in zip(answers, part, strict=True)]
    by_form: dict[str, list[bool]] = defaultdict(list)
    for line, hit in zip(lines, right, strict=True):
        by_form[line["form"]].append(hit)
    return Measurement(
        questions=len(lines),
        accuracy=float(np.mean(right)),
        blind=float(np.mean([line["blind"] for line in lines])),
        by_form={form: float(np.mean(hits)) for form, hits in sorted(by_form.items())},
    )
