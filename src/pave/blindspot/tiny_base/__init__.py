"""The tiny base before training, one file a family: transformers' own model, processor and tokenizer from configs."""

from __future__ import annotations

from transformers import PreTrainedModel, ProcessorMixin

from pave.blindspot.tiny_base.architecture import FRAME_COUNT, FRAME_SIZE, Architecture
from pave.blindspot.tiny_base.llava_onevision import TinyLlavaOnevision
from pave.blindspot.tiny_base.qwen2_5_vl import TinyQwen2_5VL
from pave.blindspot.tiny_base.video_llama_3 import TinyVideoLlama3
from pave.errors import InputError, nearest

__all__ = [
    "DEFAULT_FAMILY",
    "FAMILIES",
    "FRAME_COUNT",
    "FRAME_SIZE",
    "Architecture",
    "architecture",
    "build_model",
    "build_processor",
]

FAMILIES: dict[str, Architecture] = {
    made.family: made for made in (TinyLlavaOnevision(), TinyQwen2_5VL(), TinyVideoLlama3())
}
"""Every architecture that a tiny base is made of, by ``model_type``."""

DEFAULT_FAMILY = TinyLlavaOnevision.family


def architecture(family: str) -> Architecture:
    """Return the architecture of a family's tiny base.

    Raises:
        InputError: If there is none; the message lists those there are and the nearest one.
    """
    if family not in FAMILIES:
        raise InputError(
            f"no tiny base of family {family!r}; there are {', '.join(FAMILIES)}{nearest(family, FAMILIES)}"
        )
    return FAMILIES[family]


def build_processor(family: str = DEFAULT_FAMILY) -> ProcessorMixin:
    """Return the processor of a family's tiny base."""
    return architecture(family).processor()


def build_model(seed: int, family: str = DEFAULT_FAMILY) -> PreTrainedModel:
    """Return the model of a family's tiny base with random weights drawn from ``seed``."""
    return architecture(family).model(seed)
