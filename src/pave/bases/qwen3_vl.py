"""Qwen3-VL, Qwen3.5, Cosmos 3 and their mixtures of experts: as Qwen2-VL, with times as text between the steps."""

from __future__ import annotations

from pave.bases.grid import GridFamily


class Qwen3VL(GridFamily):
    """``Qwen3VLForConditionalGeneration``, and those of Qwen3-VL-MoE, Qwen3.5, its mixture of experts, and Cosmos 3.

    Features of the tower's earlier layers, where a model has them, reach the first layers of its language model
    beside the video tokens, untouched by patches.
    """

    beside = ("video_grid_thw", "mm_token_type_ids")
    appends = True


class Qwen3_5Moe(Qwen3VL):  # noqa: N801
    """``Qwen3_5MoeForConditionalGeneration``.

    Its shared experts see the tokens of all samples in one row, where peft cannot tell whose LoRA should act.
    """

    lora_without = ("shared_expert", "shared_expert_gate")
