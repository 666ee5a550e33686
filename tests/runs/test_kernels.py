"""Kernels: where their sockets lie."""

import tempfile

import pytest

from reidrun.runs.errors import RunError
from reidrun.runs.kernels import folder_of_sockets


def test_sockets_lie_where_their_path_is_short(monkeypatch, tmp_path):
    long = tmp_path / ("scratch_" * 11)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with folder_of_sockets() as folder:
        assert folder.startswith("/tmp/reid-")
    monkeypatch.setattr(tempfile, "tempdir", "/absent")
    with pytest.raises(RunError, match="absent cannot be written to .*: set TMPDIR"):
        folder_of_sockets()
