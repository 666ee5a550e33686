"""Samples, batches, loaders and the P×K sampler.

B images of a batch      P identities per batch      K images per identity
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from reidlib.image_cache import ImageCache
from reidlib.transforms import Transform, read_picture


class Sample(NamedTuple):
    """One image: its path, identity (0 distractor, -1 junk) and camera from 0."""

    path: Path
    pid: int
    camid: int


class Benchmark(NamedTuple):
    """A data set: images to train on, to search with and to search in."""

    name: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]


class Batch(NamedTuple):
    """What a loader yields.

    images (B, 3, H, W) normalised floats; labels (B,) class index in training and
    pid in testing; camids (B,); paths of the B files, for side information.
    """

    images: Tensor
    labels: Tensor
    camids: Tensor
    paths: tuple[Path, ...]

    def to(self, device: torch.device | str) -> Self:
        """The same batch with its tensors on `device`."""
        images, labels, camids = (
            tensor.to(device, non_blocking=True) for tensor in self[:3]
        )
        return self._replace(images=images, labels=labels, camids=camids)


class Captions(NamedTuple):
    """Two texts of an image: about the person and about the background."""

    person: str
    background: str


def labels_of(samples: Iterable[Sample]) -> dict[int, int]:
    """Class index of each pid: 0, 1, ... in the order of the sorted pids."""
    pids = sorted({sample.pid for sample in samples})
    return {pid: label for label, pid in enumerate(pids)}


def read_captions(root: Path) -> dict[Path, Captions]:
    """Captions by image path, from `captions.jsonl` below a benchmark's root.

    Raises FileNotFoundError for a benchmark without captions, ValueError for a line
    that cannot be read.
    """
    path, found = root / "captions.jsonl", {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                texts = Captions(str(row["person"]), str(row["background"]))
                found[root / row["image"]] = texts
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number}: no image, person and background in JSON"
                    f" ({error}): delete the line and have it made again"
                ) from None
    return found


def read_mask(image_path: Path) -> Tensor:
    """Part mask (H, W) of an image, from `masks/` below its benchmark's root.

    Integers, for drawn pedestrians the labels of Part. Raises FileNotFoundError for an
    image without a mask.
    """
    return read_labels(mask_path(image_path))


def read_labels(path: Path) -> Tensor:
    """A mask (H, W) by its own path, as integers."""
    with Image.open(path) as mask:
        return torch.from_numpy(np.array(mask)).long()


def mask_path(image_path: Path) -> Path:
    """Where the part mask of an image lies.

    >>> mask_path(Path("plaza/query/0001_c1s1_000000_00.jpg")).as_posix()
    'plaza/masks/query/0001_c1s1_000000_00.png'
    """
    split = image_path.parent
    return split.parent / "masks" / split.name / f"{image_path.stem}.png"


class ImageDataset(Dataset):
    """Decoded and transformed images.

    `labels` gives the class of each pid; without it, pids are the labels. With `cache`
    images are decoded once and for all, to the same bits.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Transform,
        labels: dict[int, int] | None = None,
        cache: ImageCache | None = None,
    ) -> None:
        self.samples, self.transform, self.labels = samples, transform, labels
        paths = [sample.path for sample in samples]
        self.pictures = cache.pictures(paths, transform) if cache else None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int, Path]:
        path, pid, camid = self.samples[index]
        kept = self.pictures
        picture = read_picture(path) if kept is None else kept[index]
        label = pid if self.labels is None else self.labels[pid]
        return self.transform(picture), label, camid, path


def collate(items: list[tuple[Tensor, int, int, Path]]) -> Batch:
    """Stack dataset items into a Batch."""
    images, labels, camids, paths = zip(*items, strict=True)
    return Batch(
        torch.stack(images), torch.tensor(labels), torch.tensor(camids), tuple(paths)
    )


