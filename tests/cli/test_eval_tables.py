"""What tables print of names that users chose."""

from __future__ import annotations

import pytest

from pave.cli.eval_tables import print_comparison
from pave.evaluation.compare import Comparison, Difference


def test_names_stand_as_they_are(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ours, theirs = (f"patch:outputs/{kind}/{'a-long-name-' * 4}tail" for kind in ("[hear]", "[/append]:car:"))
    print_comparison(Comparison({}, [Difference(ours, theirs, "accuracy", 0.5, (0.0, 1.0))]))
    lines = capsys.readouterr().out.splitlines()
    shown = "".join(line[: line.find("   ", 3)].strip() for line in lines if line.startswith("  ") and line.strip())
    assert ours in shown and theirs in shown
