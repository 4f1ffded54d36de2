"""Shell habits become what the parser reads."""

from __future__ import annotations

import pytest

from pave import InputError
from pave.cli.arguments import parse, shell_style


def command(
    base: str,
    patch: list[str] | None = None,
    side: dict[str, str] | None = None,
    max_new_tokens: int = 3,
    json: bool = False,
) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["tiny"], ["--base=tiny"]),
        (["--json", "tiny"], ["--json=true", "--base=tiny"]),
        (["tiny", "--json", "false"], ["--base=tiny", "--json=false"]),
        (["tiny", "--max-new-tokens", "7"], ["--base=tiny", "--max_new_tokens=7"]),
        (["tiny", "--max-new-tokens=7"], ["--base=tiny", "--max_new_tokens=7"]),
        (["--patch", "a", "b"], ['--patch=["a", "b"]']),
        (["--patch", "a", "--json", "--patch", "b"], ["--json=true", '--patch=["a", "b"]']),
        (["--patch", "a", "--patch+", "b", "--patch+=c"], ['--patch=["a", "b", "c"]']),
        (["run.yaml", "--patch+", "a", "b"], ["run.yaml", "--patch+=a", "--patch+=b"]),
        (["--patch=[a, b]"], ["--patch=[a, b]"]),
        (["--side", "audio=a=b.wav", "depth=d.npy"], ['--side={"audio": "a=b.wav", "depth": "d.npy"}']),
        (["run.yaml", "--base", "tiny"], ["run.yaml", "--base=tiny"]),
        (["--base", "-1"], ["--base=-1"]),
        (["--unknown", "-h"], ["--unknown", "-h"]),
    ],
)
def test_forms(given: list[str], wanted: list[str]) -> None:
    assert shell_style(command, given, positional=["base"]) == wanted


def two_names(base: str, channel: str) -> tuple[str, str]:
    """Return both."""
    return base, channel


def test_an_option_that_names_a_yaml_file_is_no_settings_file() -> None:
    assert parse(two_names, "pave", ["--base", "x.yaml", "--channel", "a"]) == ("x.yaml", "a")


def test_pair_without_a_value() -> None:
    with pytest.raises(InputError, match="--side audio: write name=value"):
        shell_style(command, ["--side", "audio"])
