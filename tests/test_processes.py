"""Processes of a launcher know one another, whoever asked first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import PartialState

from pave.processes import processes

REPOSITORY = Path(__file__).parents[1]
SCRIPT = """
import json, sys
from pathlib import Path
from accelerate import PartialState
from pave.processes import processes
strangers = PartialState().num_processes
state = processes()
Path(sys.argv[1], str(state.process_index)).write_text(json.dumps([strangers, state.num_processes]))
"""


def test_one_process_is_left_as_it_is() -> None:
    state = PartialState()
    assert processes().is_main_process and state.initialized and state.num_processes == 1


@pytest.mark.dist
def test_two_processes_without_an_accelerator_meet(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = tmp_path / "found"
    found.mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*launch, str(script), str(found)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    met = {path.name: json.loads(path.read_text()) for path in found.iterdir()}
    assert met == {"0": [1, 2], "1": [1, 2]}
