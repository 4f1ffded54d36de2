"""The registry: lazy, open to third parties, helpful about unknown names."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from pave import bases, encoders, patches
from pave.errors import InputError
from pave.registry import Registry


def registry(**builtin: Any) -> Registry[Any]:
    return Registry("thing", "pave.things", builtin)


def test_a_target_is_imported_on_first_use() -> None:
    code = (
        "import sys; from pave.registry import Registry\n"
        "r = Registry('thing', 'pave.things', {'deque': 'xml.dom.minidom:Document'})\n"
        "assert 'xml.dom.minidom' not in sys.modules; assert r.names() == ['deque']\n"
        "assert r.get('deque').__name__ == 'Document'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name_lists_what_exists_and_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown thing 'spheer'; known: cube, sphere; did you mean 'sphere'?"):
        registry(sphere=1, cube=2).get("spheer")


def test_registering_adds_and_never_replaces() -> None:
    things = registry(cube=1)
    things.register("cone", 2)
    things.register("cone", 2)
    assert things.names() == ["cone", "cube"] and things.get("cone") == 2 and "cone" in things
    with pytest.raises(InputError, match="'cube' is registered already"):
        things.register("cube", 3)


def test_third_parties_come_through_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [EntryPoint("ring", "collections:OrderedDict", "pave.things")]
    monkeypatch.setattr("pave.registry.entry_points", lambda group: found if group == "pave.things" else [])
    things = registry(cube=1)
    assert things.names() == ["cube", "ring"]
    assert things.get("ring").__name__ == "OrderedDict"
    with pytest.raises(InputError, match="'cube' of somewhere:Cube has a name that is taken"):
        found.append(EntryPoint("cube", "somewhere:Cube", "pave.things"))
        registry(cube=1).names()


@pytest.mark.parametrize("instance", [patches.registry, encoders.registry, bases.registry])
def test_every_builtin_target_can_be_imported(instance: Registry[Any]) -> None:
    for name in instance.names():
        assert instance.get(name) is not None
