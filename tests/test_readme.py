"""What the README shows runs as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pave.blindspot.generate import MakeConfig, make
from pave.cli import main

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip under the name that the README uses, in the working folder."""
    make(MakeConfig("hear", 1, 11, tmp_path / "set", workers=1))
    monkeypatch.chdir(tmp_path)
    return (tmp_path / "set" / "clips" / "000000.mp4").rename(tmp_path / "clip.mp4")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_python_example_prints_what_the_readme_says(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks("python")[0], {})
    assert f"```\n{capsys.readouterr().out}```" in README.read_text(encoding="utf-8")


def test_ask_and_info(clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("pave ask")]
    assert len(commands) == 1
    assert main(shlex.split(commands[0])[1:]) == 0
    assert capsys.readouterr().out.strip()


def test_named_files_exist() -> None:
    named = re.findall(r"\((docs/[a-z]+\.md)\)|(configs/[\w-]+\.yaml)", README.read_text(encoding="utf-8"))
    assert named
    for link in (part for pair in named for part in pair if part):
        assert (README.parent / link).is_file(), link
