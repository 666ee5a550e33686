"""What a run keeps of drawn pictures, and that it keeps nothing of photographs."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from reidlib import evaluation
from reidlib.analysis import snapshots as kept
from reidlib.analysis.snapshots import keep_ranked
from reidlib.data.samples import Benchmark, Sample
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.pedestrians import Shot, draw

ARRAYS = {"maps": np.linspace(0, 1, 6).reshape(2, 3), "names": np.array(["a", "b"])}


def test_arrays_are_read_back_by_benchmark(tmp_path):
    kept.write(str(tmp_path), "looks", {"plaza": ARRAYS, "smoke": {"x": np.arange(3)}})
    found = kept.read(tmp_path, "looks", "plaza")
    assert found["names"].tolist() == ["a", "b"]
    np.testing.assert_allclose(found["maps"], ARRAYS["maps"], atol=1e-3)
    assert kept.read(tmp_path, "looks", "smoke")["x"].tolist() == [0, 1, 2]
    assert kept.read(tmp_path, "looks", "station") == {}
    assert kept.read(tmp_path, "ranked", "plaza") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["looks.npz"]


@pytest.mark.parametrize(("folder", "benchmark"), [("", "plaza"), ("run", "msmt17")])
def test_nothing_is_kept_of_photographs_nor_without_a_folder(
    tmp_path, monkeypatch, folder, benchmark
):
    monkeypatch.chdir(tmp_path)
    kept.write(folder, "looks", {benchmark: ARRAYS})
    assert not list(tmp_path.iterdir())


def test_benchmarks_that_are_written_one_by_one_stay_side_by_side(tmp_path):
    for benchmark in ("plaza", "smoke", "plaza"):
        kept.write(str(tmp_path), "ranked", {benchmark: ARRAYS})
    for benchmark in ("plaza", "smoke"):
        assert kept.read(tmp_path, "ranked", benchmark)["names"].tolist() == ["a", "b"]


def test_pictures_are_drawn_again_by_name():
    shot = Shot("plaza", "query", 301, 4, 0, framing="whole", occlusion=0.0)
    (picture,) = kept.pictures("plaza", ["query/0301_c5s1_000000_00.jpg"])
    assert picture.tobytes() == draw(shot).image.tobytes()
    for name, place in [("plaza", "query/9999_c1s1_000000_00.jpg"), ("plazza", "x")]:
        with pytest.raises(ValueError, match="plazza|9999"):
            kept.pictures(name, [place])


class Pixels(nn.Module):
    def embed(self, images):
        return images.flatten(1)


def test_ranked_lists_are_kept_as_names(tmp_path):
    samples = []
    for pid, camid in [(1, 0), (2, 0), (1, 1), (2, 1), (3, 1)]:
        path = tmp_path / "data" / "query" / f"{pid:04d}_c{camid + 1}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(Shot("plaza", "query", pid, camid, 0)).image.save(path)
        samples.append(Sample(path, pid, camid))
    benchmark = Benchmark("smoke", (), tuple(samples[:2]), tuple(samples[2:]))
    transform = plain_transform(16, 8, normalisation="half")
    options = {"device": "cpu", "batch_size": 2}
    found = evaluation.Tester(transform, **options).search(Pixels(), benchmark)
    keep_ranked(found, benchmark, str(tmp_path / "run"), queries=9, count=2)
    arrays = kept.read(Path(tmp_path / "run"), "ranked", "smoke")
    assert arrays["queries"].tolist() == ["query/0001_c1.jpg", "query/0002_c1.jpg"]
    assert arrays["nearest"].shape == arrays["hits"].shape == (2, 2)
    pids = [[name[6:10] for name in row] for row in arrays["nearest"]]
    hits = [
        [pid == own for pid in row]
        for row, own in zip(pids, ["0001", "0002"], strict=True)
    ]
    assert arrays["hits"].tolist() == hits


def test_kept_lists_can_be_drawn_as_lists(tmp_path):
    names = [f"query/0301_c{camera}s1_000000_00.jpg" for camera in range(1, 5)]
    arrays = {
        "queries": np.array(names[:2]),
        "nearest": np.array([[names[3], names[1]], [names[1], names[2]]]),
        "hits": np.array([[True, False], [False, True]]),
    }
    kept.write(str(tmp_path), "ranked", {"plaza": arrays})
    queries, gallery, (order, hits, counts) = kept.ranked(tmp_path, "plaza")
    assert len(queries) == 2 and len(gallery) == 3
    for row, nearest in enumerate(arrays["nearest"]):
        expected = kept.pictures("plaza", nearest)
        found = [gallery[i] for i in order[row]]
        assert [p.tobytes() for p in found] == [p.tobytes() for p in expected]
    assert hits.tolist() == arrays["hits"].tolist() and counts.tolist() == [2, 2]


@pytest.mark.parametrize("kind", ["looks", "ranked"])
def test_damaged_arrays_are_named_with_what_to_do(tmp_path, kind):
    maps = np.random.default_rng(0).random((50, 4, 4))
    kept.write(str(tmp_path), kind, {"plaza": {"maps": maps}})
    path = tmp_path / f"{kind}.npz"
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 4
    for content in (good[: len(good) // 2], bytes(flipped), b"", b"xx", b"\x93NUMPY"):
        path.write_bytes(content)
        for look in (
            lambda: kept.read(tmp_path, kind, "plaza"),
            lambda: kept.write(str(tmp_path), kind, {"smoke": ARRAYS}),
        ):
            with pytest.raises(ValueError, match=rf"{kind}\.npz cannot .*: delete it"):
                look()


def test_ranked_lists_without_their_parts_are_named(tmp_path):
    kept.write(str(tmp_path), "ranked", {"plaza": {"queries": np.array(["a"])}})
    with pytest.raises(ValueError, match=r"ranked\.npz has no plaza/(nearest|hits)"):
        kept.ranked(tmp_path, "plaza")
