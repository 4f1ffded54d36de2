"""What an evaluation found: every answer, the scores over them, and all that decided them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pave.evaluation.figures import plain
from pave.evaluation.folder import RESPONSES_FILE, RESULT_FILE
from pave.evaluation.responses import Response, as_line
from pave.files import check_vacant, whole_folder

__all__ = ["RESPONSES_FILE", "RESULT_FILE", "EvalResult", "Response"]


@dataclass(frozen=True)
class EvalResult:
    """Scores of one model on one set of samples.

    Args:
        accuracy: Share of answers that are one of their references, once normalised.
        interval: 95 % interval of the accuracy, by bootstrap over videos.
        n: Samples scored.
        skipped: Samples not scored.
        skipped_reasons: How many for which reason.
        chance: Mean of ``blind``, if every scored sample states it.
        by_form: Scores by kind of question.
        by_track: Scores by track.
        absent: Samples that ran without a channel, by channel.
        base: Name of the base.
        patches: Names of the patches that acted.
        seed: Of the bootstrap.
        config: Everything that decided the answers.
        versions: Of the packages that computed them.
        responses: The answers.
        benchmark: Whose conventions the metrics are of.
        convention: How the metrics were scored.
        metrics: Value and 95 % interval of each metric of the convention, the headline first.
        by_category: Value, interval and n of the headline metric by category.
        missing: Samples whose media lack: wrong, or skipped if ``skip_missing`` says so.
        empty: Scored samples to which the model said nothing.
    """

    accuracy: float
    interval: tuple[float, float]
    n: int
    skipped: int
    skipped_reasons: Mapping[str, int]
    chance: float | None
    by_form: Mapping[str, Mapping[str, Any]]
    by_track: Mapping[str, Mapping[str, Any]]
    absent: Mapping[str, int]
    base: str
    patches: Sequence[str]
    seed: int
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    responses: Sequence[Response] = field(repr=False)
    benchmark: str = ""
    convention: str = ""
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    by_category: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: int = 0
    empty: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return all but the responses, in plain JSON types."""
        found: dict[str, Any] = plain({**asdict(self), "responses": None})
        del found["responses"]
        return found

    def write(self, folder: Path) -> None:
        """Write ``result.json`` and ``responses.jsonl`` into a new folder, both or neither.

        Raises:
            InputError: If the folder is not empty.
        """
        check_vacant(folder)
        with whole_folder(folder) as fresh:
            text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
            (fresh / RESULT_FILE).write_text(text, encoding="utf-8")
            (fresh / RESPONSES_FILE).write_bytes(b"".join(map(as_line, self.responses)))
