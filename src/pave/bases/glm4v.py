"""GLM-4V, GLM-4.6V and their mixture of experts: two frames a step, 2 x 2 patches merged inside the tower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pave.bases.grid import GridFamily
from pave.bases.layout import rows_of


class Glm4v(GridFamily):
    """``Glm4vForConditionalGeneration`` and ``Glm46VForConditionalGeneration``.

    Placeholders of videos carry the token of images; what tells them apart is ``mm_token_type_ids``. The tower's
    features are one a token, of the width that its merger takes.
    """

    beside = ("video_grid_thw", "mm_token_type_ids")
    appends = True
    placeholder = "image_token_id"
    vision_width = "vision_config.out_hidden_size"

    def vision(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return rows_of(output.last_hidden_state)

    def finest(self, core: Any, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        return self.merged(core, output, inputs)

    def places(self, input_ids: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        found = super().places(input_ids, inputs)
        kinds = inputs.get("mm_token_type_ids")
        return found if kinds is None else found & (kinds == 2)


class Glm4vMoe(Glm4v):
    """``Glm4vMoeForConditionalGeneration``.

    peft takes the name of a dense or shared layer for that of the routed experts, so LoRA goes on attention alone.
    """

    lora_without = ("gate_proj", "up_proj", "down_proj")
