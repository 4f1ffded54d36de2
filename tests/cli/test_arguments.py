"""Shell habits become what the parser reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Inner:
    """Settings inside others."""

    weight: float = 1.0
    cap: int | None = None

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise InputError("weight is below 0")


@dataclass(frozen=True)
class Outer:
    """Settings."""

    inner: Inner
    several: tuple[Inner, ...] = ()
    exact: bool = True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inner: {}\nexact:", "pave: exact is null; write a value, or leave it out"),
        ("inner: {weight: }", "x.yaml: outer.inner: inner.weight is None; it must be of type float"),
        ("inner: {}\nseveral: [{}, {weight: }]", r"x.yaml: outer.several\[1\]: inner.weight is None; it must be of"),
        ("inner:", "outer.inner: inner must be a mapping of names to values, not NoneType"),
    ],
)
def test_an_empty_line_of_a_settings_file_is_no_value(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        parse(Outer, "pave", [str(tmp_path / "x.yaml")])
    (tmp_path / "x.yaml").write_text("inner: {cap: }")
    assert parse(Outer, "pave", [str(tmp_path / "x.yaml")]) == Outer(Inner())


@pytest.mark.parametrize("form", ["{}", "--config={}", "--config {}"])
def test_a_name_that_stands_twice_in_a_settings_file(form: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("inner: {weight: 1.0, weight: 2.0}")
    with pytest.raises(InputError, match="x.yaml: not valid YAML .*'weight' stands twice, keep one of them"):
        parse(Outer, "pave", form.format(tmp_path / "x.yaml").split())
    (tmp_path / "x.yaml").write_text("inner: &one {weight: 2.0}\nseveral: [*one, {<<: *one, cap: 3}, {<<: *one}]")
    settings = parse(Outer, "pave", form.format(tmp_path / "x.yaml").split())
    assert settings.several == (Inner(2.0), Inner(2.0, 3), Inner(2.0))


def test_pair_without_a_value() -> None:
    with pytest.raises(InputError, match="--side audio: write name=value"):
        shell_style(command, ["--side", "audio"])


@pytest.mark.parametrize("given", [["--patch"], ["--patch", "--json"], ["--patch", "a", "--patch+"], ["--side"]])
def test_a_list_that_is_named_without_a_value(given: list[str]) -> None:
    with pytest.raises(
        InputError, match=r"--(patch\+?|side): has no value; write one or more after it, or leave it out"
    ):
        shell_style(command, given)


def test_a_list_of_which_nothing_means_none() -> None:
    assert shell_style(command, ["--patch"], may_be_empty=["patch"]) == ["--patch=[]"]
