"""The model ``pave`` of lmms-eval; imported only where that is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms

from pave.data.processor import PaveProcessor
from pave.errors import InputError
from pave.evaluation.asking import replies
from pave.evaluation.config import EvalConfig, EvalSettings
from pave.evaluation.lmms.data import side_of
from pave.evaluation.lmms.requests import cut, sample_of
from pave.evaluation.run import asker_for, load_model
from pave.types import Sample

LONGEST_ANSWER = 1024
"""What lmms-eval's own models take where a task says nothing."""


class Pave(lmms):
    """A base with patches.

    Args:
        base: Shipped name, folder or hub id; by default the one that the first patch was made for.
        patch: Shipped names, folders or hub ids, joined by ``+``; none asks the base alone.
        frames: Frames of a video; by default what the patches were made with.
        precision: Float type of the base.
        batch_size: Questions answered together.
        device: Left to accelerate; only told apart from what it chooses.

    Raises:
        InputError: If base or patch cannot be used.
    """

    is_simple = False

    def __init__(
        self,
        base: str | None = None,
        patch: str | None = None,
        frames: int | None = None,
        precision: str = "bf16",
        batch_size: int | str = 1,
        device: str | None = None,
    ) -> None:
        super().__init__()
        self.accelerator = Accelerator()
        if device is not None and device.split(":")[0] != self.accelerator.device.type:
            raise InputError(f"lmms-eval asks for device {device!r}, accelerate gives {self.accelerator.device}")
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        config = EvalConfig(
            # The tasks bring their own.
            data=(Path("lmms-eval"),),
            base=base,
            patches=tuple(patch.split("+")) if patch else (),
            frames=None if frames is None else int(frames),
            precision=precision,  # type: ignore[arg-type]
        )
        settings = EvalSettings(int(batch_size), LONGEST_ANSWER, cache_video_tokens=True)
        model = load_model(config)
        self._asker = asker_for(model, settings, PaveProcessor.from_model(model, config.frames))

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Answer requests, greedily, those of equal settings together."""
        groups: dict[int, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(_longest(request.args[2]), []).append(place)
        answers = [""] * len(requests)
        for longest, places in groups.items():
            asker = replace(self._asker, settings=replace(self._asker.settings, max_new_tokens=longest))
            said = replies(asker, [self._sample(requests[place]) for place in places])
            for place, reply in zip(places, said, strict=True):
                answers[place] = cut(reply.text, _stops(requests[place].args[2]))
        return answers

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Refuse: answers are generated."""
        raise InputError("pave answers by generating; choose a task of output_type generate_until")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Refuse: a conversation has one open question."""
        raise InputError("pave answers one question at a time; choose a task of output_type generate_until")

    def _sample(self, request: Instance) -> Sample:
        _, to_messages, _, number, task, split = request.args
        document: Mapping[str, Any] = self.task_dict[task][split][number]
        return sample_of(f"{task} {split} {number}", to_messages(document), side_of(document))


def _longest(settings: Mapping[str, Any]) -> int:
    if settings.get("do_sample") or (settings.get("num_beams") or 1) > 1:
        raise InputError("pave answers greedily; set do_sample: false and num_beams: 1 in the task")
    return int(settings.get("max_new_tokens") or LONGEST_ANSWER)


def _stops(settings: Mapping[str, Any]) -> list[str]:
    until = settings.get("until") or []
    return [until] if isinstance(until, str) else list(until)
