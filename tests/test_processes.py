"""Who a process of a run is, and what only the main one may do."""

import pytest
from toys.parallel_training import of

from reidlib import processes
from reidlib.files import write_text, written_whole


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.setenv("RANK", "3")  # of another program's, which says no number
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (processes.count(), processes.number(), processes.number_here()) == (1, 0, 0)
    assert processes.is_main()
    assert not processes.are_together()


def test_torchrun_says_who_this_is(monkeypatch):
    with of(1, 3, monkeypatch):
        assert (processes.count(), processes.number()) == (3, 1)
        assert not processes.is_main()
        assert processes.are_together()
        with pytest.raises(OSError, match="disk"), processes.apart():
            assert not processes.are_together()
            raise OSError("disk")
        assert processes.are_together()


def test_only_the_main_process_leaves_files(tmp_path, monkeypatch):
    with of(1, 2, monkeypatch):
        write_text(tmp_path / "history.csv", "epoch\n")
        assert list(tmp_path.iterdir()) == []
        with written_whole(tmp_path / "cache.npy", by_any=True) as temporary:
            temporary.write_bytes(b"1")
    with of(0, 2, monkeypatch):
        write_text(tmp_path / "history.csv", "epoch\n")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["cache.npy", "history.csv"]
