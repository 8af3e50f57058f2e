"""The processes of one run: how they find each other, how rank 0 commands, how a death is noticed.

Rank 0 leads: it alone runs the loop, the sampler, the verifier and the records. The others follow its commands. Objects
travel over gloo on the hosts, tensors over NCCL between GPUs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence, Sized
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rftlab.ranks import Alone, balanced

LONG = timedelta(days=7)
"""Waiting is no failure: rank 0 may verify or evaluate for hours. A death is noticed by ``Team._watch``."""
GRACE = 10.0
"""Seconds that rank 0 has to end by itself once another rank is gone."""
END = 0
"""The note of a rank that leaves in order; any other is the number of a command whose generating is abandoned."""


class RankLost(SystemExit):
    """Another rank has ended in the middle of the work, which has been said: this process can only end."""

    def __init__(self, rank: int) -> None:
        super().__init__(1)
        self.rank = rank

    def __str__(self) -> str:
        return f"rank {self.rank} has ended before its work was done"


class Abandoned(Exception):
    """Rank 0 no longer wants what this rank is generating."""


class Team(Alone):
    """All ranks of a run, as one of them sees them. Reads RANK, WORLD_SIZE and the address from the environment."""

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=LONG)
        self._channel = dist.new_group(backend="gloo", timeout=LONG)
        self._life = dist.new_group(backend="gloo", timeout=LONG)
        self._apart = False
        self._number = self._abandoned = 0
        self._lost = threading.Event()
        self.lost = 0
        others = [0] if self.rank else range(1, self.size)
        self._watches = [threading.Thread(target=self._watch, args=(other,), daemon=True) for other in others]
        for watch in self._watches:
            watch.start()

    # ---------------------------------------------------------------- the base, whole or split

    def begin(self, sharded: bool) -> None:
        """Before a run's policy is built."""
        self.sharded = sharded

    def cradle(self, device: torch.device) -> torch.device:
        return torch.device("cpu") if self.sharded else device

    def placed(self, model: Any, device: torch.device) -> Any:
        if not self.sharded:
            return model
        from rftlab.ranks_shard import split

        return split(model, device, self.size)

    # ---------------------------------------------------------------- sums, for the update

    def share(self, rows: Sequence[Sized]) -> list[int]:
        return balanced([len(row) for row in rows], self.size)[self.rank]

    def sum_(self, *tensors: Tensor) -> None:
        """Sums in place. Gradients are summed and never averaged: the loss has one denominator for all ranks.

        It is what DistributedDataParallel does to a gradient, less its division by the number of ranks and its wish
        for equally many backward passes on each.
        """
        with self._or_lost():
            for tensor in tensors:
                dist.all_reduce(tensor)

    def max_(self, tensor: Tensor) -> None:
        with self._or_lost():
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)

    def most(self, count: int) -> int:
        """With a sharded base the largest ``count`` of all ranks, as every forward is then work of all."""
        if not self.sharded:
            return count
        found = torch.tensor([count])
        with self._or_lost():
            dist.all_reduce(found, op=dist.ReduceOp.MAX, group=self._channel)
        return int(found)

    # ---------------------------------------------------------------- commands

    @property
    def working(self) -> bool:
        """Rank 0: within a command, or after one that an error has left: nobody listens."""
        return self._apart

    @property
    def broken(self) -> bool:
        """Another rank has ended before its work was done."""
        return self._lost.is_set()

    @contextlib.contextmanager
    def command(self, name: str, *args: Any) -> Iterator[None]:
        """Rank 0: tells the others what they do while it does the body.

        An error in the body leaves the ranks apart, each somewhere in its work: then the job can only end.
        """
        with self._or_lost():
            dist.broadcast_object_list([(name, args)], src=0, group=self._channel)
        self._number += 1
        self._apart = True
        yield
        self._apart = False

    def heard(self) -> tuple[str, tuple[Any, ...]]:
        """The others: waits for rank 0's next command."""
        said: list[Any] = [None]
        with self._or_lost():
            dist.broadcast_object_list(said, src=0, group=self._channel)
        self._number += 1
        return said[0]

    def gather(self, mine: Any) -> list[Any]:
        """Rank 0 gets the objects of all ranks in their order, the others an empty list."""
        all_: list[Any] | None = [None] * self.size if self.rank == 0 else None
        with self._or_lost():
            dist.gather_object(mine, all_, dst=0, group=self._channel)
        return all_ or []

    def abandon(self) -> None:
        """Rank 0: lets the others end their generating early. A note that comes late stops no later command."""
        self._notify(self._number)

    def poll(self) -> None:
        """The others: raises ``Abandoned`` once rank 0 has said so."""
        if self._abandoned == self._number:
            raise Abandoned

    # ---------------------------------------------------------------- the end, wanted or not

    def leave(self) -> bool:
        """Ends the team, and says whether in order; after an error in a command rank 0's own end ends the others."""
        if self._apart or self._lost.is_set():
            return False
        if self.rank == 0:
            with self.command("end"):
                self._notify(END)
        else:
            self._tell(0, END)
        for watch in self._watches:
            watch.join(GRACE)
        dist.destroy_process_group()
        return True

    def outlast(self) -> None:
        """Waits until rank 0 is gone, which ends this process (``_watch``), or some seconds."""
        self._lost.wait(GRACE / 2)

    def _notify(self, what: int) -> None:
        for other in range(1, self.size):
            self._tell(other, what)

    def _tell(self, other: int, what: int) -> None:
        with contextlib.suppress(RuntimeError):  # gone: its watch says so
            dist.send(torch.tensor([what]), dst=other, group=self._life)

    def _watch(self, other: int) -> None:
        """A connection that breaks when ``other`` dies, however it dies: no collective hangs on a dead rank."""
        note = torch.zeros(1, dtype=torch.int64)
        try:
            while True:
                dist.recv(note, src=other, group=self._life)
                if int(note) == END:
                    return
                self._abandoned = int(note)
        except RuntimeError:
            self.lost = other
            self._lost.set()
        if self.rank == 0:
            print(f"rftlab: {RankLost(other)}: the job ends", file=sys.stderr, flush=True)
            time.sleep(GRACE)
        for child in multiprocessing.active_children():  # an engine's own
            child.kill()
        os._exit(1)

    @contextlib.contextmanager
    def _or_lost(self) -> Iterator[None]:
        """A collective: one that fails because a rank has died says so."""
        try:
            yield
        except RuntimeError:
            if not self._lost.wait(2.0):
                raise
            raise RankLost(self.lost) from None
