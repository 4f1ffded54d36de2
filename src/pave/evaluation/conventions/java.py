"""The two Java programs that caption scores go through: CoreNLP's PTB tokeniser and METEOR 1.5, as pycocoevalcap ships
them."""

from __future__ import annotations

import atexit
import functools
import importlib
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pave.errors import InputError

DROPPED = frozenset(["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", *".?!,:-;", "--", "..."])
"""Tokens that COCO's tokeniser drops. Brackets come out in lower case, so that those stay."""

METEOR_STATISTICS = 23


def find_java() -> str:
    """Return the ``java`` program.

    Raises:
        InputError: If there is none.
    """
    java = shutil.which("java")
    if java is None:
        raise InputError(
            "caption scores (BLEU, METEOR, ROUGE-L, CIDEr) need Java, and no 'java' is on PATH; install a runtime "
            "such as default-jre-headless"
        )
    return java


def ptb_tokenise(texts: Sequence[str]) -> list[str]:
    """Return texts in lower case, as tokens one space apart, without punctuation; texts seen before are remembered.

    Source: pycocoevalcap 1.2 ``tokenizer/ptbtokenizer.py``.

    Raises:
        InputError: If there is no Java.
        RuntimeError: If the tokeniser fails.
    """
    lines = [" ".join(text.split()) for text in texts]
    fresh = list(dict.fromkeys(line for line in lines if line not in _TOKENISED))
    if fresh:
        _TOKENISED.update(zip(fresh, _run_tokeniser(fresh), strict=True))
    return [_TOKENISED[line] for line in lines]


_TOKENISED: dict[str, str] = {}


def _run_tokeniser(lines: Sequence[str]) -> list[str]:
    jar = _jar("pycocoevalcap.tokenizer.ptbtokenizer", "STANFORD_CORENLP_3_4_1_JAR")
    command = [*_java(), "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8", check=False)
    answer = done.stdout.split("\n")[:-1]
    if done.returncode or len(answer) != len(lines):
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        counts = f"{len(answer)} lines for {len(lines)}, exit code {done.returncode}"
        raise RuntimeError(f"{' '.join(command)}: {counts}: {reason}")
    return [" ".join(token for token in line.split(" ") if token and token not in DROPPED) for line in answer]


def meteor_statistics(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Return METEOR's statistics of every prediction against the reference that suits it best (n,23).

    Columns: words of prediction and reference, function words of both, for each of the four matchers the content words
    of both and the function words of both that it matched, chunks, matched words of both.

    Source: METEOR 1.5 as pycocoevalcap 1.2 ``meteor/meteor.py`` calls it.

    Raises:
        InputError: If there is no Java.
        RuntimeError: If METEOR fails.
    """
    meteor = _Meteor.started()
    pairs = zip(predictions, references, strict=True)
    return np.array([meteor.statistics(prediction, of) for prediction, of in pairs], dtype=np.float64)


class _Meteor:
    """METEOR as a process that answers a line with a line; its word lists take seconds to load, so it is kept."""

    def __init__(self) -> None:
        jar = _jar("pycocoevalcap.meteor.meteor", "METEOR_JAR")
        command = [*_java(), "-Xmx2G", "-jar", jar, "-", "-", "-stdio", "-l", "en", "-norm"]
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            bufsize=1,
        )
        atexit.register(self._process.kill)

    @classmethod
    def started(cls) -> _Meteor:
        """Return the running process, a new one if there is none or it has ended."""
        if _only().ended:
            _only.cache_clear()
        return _only()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def statistics(self, prediction: str, references: Sequence[str]) -> list[float]:
        assert self._process.stdin is not None and self._process.stdout is not None
        line = " ||| ".join(["SCORE", *map(_meteor_text, references), _meteor_text(prediction)])
        with self._lock:
            try:
                self._process.stdin.write(line + "\n")
            except BrokenPipeError:
                raise RuntimeError(f"METEOR ended with exit code {self._process.wait()}") from None
            answer = self._process.stdout.readline().split()
        if len(answer) != METEOR_STATISTICS:
            raise RuntimeError(f"METEOR answered {line!r} with {answer!r}, not with {METEOR_STATISTICS} numbers")
        return [float(number) for number in answer]


@functools.cache
def _only() -> _Meteor:
    return _Meteor()


def _meteor_text(text: str) -> str:
    return " ".join(text.replace("|||", "").split())


def _java() -> list[str]:
    return [find_java(), "-Dfile.encoding=UTF-8", "-XX:+UseSerialGC"]


def _jar(module: str, attribute: str) -> str:
    loaded = importlib.import_module(module)
    assert loaded.__file__ is not None
    return str(Path(loaded.__file__).parent / getattr(loaded, attribute))
