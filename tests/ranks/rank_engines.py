"""Engines that fail, or do nothing, on purpose."""

import torch

from rftlab import ranks
from rftlab.core import InputError
from rftlab.engines.hf import HFEngine


class Raises(HFEngine):
    """Raises in rank 1's third generation: that of the second step."""

    calls = 0

    def generate(self, jobs, sampling, stream):
        self.calls += 1
        if ranks.current.rank == 1 and self.calls == 3:
            raise ZeroDivisionError("on purpose")
        return super().generate(jobs, sampling, stream)


class Fills(HFEngine):
    """Finds the GPU full in rank 1's fourth generation, after the first of two rounds of a step at the earliest."""

    calls = 0

    def generate(self, jobs, sampling, stream):
        self.calls += 1
        if ranks.current.rank == 1 and self.calls == 4:
            raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB")
        return super().generate(jobs, sampling, stream)


class Refuses(HFEngine):
    """Finds something wrong in the input, on every rank."""

    def __init__(self, **options):
        super().__init__(**options)
        raise InputError("engine.wish=1: wanted 2")


class Holds:
    """Generates nothing: for updates on groups that are there already."""

    LEARNS = separate = False

    def __init__(self, *, policy, poll, **options):
        pass

    def close(self):
        pass
