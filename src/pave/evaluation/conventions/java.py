"""The two Java programs that caption scores go through: CoreNLP's PTB tokeniser and METEOR 1.5, as pycocoevalcap ships
them."""

from __future__ import annotations

import importlib
import shutil
import subprocess
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
            "caption scores (BLEU, METEOR, ROUGE-L, CIDEr) need Java, and no 'java' is on PATH; install a Java runtime "
            "such as default-jre-headless, or score under a convention without captions"
        )
    return java


def ptb_tokenise(texts: Sequence[str]) -> list[str]:
    """Return texts in lower case, as tokens one space apart, without punctuation.

    Source: pycocoevalcap 1.2 ``tokenizer/ptbtokenizer.py``, which hands white space of any kind on as spaces too.

    Raises:
        InputError: If there is no Java.
        RuntimeError: If the tokeniser fails.
    """
    jar = _jar("pycocoevalcap.tokenizer.ptbtokenizer", "STANFORD_CORENLP_3_4_1_JAR")
    program = ["-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    lines = _answers(program, [" ".join(text.split()) for text in texts])
    return [" ".join(token for token in line.split(" ") if token and token not in DROPPED) for line in lines]


def meteor_statistics(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Return METEOR's statistics of every prediction against the reference that suits it best (n,23).

    Columns: words of prediction and reference, function words of both, for each of the four matchers the content words
    of both and the function words of both that it matched, chunks, matched words of both.

    Source: METEOR 1.5 as pycocoevalcap 1.2 ``meteor/meteor.py`` calls it.

    Raises:
        InputError: If there is no Java.
        RuntimeError: If METEOR fails.
    """
    jar = _jar("pycocoevalcap.meteor.meteor", "METEOR_JAR")
    pairs = [
        " ||| ".join(["SCORE", *map(_meteor_text, of), _meteor_text(prediction)])
        for prediction, of in zip(predictions, references, strict=True)
    ]
    lines = _answers(["-Xmx2G", "-jar", jar, "-", "-", "-stdio", "-l", "en", "-norm"], pairs)
    rows = np.array([line.split() for line in lines], dtype=np.float64)
    if rows.shape != (len(predictions), METEOR_STATISTICS):
        raise RuntimeError(f"METEOR answered with an array of shape {rows.shape}; is its jar damaged?")
    return rows


def _meteor_text(text: str) -> str:
    return " ".join(text.replace("|||", "").split())


def _jar(module: str, attribute: str) -> str:
    loaded = importlib.import_module(module)
    assert loaded.__file__ is not None
    return str(Path(loaded.__file__).parent / getattr(loaded, attribute))


def _answers(arguments: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Send lines to a Java program and return its answer, as many lines."""
    command = [find_java(), "-Dfile.encoding=UTF-8", *arguments]
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8", check=False)
    answer = done.stdout.split("\n")[:-1]
    if done.returncode or len(answer) != len(lines):
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        counts = f"{len(answer)} lines for {len(lines)}, exit code {done.returncode}"
        raise RuntimeError(f"{' '.join(command)}: {counts}: {reason}")
    return answer
