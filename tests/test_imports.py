"""Imports run one way, and what need not be heavy is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pave
from pave.cli import COMMANDS

SOURCE = Path(pave.__file__).parent

# What stands in one line may import one another; what stands below may import all above, never back.
ORDER = [
    {"errors", "files", "processes", "quiet"},
    {"types", "registry", "config", "shipped", "sharding"},
    {"patches"},
    {"media"},
    {"encoders"},
    {"bases"},
    {"lora", "routing"},
    {"model", "call", "hosted"},
    {"attach", "checkpoint", "card", "cost"},
    {"data", "export"},
    {"training"},
    {"evaluation"},
    {"convert"},
    {"blindspot"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# PaveModel's own methods open and write patch folders; they import checkpoint when they are called.
CALLED_LATE = {("model", "attach"), ("model", "checkpoint"), ("model", "export")}


def unit(module: str) -> str:
    return module.split(".")[1]


def imports_of(path: Path) -> set[tuple[str, int]]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
            if node.module == "pave":
                names = [f"pave.{alias.name}" for alias in node.names if (SOURCE / alias.name).exists()]
        found |= {(name, node.lineno) for name in names if name.startswith("pave.")}
    return found


def test_every_module_has_a_place() -> None:
    units = {path.name.removesuffix(".py") for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert units - {"__init__", "__pycache__", "py.typed"} == set(RANK)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    if parts == ("__init__",):
        pytest.skip("the package's own lazy names point everywhere")
    importer = parts[0]
    type_checking = _type_checking_lines(path)
    for module, line in imports_of(path):
        imported = unit(module)
        if imported == importer or (importer, imported) in CALLED_LATE or line in type_checking:
            continue
        assert RANK[imported] <= RANK[importer], f"{path.name}:{line} imports {module}, which stands below it"


def _type_checking_lines(path: Path) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


@pytest.mark.parametrize("package", ["transformers", "peft"])
def test_only_their_own_modules_import_heavy_packages(package: str) -> None:
    allowed = {"transformers": {"bases", "model", "hosted", "lora", "encoders", "data", "training", "convert"}}
    allowed["transformers"] |= {"blindspot", "cost", "cli", "quiet"}
    allowed["peft"] = {"lora"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            if module and module.split(".")[0] == package:
                assert path.relative_to(SOURCE).parts[0].removesuffix(".py") in allowed[package], path


@pytest.mark.parametrize("statement", ["import pave", "from pave.cli import main; main(['--help'])"])
def test_light_without_heavy_packages(statement: str) -> None:
    heavy = ["torch", "transformers", "peft", "av", "matplotlib", "jsonargparse"]
    code = f"import sys; {statement}; print('loaded:', [name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_does_not_wait_for_what_it_describes(command: str) -> None:
    code = (
        f"import sys; from pave.cli import main\ntry: main(['{command}', '--help'])\nexcept SystemExit: pass\n"
        "print('loaded:', [name for name in ('transformers', 'peft') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pave {command}" in result.stdout and result.stdout.splitlines()[-1] == "loaded: []"


def test_runs_as_a_module() -> None:
    run = subprocess.run([sys.executable, "-m", "pave", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == pave.__version__


def test_import_takes_less_than_a_second() -> None:
    code = "import time; start = time.process_time(); import pave; print(time.process_time() - start)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(result.stdout) < 1.0


def test_public_names_exist() -> None:
    for name in pave.__all__:
        assert getattr(pave, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pave.nonsense  # noqa: B018
