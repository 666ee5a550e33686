"""Every layout read: who, which camera, which split; what is refused and why."""

from pathlib import Path

import pytest
import torch
from toys.small_sets import SETS, counts_of, write_picture, write_set

from reidlib import benchmarks as readers
from reidlib.benchmarks import DataError, load_benchmark
from reidlib.benchmarks.loading import read_below
from reidlib.data.sampler import IdentitySampler
from reidlib.evaluation.metrics import evaluate_distances

SPLITS = ("train", "query", "gallery")
REAL = sorted(SETS)


@pytest.fixture
def published(monkeypatch):
    """Make a small set the published one."""

    def publish(name: str) -> None:
        monkeypatch.setitem(readers.PUBLISHED, name, counts_of(name))

    return publish


def fields(root: Path, samples) -> list[tuple[str, int, int]]:
    return [(s.path.relative_to(root).as_posix(), s.pid, s.camid) for s in samples]


@pytest.mark.parametrize("name", REAL)
def test_identities_and_cameras_of_every_layout(tmp_path, published, name):
    published(name)
    root = write_set(name, tmp_path / name)
    found = load_benchmark(name, tmp_path)
    assert found.name == name
    for split in SPLITS:
        wanted = [entry for entry in SETS[name][split] if entry[1] != -1]
        assert fields(root, getattr(found, split)) == sorted(wanted)


@pytest.mark.parametrize("name", REAL)
def test_what_is_read_does_not_depend_on_the_order_on_disk(tmp_path, name, monkeypatch):
    root = write_set(name, tmp_path / name)
    found = read_below(name, root)
    for path in sorted(root.rglob("*.*"), reverse=True):
        path.replace(path.with_name("moved"))
        path.with_name("moved").replace(path)
    assert read_below(name, root) == found


PLACES = {
    "cuhk03np_detected": ["cuhk03-np/detected", "CUHK03_NP/detected"],
    "cuhk03np_labeled": ["cuhk03-np/labeled", "cuhk03np_labeled", "labeled"],
    "dukemtmcreid": [
        "DukeMTMC-reID",
        "dukemtmc-reid/DukeMTMC-reID",
        "dukemtmcreid/DukeMTMC-reID",
        "duke/DukeMTMC-reID",
    ],
    "market1501": [
        "market1501",
        "Market-1501-v15.09.15",
        "market1501/Market-1501-v15.09.15",
        "market1501/market1501",
        "Market-1501",
    ],
    "msmt17": ["MSMT17_V1", "MSMT17", "msmt17/MSMT17_V1"],
    "msmt17_trainval": ["MSMT17_V1", "msmt17", "msmt17/MSMT17_V1"],
    "msmt17_v2": ["MSMT17_V2", "MSMT17", "msmt17/MSMT17_V2"],
    "msmt17_v2_trainval": ["MSMT17_V2", "msmt17_v2"],
    "occluded_duke": ["Occluded_Duke", "dukemtmcreid/Occluded_Duke", "Occluded-Duke"],
    "occluded_reid": ["Occluded_REID", "OccludedREID", "Occluded-REID"],
    "p_dukemtmcreid": [
        "P-DukeMTMC-reID",
        "P-DukeMTMC-reid",
        "ICME2018_Occluded-Person-Reidentification_datasets/P-DukeMTMC-reid",
    ],
    "partial_ilids": ["Partial_iLIDS", "PartialiLIDS"],
    "partial_reid": ["Partial_REID", "Partial-REID_Dataset", "PartialREID"],
}
SPELLED = [(name, place) for name in REAL for place in ["", name, *PLACES[name]]]


@pytest.mark.parametrize(("name", "place"), SPELLED)
def test_the_folder_may_be_nested_and_have_any_known_name(
    tmp_path, published, name, place
):
    published(name)
    root = write_set(name, tmp_path / place)
    for data_root in (tmp_path, root):
        assert read_below(name, data_root).root == root
        assert len(load_benchmark(name, data_root).gallery)


