"""The P×K sampler: P identities with K images each, every image at most once."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys.parallel_training import of

from reidlib.data.loaders import train_loader
from reidlib.data.sampler import DealtBatches, IdentitySampler
from reidlib.data.samples import Sample
from reidlib.training.preflight import check_loader, is_dealt


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


def skewed_samples(identities: int, cameras: int, seed: int = 0) -> list[Sample]:
    """Identities of some twenty images, most of them from one or two cameras."""
    rng = np.random.default_rng(seed)
    cameras_of_each = []
    for _ in range(identities):
        seen = rng.permutation(cameras)[: rng.integers(2, cameras + 1)]
        shares = rng.dirichlet([0.7] * len(seen))
        count = 2 + int(rng.lognormal(2.9, 0.5))
        cameras_of_each.append(rng.choice(seen, count, p=shares).tolist())
    return samples_of(*cameras_of_each)


def cameras_of_groups(samples, K, spread_cameras) -> list[int]:
    """How many cameras each group of K images has."""
    batches = batches_of(samples, P=4, K=K, spread_cameras=spread_cameras)
    groups = [b[start : start + K] for b in batches for start in range(0, 4 * K, K)]
    return [len({samples[index].camid for index in group}) for group in groups]


def most_cameras(cameras: list[int], K: int) -> int:
    """The bound: no camera can be in more groups than it has images, or there are.

    What fills no group rests, at best of the most frequent camera.
    """
    groups, counts = max(1, len(cameras) // K), Counter(cameras)
    for _ in range(max(0, len(cameras) - groups * K)):
        counts[counts.most_common(1)[0][0]] -= 1
    return sum(min(count, groups) for count in counts.values())


@pytest.mark.parametrize("K", [4, 8])
def test_spread_groups_of_skewed_identities_beat_the_random_draw(K):
    samples = skewed_samples(identities=300, cameras=6)
    drawn, spread = (cameras_of_groups(samples, K, flag) for flag in (False, True))
    assert np.mean(spread) > np.mean(drawn) + 0.1
    assert np.mean(np.equal(spread, 1)) < 0.75 * np.mean(np.equal(drawn, 1))


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=40),
    st.integers(1, 8),
    st.integers(0, 9),
)
def test_spread_groups_of_an_identity_reach_the_bound(cameras, K, epoch):
    samples = samples_of(cameras)
    batches = batches_of(samples, P=1, K=K, epoch=epoch, spread_cameras=True)
    found = [len({samples[index].camid for index in batch}) for batch in batches]
    assert sum(found) == most_cameras(cameras, K)


def test_scarce_cameras_are_dealt_to_different_groups():
    samples = samples_of([0] * 13 + [1, 2, 2], [0] * 8, [1] * 8)
    batches = batches_of(samples, P=1, K=4, spread_cameras=True)
    mine = [b for b in batches if samples[b[0]].pid == 7]
    cameras = sorted(sorted(samples[index].camid for index in group) for group in mine)
    assert cameras == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 2]]


def test_too_few_identities_are_refused():
    with pytest.raises(
        ValueError, match="per_batch is 3, but the training split has 2"
    ):
        batches_of(samples_of([0, 1], [0, 1]), P=3)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_dealt_batches_are_whole_and_each_is_dealt_once(count):
    samples = samples_of(*[[0] * 9] * 12)
    for epoch in range(3):
        whole = batches_of(samples, epoch=epoch)
        dealt = []
        for number in range(count):
            own = IdentitySampler(
                samples, num_identities_per_batch=3, images_per_identity=4, seed=0
            )
            own = DealtBatches(own, number, count)
            own.set_epoch(epoch)
            dealt.append(list(own))
            assert len(own) == len(dealt[-1]) == len(whole) // count
            assert dealt[-1] == list(own), "asking twice deals the same"
        in_turn = [batch for turn in zip(*dealt, strict=True) for batch in turn]
        assert in_turn == whole[: len(in_turn)]
        assert len(whole) - len(in_turn) < count, "no more than these rest"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_loader_deals_to_the_processes_of_a_run(monkeypatch, workers):
    samples = samples_of(*[[0] * 9] * 12)
    sizes = {"num_identities_per_batch": 3, "images_per_identity": 4}
    options = {"seed": 0, "workers": workers, **sizes}
    alone = train_loader(samples, None, **options)
    assert not is_dealt(alone.batch_sampler)
    with of(1, 2, monkeypatch):
        loader = train_loader(samples, None, **options)
        assert is_dealt(loader.batch_sampler)
        assert len(loader) == len(alone) // 2
        check_loader(loader)
        with pytest.raises(ValueError, match="each of 2 processes the same batches"):
            check_loader(alone)
    check_loader(alone)
