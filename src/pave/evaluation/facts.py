"""What decides the answers of an evaluation, as it stands in a result and is compared before two runs are mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pave.checkpoint import locate_patch
from pave.data.disturbance import Disturbance
from pave.evaluation.asking import Asker, is_missing
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.files import files_below
from pave.shipped import locate, shipped_bases
from pave.training.facts import data_hash, versions
from pave.types import Sample

FORMAT_VERSION = 1
HASHED_BYTES = 1 << 20
"""Bytes at either end of a large file that stand for all of it: weights trained further differ there, too."""

DECIDING_SUFFIXES = (".json", ".safetensors", ".bin", ".jinja", ".model", ".txt")


def facts_of(asker: Asker, config: EvalConfig, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what decides the answers of a model to the samples of a configuration.

    How they are scored is not among it: that can change without asking again.

    Args:
        asker: Who is asked.
        config: What the user asked for; its patches are those of ``asker``.
        samples: Samples that are asked about.
    """
    model, settings = asker.model, asker.settings
    return {
        "format_version": FORMAT_VERSION,
        "model": {
            "base": {**asdict(model.record), "fingerprint": _base_fingerprint(asker)},
            "patches": [
                {"source": patch, "fingerprint": fingerprint(locate_patch(patch))} for patch in config.patches
            ],
            "weights": model.active_patches,
            "balanced": asker.balanced,
        },
        "data_sha256": [data_hash(path) for path in config.data],
        "samples": len(samples),
        "limit": config.limit,
        "only": dict(config.only),
        "prompt": next((asker.prompt(sample) for sample in samples if not is_missing(sample)), None),
        **inputs_of(asker),
        "decoding": {"max_new_tokens": settings.max_new_tokens, "do_sample": False, "num_beams": 1},
        "batch_size": settings.batch_size,
        "disturbance": {**asdict(settings.disturbance), **_drawn(settings)},
        "store": None if settings.store is None else str(settings.store),
        "precision": config.precision,
        "device": model.device.type,
        "versions": versions(),
    }


def _drawn(settings: EvalSettings) -> dict[str, int]:
    """Return the seed where it decides answers, and not only intervals: where a disturbance is drawn with it."""
    return {} if settings.disturbance == Disturbance() else {"seed": settings.seed}


def inputs_of(asker: Asker) -> dict[str, Any]:
    """Return how media become inputs."""
    processor = asker.processor
    return {
        "frames": processor.frames,
        "preset": processor.preset,
        "layout": processor.layout,
        "channels": asker.channels,
    }


def fingerprint(folder: Path) -> str:
    """Return a hash of a model's files: names, sizes, and content but for the middle of large ones."""
    digest = hashlib.sha256()
    for path in files_below(folder):
        if path.suffix in DECIDING_SUFFIXES:
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                digest.update(file.read(HASHED_BYTES))
                file.seek(max(path.stat().st_size - HASHED_BYTES, 0))
                digest.update(file.read())
    return digest.hexdigest()


def _base_fingerprint(asker: Asker) -> str | None:
    record = asker.model.record
    if record.revision is not None:
        return None
    return fingerprint(locate(record.name, shipped_bases(), "base"))


def reported(facts: Mapping[str, Any], config: EvalConfig) -> dict[str, Any]:
    """Return the configuration as a result states it: all that the user set but for places of work, and what it gave.

    Two runs of one evaluation state the same, wherever they were written and however they were shared out.
    """
    own = {name: value for name, value in asdict(config).items() if name not in ("out", "shard")}
    return {**own, **{name: value for name, value in facts.items() if name != "versions"}}
