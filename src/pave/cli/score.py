"""``pave score``: old responses under another convention, or predictions made elsewhere, without a model."""

from __future__ import annotations

from pathlib import Path

from pave.cli import print_json
from pave.cli.arguments import parse


def main(arguments: list[str]) -> None:
    """Run ``pave score``."""
    parse(run, "pave score", arguments, positional=("source",))


def run(
    source: Path,
    convention: str | None = None,
    name: str | None = None,
    data: list[Path] | None = None,
    out: Path | None = None,
    seed: int = 0,
    skip_missing: bool = False,
    json: bool = False,
) -> None:
    """Score responses again, without the model that gave them.

    Args:
        source: Result folder or responses.jsonl; with --data a file of predictions, an id and a prediction a line.
        convention: How they are scored; by default the benchmark's first.
        name: Benchmark whose conventions are meant; by default the one that the samples name.
        data: Data sets that the predictions are for.
        out: File to write the scores to, as JSON.
        seed: Of the bootstrap that gives the intervals.
        skip_missing: Leave samples whose media lack out of the scores; otherwise they count as wrong.
        json: Print the scores as one JSON object.
    """
    import json as encoder

    from pave.evaluation.rescore import rescore
    from pave.files import write_whole

    found = rescore(source, convention, name, data or (), seed, skip_missing)
    if out is not None:
        write_whole(out, encoder.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if json:
        print_json(found)
    else:
        from pave.cli.eval_tables import print_scores

        print_scores(found, str(source))
