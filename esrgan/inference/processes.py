"""Several processes that share a work, as `accelerate launch` starts them."""

from datetime import timedelta

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

PATIENCE = timedelta(days=7)  # with another that measures, or is at a larger photo; one that dies ends all at once


def process_state(cpu: bool = False) -> PartialState:
    """This process among those that were launched.

    Args:
        cpu: whether it computes on the CPU although there is something faster; `accelerate launch --cpu` says so too.
    """
    return PartialState(cpu=cpu or parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=PATIENCE)
