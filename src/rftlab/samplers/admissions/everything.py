"""Trains on every group."""

from __future__ import annotations

from rftlab.samplers.base import Admission


class All(Admission):
    """P tasks are asked for and all are trained on, groups without variance too."""