class IdentitySampler(Sampler[list[int]]):
    """P×K batches: P identities with K images each, as in the CLIP-ReID recipe.

    Every epoch, each identity's images are shuffled and cut into groups of K; a
    batch takes a group from each of P random identities, until fewer than P have
    one left. So an image occurs at most once per epoch; what does not fill a group
    or a batch rests until the next. An identity with fewer than K images repeats
    some. With `spread_cameras`, groups are cut from a list that goes from camera
    to camera in turn (FA-Net, Sec. IV-B): each takes its images from as many cameras as
    are left, and where one camera has most images the last groups are its alone.

    The draw is a function of (seed, epoch) alone. Raises ValueError when there are
    fewer than P identities.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        num_identities_per_batch: int,
        images_per_identity: int,
        seed: int,
        spread_cameras: bool = False,
    ) -> None:
        self.samples, self.seed, self.epoch = samples, seed, 0
        self.num_identities_per_batch = num_identities_per_batch
        self.images_per_identity = images_per_identity
        self.spread_cameras = spread_cameras
        self.indices_of: dict[int, list[int]] = defaultdict(list)
        for index, sample in enumerate(samples):
            self.indices_of[sample.pid].append(index)
        if not samples:
            raise ValueError(
                "the training split is empty: this benchmark is for testing only; train"
                " on another and name this one in also_on"
            )
        if len(self.indices_of) < num_identities_per_batch:
            raise ValueError(
                f"num_identities_per_batch is {num_identities_per_batch}, but the"
                f" training split has {len(self.indices_of)} identities: lower it"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches are drawn next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches())

    def _batches(self) -> list[list[int]]:
        rng = random.Random(f"{self.seed}/{self.epoch}")
        groups = {pid: self._groups(pid, rng) for pid in sorted(self.indices_of)}
        batches = []
        while len(groups) >= self.num_identities_per_batch:
            chosen = rng.sample(list(groups), self.num_identities_per_batch)
            batches.append([index for pid in chosen for index in groups[pid].pop()])
            groups = {pid: left for pid, left in groups.items() if left}
        return batches

    def _groups(self, pid: int, rng: random.Random) -> list[list[int]]:
        indices, size = list(self.indices_of[pid]), self.images_per_identity
        rng.shuffle(indices)
        if len(indices) < size:
            indices += rng.choices(indices, k=size - len(indices))
        if self.spread_cameras:
            indices = self._camera_by_camera(indices)
        return [
            indices[start : start + size]
            for start in range(0, len(indices) - size + 1, size)
        ]

    def _camera_by_camera(self, indices: list[int]) -> list[int]:
        """Reorder in turns: one image of each camera, then another of each, ..."""
        by_camera: dict[int, list[int]] = defaultdict(list)
        for index in indices:
            by_camera[self.samples[index].camid].append(index)
        rounds = zip_longest(*by_camera.values())
        return [index for turn in rounds for index in turn if index is not None]


def train_loader(
    samples: Sequence[Sample],
    transform: Transform,
    *,
    num_identities_per_batch: int,
    images_per_identity: int,
    seed: int,
    workers: int = 0,
    spread_cameras: bool = False,
    cache: ImageCache | None = None,
) -> DataLoader:
    """Loader of P×K batches with class labels, drawn by an IdentitySampler.

    `loader.batch_sampler.set_epoch(epoch)` chooses the draw; `workers` are processes;
    `cache` keeps decoded images.
    """
    sampler = IdentitySampler(
        samples,
        num_identities_per_batch=num_identities_per_batch,
        images_per_identity=images_per_identity,
        seed=seed,
        spread_cameras=spread_cameras,
    )
    return DataLoader(
        ImageDataset(samples, transform, labels_of(samples), cache),
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )


def test_loader(
    samples: Sequence[Sample],
    transform: Transform,
    *,
    batch_size: int,
    workers: int = 0,
    cache: ImageCache | None = None,
) -> DataLoader:
    """Loader of all samples in order, with pids for labels."""
    return DataLoader(
        ImageDataset(samples, transform, cache=cache),
        batch_size=batch_size,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )
