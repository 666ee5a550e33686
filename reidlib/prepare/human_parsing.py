"""Part masks of photographs, from a human parser.

A parser takes a picture and names what it sees, as the image-segmentation pipelines of
transformers do: a list of {"label": name, "mask": picture that is white there}. Its
names, those of the ATR and LIP label sets, become RGANet's four parts and bags.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from reidlib.data.masks import read_mask
from reidlib.data.pictures import read_picture
from reidlib.data.samples import Sample, mask_path
from reidlib.files import written_whole
from reidlib.pedestrians import Part
from reidlib.prepare.pipelines import load_pipeline

Parser = Callable[[Image.Image], Sequence[Mapping[str, Any]]]
NAMES = {
    Part.BACKGROUND: ("background",),
    Part.HEAD: ("hat", "hair", "face", "sunglasses", "head"),
    Part.UPPER_BODY: (
        *("upper-clothes", "coat", "dress", "jumpsuits", "torso-skin", "scarf"),
        *("glove", "left-arm", "right-arm"),
    ),
    Part.LOWER_BODY: ("pants", "skirt", "belt", "left-leg", "right-leg"),
    Part.FOOT: ("socks", "left-shoe", "right-shoe"),
    Part.BAGS: ("bag",),
}
PART_OF_NAME = {name: part for part, names in NAMES.items() for name in names}


def load_parser(model: str, device: str) -> Parser:
    """Load a human parser: a model of transformers by name or folder, or `stand-in`.

    stand-in   answers with the true masks of drawn pedestrians; see `stand_in`
    Raises ModuleNotFoundError where transformers is not installed.
    """
    if model == "stand-in":
        return stand_in
    prompts = "take the hand-written prompts of rganet.ipynb, which need no masks"
    return load_pipeline("image-segmentation", model, device, otherwise=prompts)


def stand_in(picture: Image.Image) -> list[dict[str, Any]]:
    """Answer like a parser for a drawn picture that lies beside its true mask."""
    mask = read_mask(Path(picture.filename)).numpy()
    return [
        {"label": names[0], "mask": Image.fromarray(np.uint8(255 * (mask == part)))}
        for part, names in NAMES.items()
        if (mask == part).any()
    ]


def part_mask(segments: Iterable[Mapping[str, Any]], size: tuple[int, int]) -> Image:
    """Merge a parser's answer into one mask with the labels of Part.

    size   (width, height) of the picture; what no segment claims is background
    Raises ValueError for a name that is none of the known ones.
    """
    merged = np.full(size[::-1], int(Part.BACKGROUND), dtype=np.uint8)
    for segment in segments:
        name = segment["label"].lower().replace(" ", "-")
        if name not in PART_OF_NAME:
            known = ", ".join(sorted(PART_OF_NAME))
            raise ValueError(f"the parser names {name!r}: not one of {known}")
        claimed = segment["mask"].convert("L").resize(size, Image.Resampling.NEAREST)
        merged[np.asarray(claimed) > 127] = int(PART_OF_NAME[name])
    return Image.fromarray(merged)


def parse(path: Path, parser: Parser) -> Tensor:
    """Parse a picture, even one that has a mask: labels of Part (H, W)."""
    return torch.from_numpy(np.array(_parsed(path, parser))).long()


def stacked(labels: Sequence[Tensor]) -> Tensor:
    """Stack maps of labels (H, W) of several sizes, as photographs have: (n, H, W).

    All get the size of the first; a cell takes the label of the nearest one.
    """
    size = labels[0].shape
    maps = [F.interpolate(one[None, None].float(), size) for one in labels]
    return torch.cat(maps)[:, 0].long()


def _parsed(path: Path, parser: Parser) -> Image.Image:
    picture = read_picture(path)
    return part_mask(parser(picture), picture.size)


def parsed_path(image_path: Path, root: Path | str = "") -> Path:
    """Where the parsed mask of an image belongs: beside the images, or below `root`.

    >>> parsed_path(Path("plaza/query/0001_c1s1_000000_00.jpg"), "parsed").as_posix()
    'parsed/masks/query/0001_c1s1_000000_00.png'
    """
    beside = mask_path(image_path)
    return Path(root) / Path(*beside.parts[-3:]) if root else beside


def write_masks(
    samples: Sequence[Sample], parser: Parser, root: Path | str = ""
) -> int:
    """Write the mask of every image that has none yet to `parsed_path(path, root)`.

    Returns how many were written. A run that was interrupted goes on; no mask is ever
    half written.
    """
    written = 0
    for sample in tqdm(samples, desc="parsing", unit="image", leave=False):
        path = parsed_path(sample.path, root)
        if path.is_file():
            continue
        mask = _parsed(sample.path, parser)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            mask.save(temporary, format="PNG")
        written += 1
    return written
