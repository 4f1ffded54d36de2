"""``pave report``: one HTML page from the folders that ``pave eval`` left."""

from __future__ import annotations

from pathlib import Path

from pave.cli.arguments import parse
from pave.quiet import quieten


def main(arguments: list[str]) -> None:
    """Run ``pave report``."""
    parse(run, "pave report", _listed(arguments))


def run(results: list[Path], out: Path = Path("report.html"), examples: int = 8) -> None:
    """Write one page, which needs no network, from results.

    Args:
        results: Result folders of pave eval: of a model, of --compare, or of --probe.
        out: The HTML file.
        examples: Most examples of each pair of models.
    """
    from pave.evaluation.report.page import write_report

    quieten()
    write_report(results, out, examples)
    print(out)


def _listed(arguments: list[str]) -> list[str]:
    """Let folders stand first, without the name of their option."""
    named = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return ["--results", *arguments] if named else arguments
