"""Bases: the only package that knows the Video LLM classes of ``transformers``, one file a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pave.errors import InputError
from pave.registry import Registry

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from pave.bases.family import Family

registry: Registry[type[Family]] = Registry(
    "base family",
    "pave.bases",
    {
        "cosmos3_omni": "pave.bases.qwen3_vl:Qwen3VL",
        "ernie4_5_vl_moe": "pave.bases.ernie4_5_vl:Ernie4_5VL",
        "exaone4_5": "pave.bases.exaone4_5:Exaone4_5",
        "gemma4": "pave.bases.gemma4:Gemma4",
        "glm46v": "pave.bases.glm4v:Glm4v",
        "glm4v": "pave.bases.glm4v:Glm4v",
        "glm4v_moe": "pave.bases.glm4v:Glm4vMoe",
        "instructblipvideo": "pave.bases.instructblip_video:InstructBlipVideo",
        "internvl": "pave.bases.internvl:InternVL",
        "kimi_k25": "pave.bases.kimi:KimiK25",
        "lfm3_vl": "pave.bases.lfm3_vl:Lfm3VL",
        "llava_next_video": "pave.bases.llava_next_video:LlavaNextVideo",
        "llava_onevision": "pave.bases.llava_onevision:LlavaOnevision",
        "minicpmv4_6": "pave.bases.minicpm_v:MiniCPMV",
        "minimax_m3_vl": "pave.bases.minimax_m3:MiniMaxM3",
        "molmo2": "pave.bases.molmo2:Molmo2",
        "nemotron_h_omni": "pave.bases.nemotron_h_omni:NemotronHOmni",
        "perception_lm": "pave.bases.perception_lm:PerceptionLM",
        "qwen2_5_omni_thinker": "pave.bases.qwen_omni:Qwen2_5Omni",
        "qwen2_5_vl": "pave.bases.qwen2_5_vl:Qwen2_5VL",
        "qwen2_vl": "pave.bases.qwen2_vl:Qwen2VL",
        "qwen3_5": "pave.bases.qwen3_vl:Qwen3VL",
        "qwen3_5_moe": "pave.bases.qwen3_vl:Qwen3_5Moe",
        "qwen3_omni_moe_thinker": "pave.bases.qwen_omni:Qwen3Omni",
        "qwen3_vl": "pave.bases.qwen3_vl:Qwen3VL",
        "qwen3_vl_moe": "pave.bases.qwen3_vl:Qwen3VL",
        "smolvlm": "pave.bases.smolvlm:SmolVLM",
        "video_llama_3": "pave.bases.video_llama_3:VideoLlama3",
        "video_llava": "pave.bases.video_llava:VideoLlava",
    },
)


def family_of(config: PretrainedConfig, model: PreTrainedModel | None = None) -> Family:
    """Return the family of a base, by the ``model_type`` of its configuration.

    Args:
        config: The configuration; of an Omni model that thinks and talks, its thinker's is used.
        model: The base, if it is loaded; one whose type is not registered may then be recognised from its call.

    Raises:
        InputError: If no family is registered under that type and none is recognised; the message lists those that
            are, and says what to supply.
    """
    config = getattr(config, "thinker_config", config)
    if config.model_type in registry or model is None:
        return registry.get(config.model_type)(config)
    from pave.bases.recognise import SUPPLY, recognise

    family = recognise(model)
    if family is None:
        raise InputError(
            f"unknown base family {config.model_type!r}, and its call does not show how its video tokens lie; {SUPPLY}"
        )
    return family
