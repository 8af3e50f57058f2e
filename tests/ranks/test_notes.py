"""What rank 0 tells the others while they work."""

import pytest
import torch.distributed as dist

from rftlab.ranks_team import END, Abandoned, Team


@pytest.fixture
def follower(monkeypatch):
    """A team as its second rank sees it, which hears commands without end; and the notes that are under way to it."""
    team, notes = Team.__new__(Team), []
    team.rank, team._number, team._abandoned, team._channel, team._life = 1, 0, 0, None, None
    monkeypatch.setattr(dist, "broadcast_object_list", lambda said, **_: said.__setitem__(0, ("generate", ())))
    monkeypatch.setattr(dist, "recv", lambda note, **_: note.fill_(notes.pop(0)))
    return team, notes


@pytest.mark.parametrize(("heard", "stopped"), [(1, True), (2, False)])
def test_a_note_stops_the_command_that_it_was_meant_for_and_no_later_one(follower, heard, stopped):
    team, notes = follower
    for _ in range(heard):
        team.heard()
    team.poll()
    notes += [1, END]  # the first command is abandoned; the note may come when the second has begun
    team._watch(0)
    if stopped:
        with pytest.raises(Abandoned):
            team.poll()
    else:
        team.poll()
