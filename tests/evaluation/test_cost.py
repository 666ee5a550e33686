"""What a model costs: the parameters that count, and times that add up."""

import pytest
import torch
from torch import nn
from toys.small_fanet import images as fanet_images
from toys.small_fanet import tiny as tiny_fanet
from toys.small_rganet import tiny as tiny_rganet

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
    seconds = cost.embedding_seconds + cost.distance_seconds
    assert cost.images_per_second == pytest.approx(8 / seconds)
    assert 0 < cost.parameters_used < cost.parameters
