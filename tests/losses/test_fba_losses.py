"""FBA's terms (Eq. 4-10) against loops, a library and by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch.nn.functional import cosine_similarity, cross_entropy, normalize
from torch.utils.data import DataLoader
from toys.small_fba import BATCH, TABLE_3, captions, images, tiny
from toys.toy_training import ToyImages, ToySampler, collate

from reidlib.losses.diversity import consistency_loss, tri_div_loss
from reidlib.losses.triplet import triplet_loss
from reidlib.models.fba import objective
from reidlib.training.loop import fit

SEEDS = st.integers(0, 10_000)


def features(seed: int, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """F_f and F_b (count, 2, 5), image first, of several lengths."""
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, count, 2, 5, generator=generator)
    return tuple(both * torch.tensor([1.0, 7.0])[:, None])


def slow_tri_div(foreground, background, margin) -> float:
    """Eq. 6 and 9 tuple by tuple, Eq. 5 pair by pair."""
    total = 0.0
    for i in range(len(foreground)):
        f_v, f_t = normalize(foreground[i].double(), dim=-1)
        b_v, b_t = normalize(background[i].double(), dim=-1)
        tuples = [
            (f_t, f_v, b_t, b_v),
            (b_t, b_v, f_t, f_v),
            (f_v, f_t, b_t, b_v),
            (b_v, b_t, f_t, f_v),
        ]
        for a, b, c, d in tuples:
            for negative in (c, d):
                near = float(((a - b) ** 2).sum())
                far = float(((a - negative) ** 2).sum())
                total += max(near - far + margin, 0.0)
    return total / len(foreground)


@given(seed=SEEDS, margin=st.floats(0, 2))
def test_tri_div_against_loops(seed, margin):
    found = tri_div_loss(*features(seed), margin)
    expected = slow_tri_div(*features(seed), margin)
    assert found.item() == pytest.approx(expected, abs=1e-4)


@given(seed=SEEDS)
def test_tri_div_is_a_librarys_triplet_loss_on_eight_triplets(seed):
    foreground, background = features(seed, count=1)
    four = torch.cat([foreground[0], background[0]])
    own, other = {0: 1, 1: 0, 2: 3, 3: 2}, {0: (2, 3), 1: (2, 3), 2: (0, 1), 3: (0, 1)}
    triplets = [(a, own[a], c) for a in range(4) for c in other[a]]
    indices = tuple(torch.tensor(index) for index in zip(*triplets, strict=True))
    library = TripletMarginLoss(
        margin=0.3,
        distance=LpDistance(normalize_embeddings=True, power=2),
        reducer=MeanReducer(),
    )
    expected = 8 * library(four, torch.arange(4), indices)
    found = tri_div_loss(foreground, background)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_tri_div_by_hand():
    """Features at angles: 0 and 60 degrees in front, 90 and 180 behind."""
    angles = torch.tensor([0.0, 60.0, 90.0, 180.0]).deg2rad()
    points = torch.stack([angles.cos(), angles.sin()], 1)
    # chords squared: f 1, b 2; across 2, 4 and 2 - sqrt(3), 3
    across = [2.0, 4.0, 2 - 3**0.5, 3.0]
    expected = sum(max(near - far + 0.3, 0) for near in (1, 2) for far in across)
    found = tri_div_loss(points[None, :2], points[None, 2:])
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_regions_that_are_apart_cost_nothing_and_equal_ones_the_margin():
    ours = torch.tensor([[[1.0, 0.0], [2.0, 0.0]]])
    theirs = torch.tensor([[[0.0, 1.0], [0.0, 3.0]]])
    assert tri_div_loss(ours, theirs).item() == 0
    assert tri_div_loss(ours, ours).item() == pytest.approx(8 * 0.3)


@given(seed=SEEDS)
def test_losses_do_not_know_which_region_or_modality_is_which(seed):
    foreground, background = features(seed)
    for loss in (tri_div_loss, consistency_loss):
        expected = loss(foreground, background)
        torch.testing.assert_close(loss(background, foreground), expected)
        swapped = foreground.flip(1), background.flip(1)
        torch.testing.assert_close(loss(*swapped), expected)
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(loss(foreground[order], background[order]), expected)


@given(seed=SEEDS)
def test_consistency_against_loops(seed):
    foreground, background = features(seed)
    total = 0.0
    for f, b in zip(foreground, background, strict=True):
        total += 1 - float(cosine_similarity(f[1], f[0], dim=0))
        total += 1 - float(cosine_similarity(b[1], b[0], dim=0))
    found = consistency_loss(foreground, background).item()
    assert found == pytest.approx(total / len(foreground), abs=1e-5)
    assert 0 <= found <= 4 + 1e-6
    assert consistency_loss(
        foreground[:, :1].expand(-1, 2, -1), background[:, 1:].expand(-1, 2, -1)
    ).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e20])
def test_gradients_stay_finite(scale):
    regions = [(scale * part).requires_grad_() for part in features(0)]
    loss = tri_div_loss(*regions) + consistency_loss(*regions)
    loss.backward()
    assert loss.isfinite()
    assert all(part.grad.isfinite().all() for part in regions)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_terms_against_loops(smoothing):
    output = tiny()(images(), captions())
    terms = objective(output, BATCH, label_smoothing=smoothing, margin=0.2)
    identity, triplet = 0.0, 0.0
    for j in range(2):
        logits = output.crossed_logits[j]
        for b, label in enumerate(BATCH.labels):
            loss = cross_entropy(logits[b], label, label_smoothing=smoothing)
            identity = identity + loss / 6
        feature = output.embedding.crossed[:, j]
        triplet = triplet + triplet_loss(feature, BATCH.labels, margin=0.2)
    torch.testing.assert_close(terms["crossed_identity"], identity)
    torch.testing.assert_close(terms["crossed_triplet"], triplet)
    plain = cross_entropy(output.logits, BATCH.labels, label_smoothing=smoothing)
    torch.testing.assert_close(terms["identity"], plain)
    plain = triplet_loss(output.embedding.visual, BATCH.labels, margin=0.2)
    torch.testing.assert_close(terms["triplet"], plain)
    regions = output.embedding.crossed, output.background
    torch.testing.assert_close(terms["tri_div"], tri_div_loss(*regions, 0.2))
    torch.testing.assert_close(terms["consistency"], consistency_loss(*regions))


def test_rows_of_table_3_have_their_terms():
    crossed = {"identity", "triplet", "crossed_identity", "crossed_triplet"}
    expected = {
        "baseline": {"identity", "triplet"},
        "crossed": crossed,
        "diversity": crossed | {"tri_div", "consistency"},
        "full": crossed | {"tri_div", "consistency"},
    }
    for row, parts in TABLE_3.items():
        diversity = "tri_div" in expected[row]
        output = tiny(**parts)(images(), captions())
        assert objective(output, BATCH, diversity=diversity).keys() == expected[row]


def test_the_background_bears_on_no_identity_loss():
    output = tiny(mask="none")(images(), captions())
    terms = objective(output, BATCH)
    names = ("identity", "triplet", "crossed_identity", "crossed_triplet")
    wanted = torch.autograd.grad(
        sum(terms[n] for n in names), output.background, allow_unused=True
    )
    assert wanted == (None,)


@pytest.mark.parametrize("row", ["baseline", "crossed"])
def test_diversity_without_a_background_is_refused(row):
    output = tiny(**TABLE_3[row])(images(), captions())
    with pytest.raises(ValueError, match="build the model with cross_modal and"):
        objective(output, BATCH)


class Patterns(ToyImages):
    """The toy's patterns, each cell as large as a patch."""

    def __getitem__(self, index):
        image, *rest = super().__getitem__(index)
        return image.repeat_interleave(20, 1).repeat_interleave(16, 2), *rest


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_learns(precision):
    model, texts = tiny(), captions(3)
    loader = DataLoader(Patterns(), batch_sampler=ToySampler(), collate_fn=collate)
    weights = {"identity": 1, "triplet": 1, "crossed_identity": 1, "crossed_triplet": 1}
    trained = [p for p in model.parameters() if p.requires_grad]
    history = fit(
        model,
        loader,
        objective,
        weights=weights | {"tri_div": 0.5, "consistency": 0.5},
        optimizers=[torch.optim.Adam(trained, lr=1e-3)],
        epochs=3,
        seed=0,
        device="cpu",
        precision=precision,
        inputs=lambda batch: (batch.images, texts[batch.labels]),
    )
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert history["consistency"].iloc[-1] < history["consistency"].iloc[0]
