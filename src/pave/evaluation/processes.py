"""The processes of a launcher, and the device of each."""

from __future__ import annotations

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env


def processes() -> PartialState:
    """Return accelerate's view of this process and its siblings.

    Made without being told so, it takes processes of a launcher that have no accelerator for strangers.
    """
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=cpu)
