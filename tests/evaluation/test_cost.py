"""What a model costs: the parameters that count, and times that add up."""

import pytest
import torch
from torch import nn
from toys.small_fanet import images as fanet_images
from toys.small_fanet import tiny as tiny_fanet
from toys.small_rganet import tiny as tiny_rganet

from reidlib.evaluation import cost as cost_module
from reidlib.evaluation.cost import measure, parameters_used
from reidlib.evaluation.metrics import cosine_distances
from reidlib.models import rganet


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(6, 2), nn.Linear(2, 50)
        self.used.bias.requires_grad_(False)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        return self.used(images.flatten(1))


@pytest.mark.parametrize("images", [0, 3, 6])
def test_images_that_are_no_whole_batches_are_refused(images):
    options = {"images": images, "gallery": 5, "batch_size": 4, "device": "cpu"}
    with pytest.raises(ValueError, match=f"{images} images are not whole batches of 4"):
        measure(Toy(), cosine_distances, (2, 1), **options)


def test_only_what_the_embedding_depends_on_is_counted():
    model = Toy().train()
    assert parameters_used(model, torch.rand(2, 3, 2, 1)) == 14
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]
    assert model.training and all(p.grad is None for p in model.parameters())


def test_fanets_background_branch_costs_nothing_at_test_time():
    model = tiny_fanet()
    parts = [model.trunk, model.foreground_branch, model.enhancement]
    parts += [model.foreground_head.embeddings]
    expected = sum(p.numel() for part in parts for p in part.parameters())
    assert parameters_used(model, fanet_images()[:2]) == expected


@pytest.mark.parametrize(
    ("model", "distances", "size"),
    [
        (Toy(), cosine_distances, (2, 1)),
        (tiny_rganet(), rganet.distances, (80, 32)),
        (tiny_rganet(regions="none"), rganet.distances, (80, 32)),
    ],
)
def test_images_per_second_are_those_of_embedding_and_comparing(model, distances, size):
    options = {"images": 8, "gallery": 50, "batch_size": 4, "device": "cpu"}
    cost = measure(model, distances, size, **options, rounds=1)
    seconds = cost.embedding_seconds.median + cost.distance_seconds.median
    assert cost.images_per_second.median == pytest.approx(8 / seconds)
    assert all(len(set(spread)) == 1 for spread in cost[:3]), "one round has no spread"
    assert 0 < cost.parameters_used < cost.parameters


def test_rounds_are_told_by_their_median_and_quartiles(monkeypatch):
    ticks = [0.0]
    embedding, comparing = [4.0, 1.0, 2.0, 9.0, 3.0], [1.0, 1.0, 2.0, 1.0, 1.0]
    took = iter([s for pair in zip(embedding, comparing, strict=True) for s in pair])

    def clock() -> float:  # read before and after each piece of work
        ticks.append(ticks[-1] if len(ticks) % 2 else ticks[-1] + next(took))
        return ticks[-1]

    monkeypatch.setattr(cost_module.time, "perf_counter", clock)
    options = {"images": 8, "gallery": 50, "batch_size": 4, "device": "cpu"}
    found = measure(Toy(), cosine_distances, (2, 1), **options, rounds=5)
    assert found.embedding_seconds == pytest.approx((2, 3, 4))
    assert found.distance_seconds == pytest.approx((1, 1, 1))
    assert found.images_per_second == pytest.approx((8 / 5, 8 / 4, 8 / 4))
    assert str(found.embedding_seconds) == "3 (2 to 4)"


def test_no_round_is_refused():
    options = {"images": 8, "gallery": 50, "batch_size": 4, "device": "cpu"}
    with pytest.raises(ValueError, match="rounds is 0, but must be at least 1"):
        measure(Toy(), cosine_distances, (2, 1), **options, rounds=0)
