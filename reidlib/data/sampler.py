"""The P×K sampler: P identities per batch, K images of each."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from torch.utils.data import Sampler

from reidlib.data.samples import Sample


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
