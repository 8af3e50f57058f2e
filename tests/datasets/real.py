"""Where the real task files are, for tests that read them. They are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("RFTLAB_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
"""A folder with the files of the data sets as their authors publish them, one folder each."""

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the data sets' own files: RFTLAB_DATA=FOLDER, one folder for each"
)
