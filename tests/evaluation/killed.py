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
    """Run once unbroken, then with kills, and print how many responses were there after each of them."""
    begun = time.monotonic()
    os.waitpid(started(data, patch, folder / "whole"), 0)
    length_sec = time.monotonic() - begun
    rng = np.random.default_rng(0)
    counts, ends = [], []
    for _ in range(instants):
        child = started(data, patch, folder / "broken")
        time.sleep(float(rng.uniform(0, length_sec)))
        os.kill(child, signal.SIGKILL)
        ends.append(os.WIFSIGNALED(os.waitpid(child, 0)[1]))
        responses = folder / "broken" / "responses.jsonl"
        counts.append(responses.read_bytes().count(b"\n") if responses.exists() else 0)
    _, end = os.waitpid(started(data, patch, folder / "broken"), 0)
    print(json.dumps({"counts": counts, "killed": sum(ends), "last": end}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
