"""The P×K sampler: P identities per batch, K images of each; batches dealt out."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from torch.utils.data import Sampler

from reidlib.data.samples import Sample


class IdentitySampler(Sampler[list[int]]):
    """P×K batches: P identities with K images each, as in the CLIP-ReID recipe.

    Every epoch, each identity's images are shuffled and cut into groups of K; a
    batch takes a group from each of P random identities, until fewer than P have
    one left. So an image occurs at most once per epoch; what does not fill a group
    or a batch rests until the next. An identity with fewer than K images repeats
    some. With `spread_cameras`, each group of an identity has as many cameras as its
    images allow (FA-Net, Sec. IV-B): what rests is of its most frequent camera.

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
            return self._spread(indices)
        return [
            indices[start : start + size]
            for start in range(0, len(indices) - size + 1, size)
        ]

    def _spread(self, indices: list[int]) -> list[list[int]]:
        """Deal images to groups in turn, those of the scarcest camera first.

        So a camera with fewer images than there are groups meets none of them twice,
        and any other meets all of them.
        """
        by_camera: dict[int, list[int]] = defaultdict(list)
        for index in indices:
            by_camera[self.samples[index].camid].append(index)
        for _ in range(len(indices) % self.images_per_identity):
            max(by_camera.values(), key=len).pop()
        scarcest_first = sorted(by_camera.values(), key=len)
        dealt = [index for images in scarcest_first for index in images]
        count = len(dealt) // self.images_per_identity
        return [dealt[start::count] for start in range(count)]


class DealtBatches(Sampler[list[int]]):
    """Whole batches of a sampler, dealt in turn to the processes of a run.

    All get as many: what is left over when each has had its turn rests until the next
    epoch. Wraps a sampler whose draw is a function of (seed, epoch) alone, so that all
    deal the same batches.

    number, count   of this process, from 0, and how many there are
    """

    def __init__(self, sampler: IdentitySampler, number: int, count: int) -> None:
        self.sampler, self.number, self.count = sampler, number, count

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches are drawn next."""
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler) // self.count

    def __iter__(self) -> Iterator[list[int]]:
        dealt = len(self) * self.count
        return islice(self.sampler, self.number, dealt, self.count)
