"""The AVSD challenges' own packages, whose submissions and references check vectors name by file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pave.errors import InputError

PACKAGES = ("dstc7", "dstc8")


def challenge_row(row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a check vector with the texts of the files that it names.

    Predictions are the last answers of the submission's dialogues, references the captions of the COCO-style reference
    file, and both are paired by position, as the challenges do.

    Args:
        row: Its ``prediction`` and ``references`` are ``{"file": path within the package}``.
        folder: Holds ``dstc7avsd_eval`` and ``dstc8avsd_eval``.

    Raises:
        InputError: If a file is missing, or both differ in number.
    """
    references = row["references"]["file"]
    package = next((name for name in PACKAGES if name in references.lower()), None)
    if package is None:
        raise InputError(f"{references}: names neither DSTC7 nor DSTC8, so its package is not known")
    root = folder / f"{package}avsd_eval"
    dialogues = _read(root / row["prediction"]["file"])["dialogs"]
    answers = {str(number): dialogue["dialog"][-1]["answer"] for number, dialogue in enumerate(dialogues, 1)}
    captions = _captions(_read(root / references))
    if list(answers) != list(captions):
        raise InputError(f"{root}: {len(answers)} answers for {len(captions)} references; use files of one challenge")
    return {**row, "prediction": answers, "references": captions}


def _captions(coco: Mapping[str, Any]) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {str(image["id"]): [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        captions[str(annotation["image_id"])].append(annotation["caption"])
    return captions


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such file; unpack the challenge's evaluation package there")
    return json.loads(path.read_text(encoding="utf-8"))