OTHER_FOLDERS = [
    ("occluded_reid", {"occluded_body": "query", "whole_body": "bounding_box_test"}),
    ("occluded_reid", {"occluded_body": "query", "whole_body": "gallery"}),
    ("partial_reid", {"partial_body": "occluded_body_images"}),
    ("partial_ilids", {"partial_body": "query", "whole_body": "gallery"}),
    ("partial_ilids", {"partial_body": "Probe", "whole_body": "Gallery"}),
]


@pytest.mark.parametrize(("name", "renamed"), OTHER_FOLDERS)
def test_occluded_and_partial_sets_under_their_other_names(tmp_path, name, renamed):
    root = write_set(name, tmp_path / name)
    for old, new in renamed.items():
        (root / f"{old}_images").rename(root / new)
    found = read_below(name, root).benchmark
    for split, camid in (("query", 0), ("gallery", 1)):
        wanted = [(pid, camid) for _, pid, _ in SETS[name][split]]
        assert [(s.pid, s.camid) for s in getattr(found, split)] == wanted


def test_renamed_files_of_occluded_reid_keep_the_cameras_of_their_folders(tmp_path):
    write_picture(tmp_path / "query" / "0001_c1s1_000050_00.tif")
    write_picture(tmp_path / "bounding_box_test" / "0001_c3s3_000050_00.tif")
    found = read_below("occluded_reid", tmp_path).benchmark
    assert [(s.pid, s.camid) for s in found.query + found.gallery] == [(1, 0), (1, 1)]


@pytest.mark.parametrize("name", ["partial_reid", "partial_ilids"])
def test_partial_sets_by_their_lists(tmp_path, name):
    root = write_set(name, tmp_path / name)
    for split, file in (("query", "Probe.txt"), ("gallery", "Gallery.txt")):
        places = [place for place, *_ in SETS[name][split]]
        (root / file).write_text("\n".join(places[:1]) + "\n")
    found = read_below(name, tmp_path).benchmark
    assert (len(found.query), len(found.gallery)) == (1, 1), "as the lists say"
    (root / "Probe.txt").write_text("partial_body_images/900.jpg\n")
    with pytest.raises(DataError, match=r"1 file of Probe.txt is not there"):
        read_below(name, tmp_path)


@pytest.mark.parametrize("name", [*sorted(readers.TRAINED_ON), "p_dukemtmcreid"])
def test_the_camera_rule_ignores_nothing_in_a_set_of_two_cameras(tmp_path, name):
    """A second number in a name is no camera: its own gallery image would go."""
    found = read_below(name, write_set(name, tmp_path)).benchmark
    labels = {
        f"{split}_{field}s": torch.tensor([getattr(s, field) for s in samples])
        for split, samples in (("query", found.query), ("gallery", found.gallery))
        for field in ("pid", "camid")
    }
    same = labels["query_pids"][:, None] == labels["gallery_pids"]
    scores = evaluate_distances(1.0 - same.float(), **labels)
    assert (scores.mean_ap, scores.num_skipped) == (1.0, 0)


@pytest.mark.parametrize("name", sorted(readers.TRAINED_ON))
def test_a_set_for_testing_is_not_trained_on(tmp_path, name):
    message = readers.training_fault(name)
    assert f"{name} is for testing only" in message
    assert f"train on {readers.TRAINED_ON[name][0]}" in message
    assert f"-p also_on {name}" in message
    for other in readers.TRAINED_ON[name]:
        assert other in readers.BENCHMARKS and not readers.training_fault(other)
    found = read_below(name, write_set(name, tmp_path)).benchmark
    with pytest.raises(ValueError, match="training split is empty: .* also_on"):
        IdentitySampler(
            found.train, num_identities_per_batch=2, images_per_identity=2, seed=0
        )
