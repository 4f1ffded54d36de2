"""From a name to a loaded base, and the record of it that a patch keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForImageTextToText,
    PreTrainedModel,
)

from pave.bases import family_of, registry
from pave.bases.folder import read_folder
from pave.config import BaseRecord
from pave.shipped import locate, shipped_bases


def load_base(
    base: str | Path | PreTrainedModel, revision: str | None = None, **options: Any
) -> tuple[PreTrainedModel, BaseRecord]:
    """Load a base.

    Args:
        base: A shipped name, a folder, a hub id, or a loaded model of ``transformers``, which is taken as it is.
        revision: Commit, tag or branch of a hub repository.
        options: Passed on to ``from_pretrained``.

    Raises:
        InputError: If the base is unknown, or of a family that is not supported.
    """
    if isinstance(base, PreTrainedModel):
        name = base.config._name_or_path or type(base).__name__
        return base, record_of(base, name, getattr(base.config, "_commit_hash", None))
    folder = locate(base, shipped_bases(), "base", revision)
    config = read_folder(AutoConfig, folder)
    # Of a model that thinks and talks, only the thinker sees and is loaded.
    config = getattr(config, "thinker_config", config)
    if config.model_type not in registry and type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        family_of(config)
    model = read_folder(AutoModelForImageTextToText, folder, config=config, **options)
    commit = folder.name if folder.parent.name == "snapshots" else None
    return model, record_of(model, str(base), commit)


def record_of(model: PreTrainedModel, name: str, revision: str | None) -> BaseRecord:
    """Return what a patch keeps of its base."""
    family = family_of(model.config, model)
    return BaseRecord(name, model.config.model_type, family.token_dim, family.vision_dim, revision)
