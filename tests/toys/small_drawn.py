"""Drawn people on disk with their masks beside them, one by one."""

from pathlib import Path

import torch
from PIL import Image

from reidlib.data.samples import Sample
from reidlib.pedestrians import Shot, draw


def shot(camid: int = 0, occlusion: float = 0.0) -> Shot:
    return Shot("plaza", "query", 301, camid, 0, framing="whole", occlusion=occlusion)


def drawn(root: Path, camid: int = 0, occlusion: float = 0.0) -> Sample:
    """One drawn query with its mask beside it."""
    path = root / "query" / f"0301_c{camid + 1}s1_000000_00.jpg"
    mask = root / "masks" / "query" / f"{path.stem}.png"
    for file in (path, mask):
        file.parent.mkdir(parents=True, exist_ok=True)
    drawing = draw(shot(camid, occlusion))
    drawing.image.save(path)
    drawing.mask.save(mask)
    return Sample(path, 301, camid)


def painted(root: Path, rows: list[int]) -> Sample:
    """An image of 4 x 2 cells whose rows show the given parts."""
    sample = drawn(root)
    mask = torch.tensor(rows, dtype=torch.uint8).repeat_interleave(32)[:, None]
    picture = Image.fromarray(mask.repeat(1, 64).numpy())
    picture.save(root / "masks" / "query" / f"{sample.path.stem}.png")
    return sample
