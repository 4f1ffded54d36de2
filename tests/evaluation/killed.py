"""Evaluates in children of one process and kills them at random instants; started by test_resume as a script.

Children are forked after the imports, so that ten of them start in the time of one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.run import run_evaluation


def started(data: Path, patch: str, out: Path) -> int:
    """Start an evaluation in a child and return its process id."""
    child = os.fork()
    if child:
        return child
    settings = EvalSettings(batch_size=2, max_new_tokens=4, cache_video_tokens=True)
    run_evaluation(EvalConfig((data,), patches=(patch,), out=out, settings=settings))
    os._exit(0)


def main(data: Path, patch: str, folder: Path, instants: int) -> None:
    """Run once unbroken, then with kills; a run that ends before its instant is followed by another from the start.

    Prints how many runs there were, and for each kill which run it hit and how many responses were on disk then. There
    are more kills than asked for if none of these fell between the first response and the last.
    """
    begun = time.monotonic()
    os.waitpid(started(data, patch, folder / "whole"), 0)
    length_sec = time.monotonic() - begun
    most = responses_in(folder / "whole", folder / "whole")
    rng = np.random.default_rng(0)
    runs, kills = 1, list[tuple[int, int]]()
    while len(kills) < instants or not any(0 < count < most for _, count in kills):
        out = folder / f"broken-{runs}"
        child = started(data, patch, out)
        time.sleep(float(rng.uniform(0, length_sec)))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            kills.append((runs, responses_in(out, folder / "whole")))
        else:
            assert status == 0, f"run {runs}, after kills {kills}, failed by itself; its traceback stands above"
            runs += 1
    last = os.waitpid(started(data, patch, folder / f"broken-{runs}"), 0)[1]
    print(json.dumps({"runs": runs, "kills": kills, "last": last}))


def responses_in(broken: Path, whole: Path) -> int:
    """Return how many whole responses a killed run left, all of which must be those of an unbroken run."""
    path = broken / "responses.jsonl"
    content = path.read_bytes() if path.exists() else b""
    kept = content[: content.rfind(b"\n") + 1]
    assert (whole / "responses.jsonl").read_bytes().startswith(kept)
    return kept.count(b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
