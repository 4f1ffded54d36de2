"""What a base and a patch on it cost: parameters, operations and memory, exact, from configurations alone.

Everything runs on torch's meta device, which knows shapes and holds no numbers. A multiply-add counts as two
operations; only matrix products and convolutions count; attention counts as the full square, also where it is causal.
Of a mixture of experts the routed experts count as often as a token is sent to one.
"""

from pave.cost.base import count_base, meta_base, meta_model
from pave.cost.patch import EncoderCost, count_appended, count_encoder, count_patch
from pave.cost.scene import BaseCost, Part, Scene
from pave.cost.side import side_shape

__all__ = [
    "BaseCost",
    "EncoderCost",
    "Part",
    "Scene",
    "count_appended",
    "count_base",
    "count_encoder",
    "count_patch",
    "meta_base",
    "meta_model",
    "side_shape",
]
