"""The centre loss: its value, and where its centres move."""

from types import SimpleNamespace

import torch

from reidlib.losses.centre import RATE, Centres

LABELS = torch.tensor([2, 0, 2, 2])


def embeddings() -> torch.Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(0))


def moved(centres: Centres, features: torch.Tensor) -> Centres:
    output = SimpleNamespace(triplet_embedding=features)
    centres.update(output, SimpleNamespace(labels=LABELS))
    return centres


def test_the_loss_and_the_update_against_loops():
    centres, features = Centres(3, 5), embeddings()
    centres.centres.normal_(generator=torch.Generator().manual_seed(1))
    before = centres.centres.clone()
    pairs = list(zip(features, LABELS, strict=True))
    expected = sum(((f - before[y]) ** 2).sum() / 2 for f, y in pairs) / 4
    torch.testing.assert_close(centres.loss(features, LABELS), expected)
    wanted = before.clone()
    for j in range(3):
        own = [f for f, y in pairs if y == j]
        pull = sum((before[j] - f for f in own), torch.zeros(5)) / (1 + len(own))
        wanted[j] -= RATE * pull
    torch.testing.assert_close(moved(centres, features).centres, wanted)
    assert torch.equal(centres.centres[1], before[1]), "nobody of it was in the batch"


def test_centres_end_at_the_mean_of_their_images_and_are_kept_with_a_model():
    centres, features = Centres(3, 5), embeddings()
    for _ in range(200):
        moved(centres, features)
    torch.testing.assert_close(centres.centres[2], features[LABELS == 2].mean(0))
    torch.testing.assert_close(centres.centres[0], features[1])
    again = Centres(3, 5)
    again.load_state_dict(centres.state_dict())
    assert torch.equal(again.centres, centres.centres)


def test_gradients_draw_features_to_their_centres_alone():
    centres, features = Centres(3, 5), embeddings().requires_grad_()
    centres.loss(features, LABELS).backward()
    torch.testing.assert_close(features.grad, features.detach() / 4)
    assert not list(centres.parameters()), "no optimiser moves them"
