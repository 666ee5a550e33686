"""From samples to batches: what is decoded, transformed and stacked.

B images of a batch      P identities per batch      K images per identity
"""

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from reidlib import processes
from reidlib.data.image_cache import ImageCache
from reidlib.data.pictures import read_picture
from reidlib.data.sampler import DealtBatches, IdentitySampler
from reidlib.data.samples import Sample, labels_of
from reidlib.data.transforms import Transform
from reidlib.data.workers import end_with_the_parent


class Batch(NamedTuple):
    """Images to learn from."""

    images: Tensor  # (B, 3, H, W) normalised floats
    labels: Tensor  # (B,) class index from 0 among the training identities
    camids: Tensor  # (B,)
    paths: tuple[Path, ...]  # of the B files, for side information

    def to(self, device: torch.device | str) -> Self:
        """The same batch with its tensors on `device`."""
        return _moved(self, device)


class TestBatch(NamedTuple):
    """Images to search with or among: their identities are no classes of a model."""

    images: Tensor  # (B, 3, H, W) normalised floats
    pids: Tensor  # (B,) as the benchmark numbers people
    camids: Tensor  # (B,)
    paths: tuple[Path, ...]  # of the B files, for side information

    def to(self, device: torch.device | str) -> Self:
        """The same batch with its tensors on `device`."""
        return _moved(self, device)


AnyBatch = TypeVar("AnyBatch", Batch, TestBatch)


def _moved(batch: AnyBatch, device: torch.device | str) -> AnyBatch:
    tensors = (tensor.to(device, non_blocking=True) for tensor in batch[:3])
    return type(batch)(*tensors, batch.paths)


class ImageDataset(Dataset):
    """Decoded and transformed images, each with who it shows, its camid and path.

    labels   class index by pid, which then stands in the pid's place
    cache    keeps decoded images: to the same bits, but only once
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
        who = pid if self.labels is None else self.labels[pid]
        return self.transform(picture), who, camid, path


class SeededBatches(Sampler[tuple[int, list[int]]]):
    """A sampler's batches, each with the seed that the workers of its epoch have."""

    def __init__(self, sampler: IdentitySampler | DealtBatches) -> None:
        self.sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches are drawn next."""
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        seed = int(
            torch.empty((), dtype=torch.int64).random_()
        )  # as DataLoader draws it
        for batch in self.sampler:
            yield seed, batch


class SeededInWorkers(Dataset):
    """A dataset for workers that stay over epochs, asked for SeededBatches.

    A worker that gets another epoch's seed begins its draws anew, as one that starts
    with that epoch would: so a run that was resumed sees the same augmentations. The
    transforms draw from Python's generator and from torch's.
    """

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset, self.samples, self.seed = dataset, dataset.samples, None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(
        self, asked: tuple[int, list[int]]
    ) -> list[tuple[Tensor, int, int, Path]]:
        seed, indices = asked
        if seed != self.seed:
            self.seed, own = seed, seed + get_worker_info().id
            random.seed(own)
            torch.manual_seed(own)
        return [self.dataset[index] for index in indices]


def collate(
    items: list[tuple[Tensor, int, int, Path]], kind: type[AnyBatch]
) -> AnyBatch:
    """Stack the items of an ImageDataset into a batch of that kind."""
    images, who, camids, paths = zip(*items, strict=True)
    return kind(
        torch.stack(images), torch.tensor(who), torch.tensor(camids), tuple(paths)
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
    """Loader of P×K batches (Batch), drawn by an IdentitySampler.

    `loader.batch_sampler.set_epoch(epoch)` chooses the draw; `workers` are processes,
    which stay from one epoch to the next; `cache` keeps decoded images. Where several
    processes make the run, the loader has those batches that are dealt to this one.
    """
    sampler = IdentitySampler(
        samples,
        num_identities_per_batch=num_identities_per_batch,
        images_per_identity=images_per_identity,
        seed=seed,
        spread_cameras=spread_cameras,
    )
    if processes.count() > 1:
        sampler = DealtBatches(sampler, processes.number(), processes.count())
    dataset = ImageDataset(samples, transform, labels_of(samples), cache)
    stay = workers > 0
    return DataLoader(
        SeededInWorkers(dataset) if stay else dataset,
        batch_sampler=SeededBatches(sampler) if stay else sampler,
        collate_fn=partial(collate, kind=Batch),
        num_workers=workers,
        worker_init_fn=end_with_the_parent,
        persistent_workers=stay,
        generator=torch.Generator() if stay else None,  # the batches bring the seed
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
    """Loader of all samples in order (TestBatch)."""
    return DataLoader(
        ImageDataset(samples, transform, cache=cache),
        batch_size=batch_size,
        collate_fn=partial(collate, kind=TestBatch),
        num_workers=workers,
        worker_init_fn=end_with_the_parent,
        pin_memory=torch.cuda.is_available(),
    )
