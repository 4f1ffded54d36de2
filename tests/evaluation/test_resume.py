"""An evaluation that is killed, shared out, or started again ends in the bytes of one that was not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from pave import files
from pave.errors import InputError
from pave.evaluation import collect
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.folder import ResultFolder
from pave.evaluation.responses import ResponseFile
from pave.evaluation.result import EvalResult
from pave.evaluation.run import run_evaluation
from tests.tiny import patched, write_data

SETTINGS = EvalSettings(batch_size=2, max_new_tokens=4, cache_video_tokens=True)
FILES = ("run.json", "responses.jsonl", "result.json")


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("patches") / "audio"
    patched("llava_onevision").save_patch("audio", folder)
    return str(folder)


@pytest.fixture(scope="module")
def config(patch: str, tmp_path_factory: pytest.TempPathFactory) -> EvalConfig:
    data = write_data(tmp_path_factory.mktemp("data") / "set", count=9, videos=3)
    return EvalConfig((data,), patches=(patch,), settings=SETTINGS)


@pytest.fixture(scope="module")
def whole(config: EvalConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run_evaluation(replace(config, out=out)) is not None
    return out


def same(one: Path, other: Path) -> bool:
    assert sorted(path.name for path in one.iterdir()) == sorted(FILES)
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in FILES)


def lines(out: Path) -> list[bytes]:
    return (out / "responses.jsonl").read_bytes().splitlines(keepends=True)


def test_killed_at_ten_random_instants(config: EvalConfig, tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=40, videos=3)
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(data), config.patches[0]]
    ended = subprocess.run([*command, str(tmp_path), "10"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["last"] == 0 and len(found["kills"]) >= 10
    # Within a run, no kill leaves fewer responses than the one before.
    assert found["kills"] == sorted(found["kills"])
    for run in range(1, found["runs"] + 1):
        assert same(tmp_path / f"broken-{run}", tmp_path / "whole")


def test_one_process_writes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "RELEASED_WITHIN_SEC", 0.1)
    file, other = (ResponseFile(tmp_path / "responses.jsonl") for _ in range(2))
    with file.writing():
        with pytest.raises(InputError, match="another process is writing to it"), other.writing():
            pass
    with other.writing() as found:
        assert found == []


def test_a_lock_that_is_freed_soon_is_waited_for(tmp_path: Path) -> None:
    file, other = (ResponseFile(tmp_path / "responses.jsonl") for _ in range(2))
    held = Event()

    def hold() -> None:
        with file.writing():
            held.set()
            time.sleep(0.3)

    Thread(target=hold).start()
    assert held.wait(10)
    with other.writing() as found:
        assert found == []


def test_killed_after_the_last_answer(config: EvalConfig, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "result.json").unlink()
    (out / ".responses.jsonl.lock").touch()
    run_evaluation(replace(config, out=out))
    assert same(out, whole)


@pytest.mark.parametrize("kept", [0, 3, 8, 9])
def test_cut_off_anywhere(config: EvalConfig, whole: Path, kept: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_bytes((whole / "run.json").read_bytes())
    begun = lines(whole)[kept][:17] if kept < 9 else b""
    (out / "responses.jsonl").write_bytes(b"".join(lines(whole)[:kept]) + begun)
    run_evaluation(replace(config, out=out))
    assert same(out, whole)


def test_finished_responses_are_not_asked_for_again(
    config: EvalConfig, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "replies", None)
    before = (whole / "result.json").read_bytes()
    assert run_evaluation(replace(config, out=whole)) is not None
    assert (whole / "result.json").read_bytes() == before


def test_shards_in_any_order(config: EvalConfig, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    parts = [replace(config, out=out, shard=(number, 3)) for number in (3, 1, 2)]
    found = [run_evaluation(part) for part in parts]
    assert found[:2] == [None, None] and isinstance(found[2], EvalResult)
    assert same(out, whole)


def test_more_shards_than_batches(config: EvalConfig, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in range(1, 8):
        found = run_evaluation(replace(config, out=out, shard=(number, 7)))
    assert found is not None and same(out, whole)


def test_another_evaluation_is_not_mixed_in(config: EvalConfig, whole: Path, tmp_path: Path) -> None:
    before = {name: (whole / name).read_bytes() for name in FILES}
    for change, told in (
        ({"limit": 4}, "samples was 9, is 4"),
        ({"frames": 3}, "frames was 4, is 3"),
        ({"settings": replace(SETTINGS, max_new_tokens=5)}, "decoding.max_new_tokens was 4, is 5"),
        ({"only": {"form": "order"}}, 'only.form was null, is "order"'),
    ):
        with pytest.raises(InputError, match="holds another evaluation") as refused:
            run_evaluation(replace(config, out=whole, **change))
        assert told in str(refused.value)
    assert {name: (whole / name).read_bytes() for name in FILES} == before


def test_a_patch_that_was_trained_further_is_another_evaluation(config: EvalConfig, tmp_path: Path) -> None:
    folder, out = tmp_path / "audio", tmp_path / "out"
    patched("llava_onevision").save_patch("audio", folder)
    own = replace(config, patches=(str(folder),), out=out, limit=2)
    run_evaluation(own)
    patched("llava_onevision", seed=1).save_patch("audio", folder)
    with pytest.raises(InputError, match="model.patches was"):
        run_evaluation(own)


def test_how_answers_are_scored_may_change(config: EvalConfig, whole: Path, tmp_path: Path) -> None:
    found = run_evaluation(replace(config, out=whole, settings=replace(SETTINGS, seed=5), skip_missing=True))
    assert found is not None and found.seed == 5
    run_evaluation(replace(config, out=whole))


def test_wrong_input_leaves_no_folder(config: EvalConfig, tmp_path: Path) -> None:
    data = write_data(tmp_path / "set", count=2, videos=1)
    video = data / "clips" / "000000.mp4"
    video.write_bytes(video.read_bytes()[:200])
    with pytest.raises(InputError, match="000000.mp4"):
        run_evaluation(replace(config, data=(data,), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_who_fails_takes_nothing_from_others(
    config: EvalConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "RELEASED_WITHIN_SEC", 0.1)
    out = tmp_path / "out"
    begun = ResponseFile(out / "responses.jsonl")

    def start_another(self: ResultFolder, facts: dict[str, Any]) -> bool:
        # Another process of the same evaluation is quicker at the very last moment, and has not answered yet.
        is_first = claim(self, facts)
        stack.enter_context(begun.writing())
        return is_first

    claim = ResultFolder.claim
    monkeypatch.setattr(ResultFolder, "claim", start_another)
    with ExitStack() as stack:
        with pytest.raises(InputError, match="another process is writing to it"):
            run_evaluation(replace(config, out=out))
        assert {path.name for path in out.iterdir()} == {"run.json", "responses.jsonl", ".responses.jsonl.lock"}


def test_the_first_of_two_evaluations_has_the_folder(tmp_path: Path) -> None:
    """Whoever looks while the other writes sees no half of it, and no folder of somebody else's."""
    folder = ResultFolder(tmp_path / "out")
    assert folder.claim({"model": "a"})
    (folder.path / "run.json").rename(folder.path / ".run.json-being-written.json")
    folder.check_usable()
    assert folder.claim({"model": "b"})
    with pytest.raises(InputError, match='model was "b", is "a"'):
        folder.claim({"model": "a"})
    assert not folder.claim({"model": "b"})


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        ResultFolder(tmp_path / "file" / "out").claim({})


LAUNCHED = """
import sys
from pave.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.dist
def test_processes_of_a_launcher_share_the_work(config: EvalConfig, whole: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(LAUNCHED)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    options = ["--data", str(config.data[0]), "--patch", config.patches[0], "--batch-size", "2"]
    ended = subprocess.run(
        [*launch, "eval", *options, "--max-new-tokens", "4", "--out", str(out), "--json"],
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert same(out, whole)
    printed = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    assert len(printed) == 1 and json.loads(printed[0])["n"] == 9
