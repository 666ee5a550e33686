"""Pictures to tensors, in training and in testing."""

from collections.abc import Callable

import torch
from PIL import Image
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torchvision.transforms import v2

from reidlib.checks import check_choice

Transform = Callable[[Image.Image], Tensor]

FILLS = ("noise", "colour")  # of an erased box

NORMALISATIONS = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def resize_of(transform: Transform) -> v2.Resize:
    """The resize to (height, width) that a transform begins with; it draws nothing.

    What it gives can be kept: to resize that again changes nothing. Raises ValueError
    for a transform that begins with anything else.
    """
    first = next(iter(getattr(transform, "transforms", [])), None)
    if not isinstance(first, v2.Resize) or len(first.size) != 2:
        raise ValueError(
            f"the transform begins with {first}, not with a resize to height and "
            "width: images can only be kept behind one"
        )
    return first


def settings_of(transform: v2.Compose) -> dict[str, int | str]:
    """The arguments that test_transform made a transform of.

    Raises ValueError for a transform that it did not make.
    """
    height, width = resize_of(transform).size
    steps = [step for step in transform.transforms if isinstance(step, v2.Normalize)]
    found = [(tuple(step.mean), tuple(step.std)) for step in steps]
    for name, known in NORMALISATIONS.items():
        if found == [known]:
            return {"height": height, "width": width, "normalisation": name}
    raise ValueError(f"{transform} is none that test_transform makes")


def test_transform(height: int, width: int, *, normalisation: str) -> v2.Compose:
    """Resize (bicubic, as in training) and normalise: PIL image -> (3, H, W).

    Raises ValueError for a normalisation that is not in NORMALISATIONS.
    """
    return v2.Compose([*_resized(height, width), *_normalised(normalisation)])


def train_transform(
    height: int,
    width: int,
    *,
    normalisation: str,
    flip_probability: float = 0.5,
    pad: int = 10,
    erasing_probability: float = 0.5,
    erasing_fill: str = "noise",
) -> v2.Compose:
    """Resize, flip, pad with zeros and crop, normalise, erase one box.

    erasing_fill  noise, over 2 to 33 % of the image (CLIP-ReID) | colour: (0.485,
                  0.456, 0.406) behind the normalisation, over 2 to 40 % (the strong
                  baseline of Luo et al. 2019)

    PIL image -> (3, H, W); `pad` in pixels, 0 leaves the crop out. Raises ValueError
    for a normalisation that is not in NORMALISATIONS, and for another fill.
    """
    steps = [
        *_resized(height, width),
        v2.RandomHorizontalFlip(flip_probability),
        *([v2.RandomCrop((height, width), padding=pad)] if pad else []),
        *_normalised(normalisation),
        _eraser(erasing_probability, erasing_fill),
    ]
    return v2.Compose(steps)


def _eraser(probability: float, fill: str) -> Callable[[Tensor], Tensor]:
    check_choice("erasing_fill", fill, FILLS)
    if fill == "noise":
        return RandomErasing(probability, mode="pixel", max_count=1, device="cpu")
    mean, _ = NORMALISATIONS["imagenet"]
    return v2.RandomErasing(probability, (0.02, 0.4), (0.3, 1 / 0.3), list(mean))


def _resized(height: int, width: int) -> list[v2.Transform]:
    bicubic = v2.InterpolationMode.BICUBIC
    return [v2.Resize((height, width), interpolation=bicubic)]


def _normalised(normalisation: str) -> list[v2.Transform]:
    check_choice("normalisation", normalisation, NORMALISATIONS)
    mean, std = NORMALISATIONS[normalisation]
    to_float = v2.ToDtype(torch.float32, scale=True)
    return [v2.ToImage(), to_float, v2.Normalize(mean, std)]
