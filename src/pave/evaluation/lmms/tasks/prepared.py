"""What the task files of this folder refer to; lmms-eval loads it from beside them."""

from __future__ import annotations

from pave.evaluation.lmms.data import aggregate, process, to_messages, to_target, to_text, to_visual

__all__ = ["aggregate", "process", "to_messages", "to_target", "to_text", "to_visual"]
