"""A trained run as an embedder of pictures.

embedder = reidlib.load("outputs/plaza/fanet/full-s0")
found = embedder.embed(["a.jpg", "b.jpg"])
embedder.distances(found, found)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from reidlib.backbones.resnet import TINY_RESNET, load_resnet
from reidlib.data.captions import CaptionIds, Captions
from reidlib.data.loaders import TestBatch
from reidlib.data.pictures import as_rgb, read_picture
from reidlib.data.transforms import Transform, test_transform
from reidlib.evaluation.extraction import extract, images_of
from reidlib.evaluation.metrics import Features, cosine_distances
from reidlib.model_files import load_model
from reidlib.models.baseline import ResNetBaseline

Picture = Path | str | Image.Image


@dataclass(frozen=True)
class Embedder:
    """A trained model with its pictures and distances, as its run was tested.

    transform   of a picture in RGB to what the model sees, (3, H, W)
    distances   of embeddings (Q, ...) and (G, ...): (Q, G), small is near
    settings    what model.json says: paper, data it saw, scores, licence, use
    """

    model: nn.Module
    transform: Transform
    distances: Callable[[Any, Any], Tensor]
    device: torch.device
    settings: Mapping[str, Any]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels that the model sees."""
        pictures = self.settings["pictures"]
        return pictures["height"], pictures["width"]

    @property
    def reads_captions(self) -> bool:
        """Whether what is compared needs two captions of every picture."""
        return self.settings["captions"]

    def embed(
        self,
        images: Sequence[Picture] | Picture | Tensor,
        captions: Sequence[tuple[str, str]] | None = None,
        *,
        batch_size: int | None = None,
    ) -> Features:
        """Embed pictures, in float32 on the device; `distances` compares the result.

        images      paths or Pillow images of any size and mode, one or several; or a
                    batch (B, 3, H, W) that `transform` made
        captions    of each image a text on the person and one on the background, for a
                    model that reads them
        batch_size  images at a time; that of the run's test if not given, with which
                    the bits are those that the run scored with
        Raises ValueError where there is no image or not as many captions as images,
        and for an image that cannot be used, which is named.
        """
        images = [images] if isinstance(images, Picture) else images
        if len(images) == 0:
            raise ValueError("there is no image to embed")
        size = batch_size or self.settings["batch_size"]
        names = [
            Path(image) if isinstance(image, Path | str) else Path(f"image {place}")
            for place, image in enumerate(images)
        ]
        found = extract(
            self.model,
            self._batches(images, names, size),
            device=self.device,
            inputs=self._inputs(names, captions),
            flip_average=self.settings["flip_average"],
        )
        return found.embeddings

    def to(self, device: torch.device | str) -> "Embedder":
        """The same on another device; the model moves there."""
        device = torch.device(device)
        fields = (self.transform, self.distances, device, self.settings)
        return Embedder(self.model.to(device), *fields)

    def _inputs(
        self, names: Sequence[Path], captions: Sequence[tuple[str, str]] | None
    ) -> Callable[[TestBatch], tuple]:
        """What the model is called with for a batch."""
        if not self.reads_captions:
            if captions is not None:
                raise ValueError(f"{self._who} reads no captions: give images alone")
            return images_of
        if captions is None:
            raise ValueError(
                f"{self._who} compares what captions say, too: give captions, for each"
                " image a text on the person and one on the background"
            )
        if len(captions) != len(names):
            raise ValueError(
                f"{len(captions)} captions for {len(names)} images: give a pair each"
            )
        known: dict[Path, Captions] = {}
        for name, pair in zip(names, captions, strict=True):
            texts = Captions(*pair)
            if known.setdefault(name, texts) != texts:
                raise ValueError(f"{name} is there twice, with different captions")
        return CaptionIds(known, self.model.text_tower.context_length)

    def _batches(
        self, images: Sequence[Picture] | Tensor, names: Sequence[Path], size: int
    ) -> Iterator[TestBatch]:
        for start in range(0, len(names), size):
            some = images[start : start + size]
            paths = tuple(names[start : start + size])
            if isinstance(some, Tensor):
                batch = self._checked(some)
            else:
                pairs = zip(some, paths, strict=True)
                batch = torch.stack([self._seen(*pair) for pair in pairs])
            nobody = torch.zeros(len(paths), dtype=torch.long)
            yield TestBatch(batch, nobody, nobody, paths)

    def _seen(self, image: Picture, path: Path) -> Tensor:
        if isinstance(image, Path | str):
            return self.transform(read_picture(path))
        if isinstance(image, Image.Image):
            return self.transform(as_rgb(image, path))
        raise ValueError(
            f"{path} is a {type(image).__name__}: give paths, Pillow images, or one"
            f" tensor {self._shape} of all"
        )

    def _checked(self, batch: Tensor) -> Tensor:
        if batch.shape[1:] != (3, *self.image_size) or not batch.is_floating_point():
            raise ValueError(
                f"a batch is {self._shape} as `transform` makes it, got"
                f" {batch.dtype} {tuple(batch.shape)}"
            )
        return batch

    @property
    def _shape(self) -> str:
        return "(B, 3, {}, {})".format(*self.image_size)

    @property
    def _who(self) -> str:
        return self.settings.get("paper", "this model")


def load(folder: Path | str, device: torch.device | str = "auto") -> Embedder:
    """The model of a finished run, as an embedder of pictures.

    folder   of the run, with model.json and model.safetensors
    device   auto (the GPU where there is one) | cpu | cuda | any that torch knows
    Raises FileNotFoundError for a folder without a model, ValueError for files that are
    damaged or were written by another version, and for a device that is not there.
    """
    device = _device(device)
    model, distances, settings = load_model(Path(folder))
    transform = test_transform(**settings["pictures"])
    return Embedder(model.to(device), transform, distances, device, settings)


def _device(name: torch.device | str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        known = "choose auto, cpu or cuda"
        raise ValueError(
            f"device is {name!r}, which torch does not know: {known}"
        ) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {name!r}, but torch sees no GPU: take auto or cpu")
    return device


def pretrained() -> Embedder:
    """The small ResNet that comes with the repository, where there is no run yet.

    It was trained on the drawn people of `avenue`, and finds drawn people only.
    """
    stages = load_resnet("tiny-resnet", pretrained="drawn")
    model = ResNetBaseline(stages, num_identities=1, test_feature="before").eval()
    pictures = {"height": 128, "width": 64, "normalisation": "imagenet"}
    settings = {
        "paper": "tiny-resnet",
        "model": model.recipe,
        "pictures": pictures,
        "flip_average": False,
        "captions": False,
        "batch_size": 64,
        "weights": {"file": TINY_RESNET.name},
        "data": {"trained_on": "avenue", "kind": "drawn"},
    }
    transform = test_transform(**pictures)
    return Embedder(model, transform, cosine_distances, torch.device("cpu"), settings)
