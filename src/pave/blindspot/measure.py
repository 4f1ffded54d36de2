"""Asks a base the questions of a set, from the films on disk through the base's own processor, and counts."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from pave.blindspot.tiny_base import FRAME_COUNT
from pave.media.video import sample_frames

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
    processor = AutoProcessor.from_pretrained(base)
    model = AutoModelForImageTextToText.from_pretrained(base).eval()
    lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    frames = {clip: sample_frames(samples.parent / clip, FRAME_COUNT).pixels for clip in {v["video"] for v in lines}}
    right: list[bool] = []
    for start in range(0, len(lines), _BATCH):
        part = lines[start : start + _BATCH]
        prompts = [_prompt(processor, line["messages"][0]["content"]) for line in part]
        videos = [frames[line["video"]] for line in part]
        inputs = processor(text=prompts, videos=videos, padding=True, return_tensors="pt")
        with torch.no_grad():
            ids = model.generate(**inputs, max_new_tokens=_LONGEST_ANSWER, do_sample=False)
        answers = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        right += [answer.strip() == line["answer"] for answer, line in zip(answers, part, strict=True)]
    by_form: dict[str, list[bool]] = defaultdict(list)
    for line, hit in zip(lines, right, strict=True):
        by_form[line["form"]].append(hit)
    return Measurement(
        questions=len(lines),
        accuracy=float(np.mean(right)),
        blind=float(np.mean([line["blind"] for line in lines])),
        by_form={form: float(np.mean(hits)) for form, hits in sorted(by_form.items())},
    )


def _prompt(processor: AutoProcessor, question: str) -> str:
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": question}]}
    return processor.apply_chat_template([message], add_generation_prompt=True)
