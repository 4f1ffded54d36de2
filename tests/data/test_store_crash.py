"""Two writers of one store are killed at random instants: what was put is there, and what is there is right."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from pave.data import store as module
from pave.data.store import FeatureStore
from pave.data.store_item import Item

SHARD_BYTES = 20_000
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def item(number: int) -> Item:
    generator = torch.Generator().manual_seed(number)
    return Item({"values": torch.randn(number % 5, 4, 30, generator=generator)}, {}, {"number": number})


def write_on_and_on(folder: Path, log: Path, number: int) -> None:
    module.SHARD_BYTES = SHARD_BYTES
    store = FeatureStore(folder, "fp32")
    with log.open("a") as lines:
        while True:
            store.put(item(number))
            lines.write(f"{number}\n")
            lines.flush()
            number += 1
            if number % 7 == 0:
                store.compact()


def start(folder: Path, log: Path, first: int) -> BaseProcess:
    writer = CONTEXT.Process(target=write_on_and_on, args=(folder, log, first))
    writer.start()
    while not log.exists():
        assert writer.is_alive()
        time.sleep(0.01)
    return writer


def kill(writers: list[BaseProcess]) -> None:
    for writer in writers:
        writer.kill()
        writer.join()


def written(log: Path) -> list[int]:
    """Numbers of the items whose ``put`` returned; a last line without its end was not yet written."""
    return [int(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def check(folder: Path, logs: list[Path]) -> int:
    """Check that all that was put is there and right, and return how many items that are."""
    store = FeatureStore(folder)
    put = {item(number).key: number for log in logs for number in written(log)}
    assert put.keys() <= store.keys()
    for key, number in put.items():
        found = store.get(key)
        assert found is not None and torch.equal(found.features["values"], item(number).features["values"])
    assert len(store.keys() - put.keys()) <= len(logs)
    return len(put)


def killed(tmp_path: Path, instants: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder, logs = tmp_path / "store", []
    survivor = None
    for instant in range(instants):
        fresh = []
        # Of the two writers one survives now and then, so that a store is also repaired under a living writer.
        while len(fresh) + (survivor is not None) < 2:
            logs.append(tmp_path / f"log-{len(logs)}")
            fresh.append(start(folder, logs[-1], 100_000 * len(logs)))
        writers = fresh + ([survivor] if survivor else [])
        time.sleep(float(rng.uniform(0, 0.3)))
        survivor = writers.pop() if rng.random() < 0.3 and instant < instants - 1 else None
        kill(writers)
        if survivor is None:
            check(folder, logs)
    count = check(folder, logs)
    store = FeatureStore(folder)
    assert store.verify() == []
    store.prune(store.keys())
    assert check(folder, logs) == count > instants
    assert len(list((folder / "shards").glob("*.safetensors"))) > 1
    locks = (module.LOCK, module.ROLL)
    left = {path.suffix for path in folder.rglob("*") if path.is_file() and path.name not in locks}
    assert left == {".json", ".safetensors"}
    assert not any((folder / "writers").iterdir())


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", SHARD_BYTES)


def test_sigkill(tmp_path: Path) -> None:
    killed(tmp_path, 2, seed=0)


@pytest.mark.slow
def test_sigkill_at_fifty_instants(tmp_path: Path) -> None:
    killed(tmp_path, 50, seed=1)
