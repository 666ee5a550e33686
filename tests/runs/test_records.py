"""A finished run is read whole; what is damaged, missing or another's is named."""

import gzip
import json
import shutil

import pytest
from toys.small_study import save, scored

from reidrun.runs import records
from reidrun.runs.errors import RunError
from reidrun.runs.folder import QUERIES

SCORED = scored([0.5, 0.25], [1, 2])


@pytest.fixture
def kept(tmp_path):
    """The folder of a run that scored on its own benchmark and on another."""
    both = {"plaza": SCORED, "station": SCORED}
    save(tmp_path, "full", 3, both, {"plaza: IoU": 0.5})
    return tmp_path / "plaza/toy/full-s3"


def test_a_run_is_read_whole(kept):
    record, queries, history = records.read_run(kept)
    assert record["measures"] == {"plaza: IoU": 0.5} and record["seed"] == 3
    assert queries.loc["station", "first_rank"].tolist() == [1, 2]
    assert history["camera"].tolist() == [1.5, 3]


@pytest.mark.parametrize("name", ["metrics.json", "queries.csv.gz", "history.csv"])
def test_a_file_that_is_missing_is_named(kept, name):
    (kept / name).unlink()
    with pytest.raises(RunError, match=rf"has no {name}: run it again with"):
        records.read_run(kept)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"identity\n1\n", b"epoch,loss\n1,low\n", b"epoch\n?\n"],
)
def test_a_damaged_history_is_named_with_what_to_do(tmp_path, content):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(RunError, match=r"history\.csv cannot .*: run it again"):
        records.read_history(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("measures", [0.5]), ("measures", {"IoU": "high"}), ("failed", {"looks": 3})],
)
def test_a_record_with_values_of_another_type_is_named(kept, name, value):
    record = json.loads((kept / "metrics.json").read_text()) | {name: value}
    (kept / "metrics.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=rf"metrics\.json: no record .*: {name}"):
        records.read_run(kept)


def test_queries_of_another_run_are_named(kept, tmp_path):
    save(tmp_path, "full", 4, {"plaza": SCORED})
    shutil.copy(kept.with_name("full-s4") / QUERIES, kept)
    with pytest.raises(RunError, match=r"of other tests than metrics\.json \(plaza\)"):
        records.read_run(kept)


def test_a_run_may_lie_behind_a_link(kept, tmp_path):
    shutil.move(kept, tmp_path / "disk")
    kept.symlink_to(tmp_path / "disk")
    assert records.read_record(kept)["seed"] == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"xx",
        gzip.compress(b"", mtime=0),
        gzip.compress(b"a,b\n1,2\n", mtime=0),
        gzip.compress(b"tested_on,query,pid\nplaza,0,7\n", mtime=0),
        gzip.compress(b"caf\xe9", mtime=0),
        gzip.compress(
            b"tested_on,query,pid,average_precision,first_rank\nplaza,0,x,0.5,1\n",
            mtime=0,
        ),
    ],
)
def test_damaged_scores_of_queries_are_named_with_what_to_do(tmp_path, content):
    (tmp_path / QUERIES).write_bytes(content)
    with pytest.raises(RunError, match=r"queries\.csv\.gz cannot .*: run it again"):
        records.read_queries(tmp_path)


def test_a_cut_off_table_of_queries_is_named(kept):
    path = kept / QUERIES
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(RunError, match=r"queries\.csv\.gz cannot be read"):
        records.read_queries(kept)
