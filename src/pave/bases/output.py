"""What carries encoded videos into the ``forward`` and ``generate`` of any base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers.modeling_outputs import BaseModelOutputWithPooling


@dataclass
class VideoOutput(BaseModelOutputWithPooling):
    """The result of a base's video path, made anew: ``generate`` replaces its content for beams, so nobody shares it.

    Args:
        deepstack_features: Features (n,C) by layer and video that bases with a deepstack add in their first layers.
        vision_outputs: Of the tower; some bases pass it on, and it is never computed twice.
        qformer_outputs: The same of a Q-Former.
    """

    deepstack_features: Any = None
    vision_outputs: Any = None
    qformer_outputs: Any = None
