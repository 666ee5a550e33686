"""A few files of every real layout, written by hand: name, pid and camera of each."""

import functools
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from reidlib.benchmarks import Counts, Tally

DUKE = {
    "train": [
        ("bounding_box_train/0001_c2_f0046182.jpg", 1, 1),
        ("bounding_box_train/0001_c8_f0050000.jpg", 1, 7),
        ("bounding_box_train/0007_c5_f0046302.jpg", 7, 4),
    ],
    "query": [
        ("query/0005_c2_f0046985.jpg", 5, 1),
        ("query/0019_c1_f0051230.jpg", 19, 0),
    ],
    "gallery": [
        ("bounding_box_test/0002_c1_f0044158.jpg", 2, 0),
        ("bounding_box_test/0005_c6_f0047000.jpg", 5, 5),
        ("bounding_box_test/0019_c3_f0060000.jpg", 19, 2),
    ],
}
CUHK03 = {
    "train": [
        ("bounding_box_train/0003_c1_21.png", 3, 0),
        ("bounding_box_train/0003_c2_4.jpg", 3, 1),
    ],
    "query": [("query/0001_c1_1.png", 1, 0), ("query/0001_c2_6.png", 1, 1)],
    "gallery": [
        ("bounding_box_test/0001_c1_2.png", 1, 0),
        ("bounding_box_test/0001_c2_7.png", 1, 1),
    ],
}
MSMT17 = {  # identities of both lists count from 0
    "train": [
        ("train/0000/0000_000_01_0303morning_0015_0.jpg", 1, 0),
        ("train/0000/0000_001_15_0303noon_0016_2.jpg", 1, 14),
        ("train/0001/0001_000_05_0303morning_0017_1.jpg", 2, 4),
    ],
    "val": [("train/0001/0001_001_06_0303afternoon_0018_0.jpg", 2, 5)],
    "query": [("test/0000/0000_000_01_0303morning_0036_0.jpg", 1042, 0)],
    "gallery": [
        ("test/0000/0000_001_02_0303noon_0037_0.jpg", 1042, 1),
        ("test/0001/0001_000_03_0303noon_0038_0.jpg", 1043, 2),
    ],
}
MASKED = re.compile("^(train|test)")
SETS = {
    "market1501": {
        "train": [
            ("bounding_box_train/0002_c1s1_000451_03.jpg", 2, 0),
            ("bounding_box_train/0002_c6s3_000451_01.jpg", 2, 5),
            ("bounding_box_train/0007_c2s1_000451_03.jpg", 7, 1),
        ],
        "query": [
            ("query/0001_c1s1_001051_00.jpg", 1, 0),
            ("query/0011_c3s1_001051_00.JPG", 11, 2),
        ],
        "gallery": [
            ("bounding_box_test/-1_c1s1_000401_03.jpg", -1, 0),
            ("bounding_box_test/0000_c1s1_000151_01.jpg", 0, 0),
            ("bounding_box_test/0001_c2s1_001051_03.jpeg", 1, 1),
            ("bounding_box_test/0011_c4s1_001051_03.png", 11, 3),
        ],
    },
    "dukemtmcreid": DUKE,
    "occluded_duke": DUKE,
    "cuhk03np_detected": CUHK03,
    "cuhk03np_labeled": CUHK03,
    "msmt17": MSMT17,
    "msmt17_v2": {
        split: [(MASKED.sub(r"mask_\1_v2", place), *who) for place, *who in files]
        for split, files in MSMT17.items()
    },
    "occluded_reid": {
        "train": [],
        "query": [
            ("occluded_body_images/001/001_01.tif", 1, 0),
            ("occluded_body_images/002/002_05.tif", 2, 0),
        ],
        "gallery": [
            ("whole_body_images/001/001_01.tif", 1, 1),
            ("whole_body_images/002/002_01.tif", 2, 1),
        ],
    },
    "partial_reid": {
        "train": [],
        "query": [
            ("partial_body_images/001_001.jpg", 1, 0),
            ("partial_body_images/002_002.jpg", 2, 0),
        ],
        "gallery": [
            ("whole_body_images/001_001.jpg", 1, 1),
            ("whole_body_images/002_002.jpg", 2, 1),
        ],
    },
    "partial_ilids": {
        "train": [],
        "query": [("partial_body_images/004.jpg", 4, 0)],
        "gallery": [
            ("whole_body_images/004.jpg", 4, 1),
            ("whole_body_images/119.jpg", 119, 1),
        ],
    },
    "p_dukemtmcreid": {
        "train": [
            ("train/occluded_body_images/0001/0001_c1_f0055338.jpg", 1, 0),
            ("train/whole_body_images/0001/0001_c2_f0046182.jpg", 1, 1),
        ],
        "query": [("test/occluded_body_images/0005/0005_c2_f0046985.jpg", 5, 0)],
        "gallery": [("test/whole_body_images/0005/0005_c2_f0047000.jpg", 5, 1)],
    },
}
for version in ("msmt17", "msmt17_v2"):
    more = SETS[version]["train"] + SETS[version]["val"]
    SETS[f"{version}_trainval"] = SETS[version] | {"train": sorted(more)}


def counts_of(name: str) -> Tally:
    """What the small set holds, counted from the table above."""
    splits = []
    for split in ("train", "query", "gallery"):
        kept = [(pid, camid) for _, pid, camid in SETS[name][split] if pid != -1]
        pids = {pid for pid, _ in kept} - {0}
        splits.append(Counts(len(pids), len(kept), len({camid for _, camid in kept})))
    special = int(name == "market1501")
    return Tally(*splits, distractors=special, junk=special)


@functools.cache
def picture(kind: str, number: int = 0) -> bytes:
    """The bytes of a small picture; every number gives another."""
    pixels = np.random.default_rng(number).integers(0, 255, (64, 32, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format=kind)
    return content.getvalue()


def write_picture(path: Path, number: int = 0) -> None:
    """Write a picture of the kind that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".png": "PNG", ".tif": "TIFF"}.get(path.suffix.lower(), "JPEG")
    path.write_bytes(picture(kind, number))


def write_set(name: str, root: Path) -> Path:
    """Write the small set of a benchmark into the folder `root`."""
    files = SETS[name]
    # the training list is the shorter one in the other benchmark of the same folder
    listed = SETS[name.removesuffix("_trainval")] if "msmt17" in name else {}
    for number, (place, *_) in enumerate(f for split in files.values() for f in split):
        write_picture(root / place, number)
    for part, entries in listed.items():
        pid_of = {"train": 1, "val": 1, "query": 1042, "gallery": 1042}
        lines = [
            f"{place.partition('/')[2]} {pid - pid_of[part]}\n"
            for place, pid, _ in entries
        ]
        (root / f"list_{part}.txt").write_text("".join(lines))
    return root
