"""The processes of a launcher, and the device of each."""

from __future__ import annotations

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import get_int_from_env, parse_flag_from_env

COUNTS = ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"]
"""Variables in which launchers say how many processes they started."""


def processes() -> PartialState:
    """Return accelerate's view of this process and its siblings.

    Made without being told so, it takes processes of a launcher that have no accelerator for strangers; then it is
    made anew.
    """
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu)
    if cpu and state.num_processes == 1 and get_int_from_env(COUNTS, 1) > 1:
        AcceleratorState._reset_state(reset_partial_state=True)
        state = PartialState(cpu=True)
    return state
