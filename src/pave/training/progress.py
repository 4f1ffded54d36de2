"""What a person sees of a run: a progress bar with the loss, and a log line now and then."""

from __future__ import annotations

import logging
import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pave.data.progress import progress_bar

logger = logging.getLogger(__name__)


class ProgressCallback(TrainerCallback):
    """Shows progress on the first process, and stops a run whose loss is no number any more."""

    def __init__(self) -> None:
        self._bar = progress_bar("steps")
        self._task = self._bar.add_task("training", total=None, note="")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any
    ) -> None:
        """Start the bar where the run starts or goes on."""
        if state.is_world_process_zero:
            self._bar.update(self._task, total=state.max_steps, completed=state.global_step)
            self._bar.start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any
    ) -> None:
        """Move the bar on."""
        self._bar.update(self._task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Show the loss.

        Raises:
            FloatingPointError: If it is NaN or infinite.
        """
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(float(loss)):
            self._bar.stop()
            raise FloatingPointError(
                f"the loss is {loss} at step {state.global_step}; lower the learning rates, or train in bf16 or fp32"
            )
        if state.is_world_process_zero:
            self._bar.update(self._task, note=f"loss {float(loss):.4f}")
            logger.info("step %d of %d: loss %.4f", state.global_step, state.max_steps, float(loss))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **options: Any
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()
