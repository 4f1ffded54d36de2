"""Two processes train what one does with twice the batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pave.config import to_dict
from pave.training.train import train
from tests.training.test_train import make_config

REPOSITORY = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from pave.config import from_dict
from pave.training.config import TrainConfig
from pave.training.train import train
train(from_dict(TrainConfig, json.loads(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.dist
def test_two_processes_equal_one_with_twice_the_batch(tmp_path: Path) -> None:
    alone = make_config(tmp_path, lora=None, batch_size=4, gradient_accumulation=2, save_every=2, steps=4)
    train(alone)
    shared = replace(alone, out=tmp_path / "shared", batch_size=2)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "ACCELERATE_USE_CPU": "true"}
    command = [*launch, str(script), json.dumps(to_dict(shared))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected, found = (load_file(folder / "patch.safetensors") for folder in (alone.out, shared.out))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)
    assert not (tmp_path / "shared.unfinished").exists()
