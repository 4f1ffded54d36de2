"""A run that was killed ends with the weights of one that never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from pave.config import from_dict, to_dict
from pave.errors import InputError
from pave.training import run
from pave.training.config import Source, TrainConfig
from pave.training.run import Run
from pave.training.train import train
from pave.training.trainer import PaveTrainer, checkpoints
from tests.tiny import LORA, PATCH, PREPROCESSING, base_folder, write_data

REPOSITORY = Path(__file__).parents[2]
CHILD = """
import json, sys
from pave.config import from_dict
from pave.training.config import TrainConfig
from pave.training.train import train
train(from_dict(TrainConfig, json.loads(sys.argv[1])))
"""


def make_config(folder: Path, out: str, **fields: object) -> TrainConfig:
    data = folder / "set"
    if not data.exists():
        write_data(data, count=7)
    settings = {
        "patch": PATCH,
        "lora": LORA,
        "steps": 24,
        "batch_size": 2,
        "gradient_accumulation": 2,
        "patch_lr": 1e-2,
        "lora_lr": 5e-3,
        "precision": "fp32",
        "gradient_checkpointing": False,
        "cache_video_tokens": True,
        "side_dropout": 0.3,
        "save_every": 4,
        "log_every": 5,
        **fields,
    }
    base = str(base_folder("llava_onevision"))
    return TrainConfig(base, folder / out, (Source(data, weight=1.5),), PREPROCESSING, **settings)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = load_file(folder / "patch.safetensors")
    return {**state, **load_file(folder / "lora" / "adapter_model.safetensors")}


def assert_same(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def kill_at_checkpoint(config: TrainConfig, count: int) -> None:
    """Run ``train`` in another process and kill it once it has written ``count`` checkpoints or more."""
    # Sums run in the order of the threads: as many in the child as here.
    threads = str(torch.get_num_threads())
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-c", CHILD, json.dumps(to_dict(config))]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as child:
        folder = Run(config).folder
        while child.poll() is None:
            last = checkpoints(folder)[-1:]
            if last and int(last[0].name.split("-")[-1]) >= count * config.save_every:
                child.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        child.wait()
        assert child.returncode == -signal.SIGKILL, child.stderr.read().decode()


def test_killed_run_resumes_exactly(tmp_path: Path) -> None:
    unbroken = train(make_config(tmp_path, "unbroken"))
    config = make_config(tmp_path, "killed")
    kill_at_checkpoint(config, 2)
    assert not config.out.exists()
    resumed = train(config)
    assert resumed.resumed_from is not None and 8 <= resumed.resumed_from < 24
    assert (resumed.steps, resumed.loss) == (unbroken.steps, unbroken.loss)
    assert_same(unbroken.folder, resumed.folder)
    assert not Run(config).folder.exists()


def interrupt(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave a run as a crash just before its end would, and return its state folder."""
    with monkeypatch.context() as patch:
        patch.setattr("pave.model.PaveModel.save_patch", _save_unless(Run(config).result))
        with pytest.raises(KeyboardInterrupt):
            train(config)
    return Run(config).folder


def _save_unless(result: Path):
    from pave.attach import save_patch

    def save(model, name, folder, training=None):
        if folder == result:
            raise KeyboardInterrupt
        save_patch(model, name, folder, training or {})

    return save


def test_interrupted_after_the_last_step_only_writes_the_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path, "out", steps=4, save_every=2)
    folder = interrupt(config, monkeypatch)
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-2", "checkpoint-4"]
    result = train(config)
    assert (result.resumed_from, result.steps) == (4, 4)
    assert_same(config.out, train(replace(config, out=tmp_path / "again")).folder)


def test_half_written_checkpoint_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path, "out", steps=6, save_every=2)
    save = PaveTrainer._save_optimizer_and_scheduler

    def cut_off(trainer: PaveTrainer, folder: str) -> None:
        if trainer.state.global_step == 4:
            (Path(folder) / "optimizer.pt").write_bytes(b"cut off")
            raise KeyboardInterrupt
        save(trainer, folder)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PaveTrainer, "_save_optimizer_and_scheduler", cut_off)
        train(config)
    assert list(Run(config).folder.rglob("optimizer.pt"))
    assert train(config).resumed_from == 2
    assert_same(config.out, train(replace(config, out=tmp_path / "again")).folder)


def test_checkpoint_holds_nothing_of_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path, "out", steps=2, save_every=2)
    folder = interrupt(config, monkeypatch)
    files = {str(path.relative_to(folder / "checkpoint-2")) for path in (folder / "checkpoint-2").rglob("*")}
    assert {
        "patches/audio/patch.safetensors",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "trainer_state.json",
    } <= files
    trained = sum(value.numel() for value in weights(folder / "checkpoint-2" / "patches" / "audio").values())
    tensors = [load_file(folder / "checkpoint-2" / path) for path in files if path.endswith(".safetensors")]
    saved = sum(value.numel() for state in tensors for value in state.values())
    assert saved == trained < 20_000


def test_another_configuration_or_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path, "out", steps=2, save_every=2)
    interrupt(config, monkeypatch)
    with pytest.raises(InputError, match="has patch_lr 0.01, this one 0.02"):
        train(replace(config, patch_lr=2e-2))
    with pytest.raises(InputError, match="resume it, or delete"):
        train(config, resume="never")
    with pytest.raises(InputError, match="nowhere: no such file"):
        train(replace(config, data=(Source(tmp_path / "nowhere"),)))
    samples = tmp_path / "set" / "samples.jsonl"
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="has data_sha256"):
        train(config)


def test_a_run_without_a_checkpoint_keeps_no_place_from_another(tmp_path: Path) -> None:
    config = make_config(tmp_path, "out", steps=2, save_every=2)
    unlucky = Run(replace(config, batch_size=4096))
    unlucky.begin()
    (unlucky.result / "other").mkdir(parents=True)
    assert train(config).resumed_from is None
    assert not (tmp_path / "out" / "other").exists() and not unlucky.folder.exists()


def test_another_number_of_processes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path, "out", steps=2, save_every=2)
    interrupt(config, monkeypatch)
    monkeypatch.setattr(run, "processes", lambda: SimpleNamespace(num_processes=4))
    with pytest.raises(InputError, match="has 1 processes, this one 4, whose .*; start 1, or delete that folder"):
        Run(config).check(resume=True)
    # A run from before this was noted may go on.
    state = json.loads((Run(config).folder / "run.json").read_text())
    (Run(config).folder / "run.json").write_text(json.dumps({**state, "processes": 4}))
    assert Run(config).check(resume=True) is not None
    del state["processes"]
    (Run(config).folder / "run.json").write_text(json.dumps(state))
    assert Run(config).check(resume=True) is not None


def test_fields_that_change_no_number_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tmp_path, "out", steps=2, save_every=2)
    interrupt(config, monkeypatch)
    assert train(replace(config, save_every=7, log_every=1, cache_limit_gb=2.0)).resumed_from == 2


def test_config_survives_the_round_trip(tmp_path: Path) -> None:
    config = make_config(tmp_path, "out")
    assert from_dict(TrainConfig, to_dict(config)) == config
