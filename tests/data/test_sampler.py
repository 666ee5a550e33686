"""The P×K sampler: P identities with K images each, every image at most once."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reidlib.data.sampler import IdentitySampler
from reidlib.data.samples import Sample


def samples_of(*cameras_of_each: list[int]) -> list[Sample]:
    """One identity (7, 14, ...) for each list, one image for each camera in it."""
    return [
        Sample(Path(f"{7 * who}_{number}.jpg"), 7 * who, camid)
        for who, cameras in enumerate(cameras_of_each, 1)
        for number, camid in enumerate(cameras)
    ]


def batches_of(samples, P=3, K=4, seed=0, epoch=0, spread_cameras=False):
    sampler = IdentitySampler(
        samples,
        num_identities_per_batch=P,
        images_per_identity=K,
        seed=seed,
        spread_cameras=spread_cameras,
    )
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(sampler) == len(batches)
    assert batches == list(sampler), "asking twice draws the same"
    return batches


@st.composite
def training_sets(draw):
    cameras = st.lists(st.integers(0, 4), min_size=1, max_size=23)
    return samples_of(*draw(st.lists(cameras, min_size=3, max_size=12)))


@given(training_sets(), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_a_batch_holds_p_identities_with_k_images_each(samples, P, K, epoch):
    for spread in (False, True):
        for batch in batches_of(samples, P, K, epoch=epoch, spread_cameras=spread):
            pids = [samples[index].pid for index in batch]
            assert list(Counter(pids).values()) == [K] * P
            assert pids == [pid for pid in pids[::K] for _ in range(K)], "in groups"


@given(training_sets(), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_an_image_is_used_once_in_an_epoch(samples, P, K, epoch):
    count = Counter(sample.pid for sample in samples)
    for spread in (False, True):
        batches = batches_of(samples, P, K, epoch=epoch, spread_cameras=spread)
        used = Counter(index for batch in batches for index in batch)
        for index, times in used.items():
            assert times == 1 or count[samples[index].pid] < K
        for pid in count:
            if count[pid] < K and any(samples[index].pid == pid for index in used):
                assert sum(samples[i].pid == pid for i in used) == count[pid], "all"


@given(training_sets(), st.integers(1, 3), st.integers(1, 5))
def test_an_epoch_ends_when_fewer_than_p_identities_have_a_group_left(samples, P, K):
    left = Counter(sample.pid for sample in samples)
    groups = {pid: max(1, count // K) for pid, count in left.items()}
    for batch in batches_of(samples, P, K):
        for pid in {samples[index].pid for index in batch}:
            groups[pid] -= 1
    assert min(groups.values()) >= 0
    assert sum(count > 0 for count in groups.values()) < P


def test_every_image_is_used_where_the_numbers_fit():
    samples = samples_of(*[[0, 1, 2, 3] * 2] * 6)
    batches = batches_of(samples, P=6, K=4)
    assert sorted(index for batch in batches for index in batch) == list(range(48))


def test_what_rests_in_one_epoch_is_used_in_others():
    samples = samples_of(*[[0] * 7] * 5)
    used = {
        index
        for epoch in range(12)
        for batch in batches_of(samples, epoch=epoch)
        for index in batch
    }
    assert used == set(range(35))


def test_the_draw_is_a_function_of_seed_and_epoch():
    samples = samples_of(*[[0, 1, 2] * 4] * 8)
    draws = {
        (s, e): batches_of(samples, seed=s, epoch=e) for s in (0, 1) for e in (0, 1)
    }
    assert len({str(batches) for batches in draws.values()}) == 4
    torch.manual_seed(5)
    np.random.seed(5)
    assert batches_of(samples, seed=1, epoch=1) == draws[1, 1]


@given(st.integers(2, 6), st.integers(1, 8), st.integers(1, 4), st.integers(0, 9))
def test_groups_spread_over_the_cameras(num_cameras, K, per_camera, epoch):
    samples = samples_of(*[list(range(num_cameras)) * per_camera] * 3)
    for batch in batches_of(samples, K=K, epoch=epoch, spread_cameras=True):
        for start in range(0, 3 * K, K):
            cameras = {samples[index].camid for index in batch[start : start + K]}
            assert len(cameras) == min(K, num_cameras)


def test_without_spread_a_group_is_any_of_the_images():
    samples = samples_of(*[[0] * 20 + [1] * 4] * 3)
    batches = batches_of(samples, K=4)
    cameras = [
        {samples[i].camid for i in b[s : s + 4]} for b in batches for s in (0, 4)
    ]
    assert {frozenset(group) for group in cameras} == {
        frozenset({0}),
        frozenset({0, 1}),
    }


def test_cameras_in_turn_even_when_their_numbers_differ():
    samples = samples_of([0] * 6 + [1, 2], [0] * 8, [1] * 8)
    batch = batches_of(samples, P=3, K=4, spread_cameras=True)
    groups = [b[s : s + 4] for b in batch for s in (0, 4, 8)]
    mine = [{samples[i].camid for i in g} for g in groups if samples[g[0]].pid == 7]
    assert {0, 1, 2} in mine and {0} in mine


def test_too_few_identities_are_refused():
    with pytest.raises(
        ValueError, match="per_batch is 3, but the training split has 2"
    ):
        batches_of(samples_of([0, 1], [0, 1]), P=3)
