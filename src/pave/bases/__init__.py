"""Bases: the only package that knows the Video LLM classes of ``transformers``, one file a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pave.registry import Registry

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from pave.bases.family import Family

registry: Registry[type[Family]] = Registry(
    "base family",
    "pave.bases",
    {
        "llava_onevision": "pave.bases.llava_onevision:LlavaOnevision",
        "qwen2_5_vl": "pave.bases.qwen2_5_vl:Qwen2_5VL",
    },
)


def family_of(config: PretrainedConfig) -> Family:
    """Return the family of a base, by the ``model_type`` of its configuration.

    Raises:
        InputError: If no family is registered under that type; the message lists those that are.
    """
    return registry.get(config.model_type)(config)
