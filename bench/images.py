"""Images: drawn, written, and brought to batches, beside drawing nothing and decoding.

Drawn pedestrians are JPEG files of 128 x 64 pixels, as Market-1501's images are.
"""

import tempfile
from itertools import islice
from pathlib import Path

from bench.measuring import Record, beside_floor
from reidlib.benchmarks import load_benchmark
from reidlib.data.loaders import train_loader
from reidlib.data.pictures import read_picture
from reidlib.data.transforms import train_transform
from reidlib.pedestrians import RECIPES, draw
from reidlib.pedestrians.benchmark import JPEG_QUALITY, entries
from reidrun.runs.environment import ROOT

SIZES = {"tiny": (128, 64), "full": (384, 128)}
BATCH = {"num_identities_per_batch": 16, "images_per_identity": 4, "seed": 0}


def writing(*, images: int | None = None, rounds: int = 3, threads: int = 1) -> Record:
    """Pedestrians drawn and written with masks, beside writing what is drawn."""
    shots = [entry.shot for entry in islice(entries(RECIPES["smoke"]), images)]
    drawn = [draw(shot) for shot in shots]
    with tempfile.TemporaryDirectory() as folder:
        return beside_floor(
            f"drawing {len(shots)} pedestrians and writing them",
            lambda: [write(draw(shot), Path(folder)) for shot in shots],
            floor_name="writing the same pictures and masks",
            floor=lambda: [write(drawing, Path(folder)) for drawing in drawn],
            rounds=rounds,
            threads=threads,
        )


def write(drawing, folder: Path) -> None:
    """A picture and its mask, as a drawn set has them."""
    drawing.image.save(folder / "image.jpg", quality=JPEG_QUALITY)
    drawing.mask.save(folder / "mask.png", compress_level=1)


def loading(
    scale: str, *, data: Path = ROOT / "data", rounds: int = 3, threads: int = 1
) -> Record:
    """An epoch of a training loader without workers, beside decoding its images."""
    samples = load_benchmark("smoke", data).train
    transform = train_transform(*SIZES[scale], normalisation="imagenet")
    loader = train_loader(samples, transform, **BATCH)
    paths = [path for batch in loader for path in batch.paths]
    return beside_floor(
        f"{len(paths)} images to batches at {'x'.join(map(str, SIZES[scale]))}",
        lambda: list(loader),
        floor_name="decoding the same files",
        floor=lambda: [read_picture(path) for path in paths],
        rounds=rounds,
        threads=threads,
    )
