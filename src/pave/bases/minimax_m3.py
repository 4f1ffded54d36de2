"""MiniMax M3: two frames a step, 2 x 2 patches a token, and a tower that looks at a whole clip at once."""

from __future__ import annotations

from pave.bases.grid import GridFamily


class MiniMaxM3(GridFamily):
    """``MiniMaxM3SparseForConditionalGeneration``; tokens of a step depend on all steps of the video.

    Its shared experts see the tokens of all samples in one row, where peft cannot tell whose LoRA should act.
    """

    vision_tower = "model.vision_tower"
    appends = True
    lora_without = ("shared_experts",)
