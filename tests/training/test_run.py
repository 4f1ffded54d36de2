"""One training at a time writes to an output folder, wherever that leads."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pave import files
from pave.checkpoint import read_spec
from pave.errors import InputError
from pave.training.config import Source, TrainConfig
from pave.training.run import Run
from pave.training.train import train
from tests.tiny import PATCH, PREPROCESSING
from tests.training.test_train import make_config

HOLDER = """
import sys
from pathlib import Path
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


class Second(TrainerCallback):
    """Starts another training in the middle of one, and keeps what it is told."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.told: list[str] = []

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any
    ) -> None:
        if state.global_step == 2:
            with pytest.raises(InputError) as error:
                train(self.config)
            self.told.append(str(error.value))


@pytest.mark.parametrize("fields", [{}, {"seed": 1}, {"data": (Source(Path("nowhere")),)}])
def test_a_second_training_on_the_same_folder_is_refused(
    fields: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "RELEASED_WITHIN_SEC", 0)
    config = make_config(tmp_path, save_every=1)
    second = Second(replace(config, **fields))
    result = train(config, callbacks=[second])
    told = f"{config.out}: another training is writing there; wait for it, or choose another 'out'"
    assert second.told == [told]
    assert result.steps == 3 and read_spec(config.out).training["steps"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_a_training_that_is_killed_does_not_lock_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(TrainConfig("base", tmp_path / "out", (Source(Path("set")),), PREPROCESSING, PATCH))
    lock = tmp_path / ".out.unfinished.lock"
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with monkeypatch.context() as patch, pytest.raises(InputError, match="another training is writing there"):
            patch.setattr(files, "RELEASED_WITHIN_SEC", 0)
            with run.writing():
                pytest.fail("it is locked")
        holder.kill()
    assert lock.exists()
    with run.writing():
        pass
    assert not lock.exists()


def test_an_output_folder_that_is_a_link_is_written_where_it_leads(tmp_path: Path) -> None:
    config = make_config(tmp_path, steps=1)
    target = tmp_path / "disk" / "patch"
    target.mkdir(parents=True)
    config.out.symlink_to(target)
    assert Run(config).folder == tmp_path / "disk" / "patch.unfinished"
    result = train(config)
    assert result.folder == config.out and config.out.is_symlink()
    assert read_spec(target) == read_spec(config.out)
    assert [path.name for path in target.parent.iterdir()] == ["patch"]


def test_what_cannot_be_replaced_is_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == tmp_path / "disk")
    for name, message in (("file/out", "which is a file"), ("disk", "is a mount point")):
        with pytest.raises(InputError, match=message):
            train(replace(config, out=tmp_path / name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "set"]


def test_a_place_that_cannot_be_made_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(make_config(tmp_path), out=tmp_path / "new" / "out")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match="new/out: cannot be written: it is on a read-only file system"):
        train(config)
