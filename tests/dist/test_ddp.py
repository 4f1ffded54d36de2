"""Two DDP processes do what one does, also where only one has the channel, or any video at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from tests.dist.processes import (
    SIDES,
    assert_step,
    gradients,
    in_one_process,
    make_patched,
    mean_over_processes,
    step_batch,
    together,
)
from tests.tiny import FAMILIES


def ddp_step(rank: int, folder: Path, argument: tuple[str, list[dict[str, Any]]]) -> None:
    family, shares = argument
    # As strict as DDP is by default: a weight without a gradient is an error at the next step.
    model = DistributedDataParallel(make_patched(family))
    for _ in range(2):
        model.zero_grad()
        loss = model(**shares[rank]).loss
        loss.backward()
    mean = mean_over_processes(loss).item()
    if rank == 0:
        torch.save({"loss": mean, "gradients": gradients(model.module)}, folder / "step.pt")


@pytest.mark.dist
@pytest.mark.parametrize(
    ("family", "kind"),
    [(FAMILIES[0], "one lacks the channel"), (FAMILIES[1], "each lacks what the other has"), (FAMILIES[1], "text")],
)
def test_one_step_is_that_of_one_process(family: str, kind: str, tmp_path: Path) -> None:
    seeds = SIDES.get(kind, SIDES["both have the channel"])
    shares = step_batch(family, seeds, text_only=kind == "text")
    together(ddp_step, tmp_path, (family, shares))
    assert_step(tmp_path, in_one_process(family, shares))
