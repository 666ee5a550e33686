"""Samples, batches, loaders and the P×K sampler.

B images of a batch      P identities per batch      K images per identity
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from reidlib.data.image_cache import ImageCache
from reidlib.data.sampler import IdentitySampler
from reidlib.data.samples import Sample, labels_of
from reidlib.data.transforms import Transform, read_picture


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
