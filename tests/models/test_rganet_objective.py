"""RGANet's objective (Eq. 7-8) and its distance (Eq. 9-10) against loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader
from toys.few_steps import assert_learns
from toys.small_rganet import BATCH, TABLE_V, Patterns, embeddings, images, tiny
from toys.toy_training import ToySampler, collate

from reidlib.evaluation.metrics import cosine_distances, evaluate
from reidlib.losses.triplet import triplet_loss
from reidlib.models.rganet import Embedding, distances, objective
from reidlib.training.loop import fit
from reidlib.training.step import Step

SEEDS = st.integers(0, 10_000)


class Sizes(TorchDispatchMode):
    """Records how large the largest tensor is that is made."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
        return result


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft_margin", [True, False])
def test_terms_against_loops(smoothing, soft_margin):
    output = tiny()(images())
    options = {"margin": 0.2, "soft_margin": soft_margin}
    terms = objective(output, BATCH, label_smoothing=smoothing, **options)
    embedding, identity, triplet = output.embedding, 0.0, 0.0
    for j in range(4):
        for b in range(6):
            logits, label = output.region_logits[j][b], BATCH.labels[b]
            loss = cross_entropy(logits, label, label_smoothing=smoothing)
            identity = identity + embedding.weights[b, j] * loss / 6
        triplet = triplet + triplet_loss(
            embedding.regions[:, j], BATCH.labels, **options
        )
    torch.testing.assert_close(terms["region_identity"], identity)
    torch.testing.assert_close(terms["region_triplet"], triplet)
    plain = cross_entropy(output.logits, BATCH.labels, label_smoothing=smoothing)
    torch.testing.assert_close(terms["identity"], plain)
    plain = triplet_loss(embedding.global_feature, BATCH.labels, **options)
    torch.testing.assert_close(terms["triplet"], plain)


def test_terms_of_absent_parts_are_absent():
    for row, parts in TABLE_V.items():
        names = {"identity", "triplet"}
        if row != "baseline":
            names |= {"region_identity", "region_triplet"}
        assert objective(tiny(**parts)(images()), BATCH).keys() == names


def test_without_assessment_the_regions_are_summed():
    output = tiny(assessment="none")(images())
    losses = [cross_entropy(logits, BATCH.labels) for logits in output.region_logits]
    terms = objective(output, BATCH, label_smoothing=0.0)
    torch.testing.assert_close(terms["region_identity"], sum(losses))


def test_the_order_of_the_batch_does_not_matter():
    model, order = tiny(), torch.tensor([3, 0, 5, 1, 4, 2])
    terms = objective(model(images()), BATCH)
    shuffled = type(BATCH)(labels=BATCH.labels[order])
    for name, term in objective(model(images()[order]), shuffled).items():
        torch.testing.assert_close(term, terms[name], rtol=1e-4, atol=1e-5)


def test_confidence_is_taught_by_the_region_identity_alone():
    for name, reached in [
        ("region_identity", True),
        ("region_triplet", False),
        ("identity", False),
        ("triplet", False),
    ]:
        model = tiny()
        objective(model(images()), BATCH)[name].backward()
        gradient = model.discrimination.weight.grad
        assert (gradient is not None and bool(gradient.any())) == reached, name


@pytest.mark.parametrize("row", TABLE_V)
def test_every_parameter_gets_a_gradient_and_a_few_steps_learn(row):
    model = tiny(**TABLE_V[row])

    def loss_of(output):
        return sum(objective(output, BATCH, label_smoothing=0.0).values())

    def after_step(output):
        if model.memory is not None:
            model.memory.update(output)

    assert_learns(model, images, loss_of, after_step=after_step)


def test_training_updates_the_memory_after_every_step():
    model = tiny(threshold=0.0)
    before = model.memory.centers.clone()
    weights = dict.fromkeys(
        ("identity", "triplet", "region_identity", "region_triplet"), 1.0
    )
    loader = DataLoader(Patterns(), batch_sampler=ToySampler(), collate_fn=collate)
    trained = [p for p in model.parameters() if p.requires_grad]
    step = Step(
        model,
        objective,
        weights=weights,
        optimizers=[torch.optim.Adam(trained, lr=1e-3)],
        device="cpu",
        precision="bf16",
        after_step=model.memory.update,
    )
    history = fit(step, loader, epochs=2, seed=0)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert not torch.equal(model.memory.centers, before)
    torch.testing.assert_close(model.memory.pass_rates, torch.ones(4))


def slow_distance(query: Embedding, gallery: Embedding) -> torch.Tensor:
    """Eq. 9-10 for one query and one gallery image."""

    def distance(a, b):
        return 1 - (a @ b) / (a.norm() * b.norm())

    numerator = distance(query.global_feature, gallery.global_feature)
    denominator = 1.0
    for j in range(len(query.weights)):
        weight = query.weights[j] * gallery.weights[j]
        numerator = numerator + weight * distance(query.regions[j], gallery.regions[j])
        denominator = denominator + weight
    return numerator / denominator


@given(seed=SEEDS, regions=st.integers(0, 5))
def test_distances_against_loops(seed, regions):
    query, gallery = embeddings(seed, 3, regions), embeddings(seed + 1, 4, regions)
    found = distances(query, gallery)
    assert found.shape == (3, 4)
    for q in range(3):
        for g in range(4):
            one = Embedding(*(part[q].double() for part in query))
            other = Embedding(*(part[g].double() for part in gallery))
            expected = slow_distance(one, other).float()
            torch.testing.assert_close(found[q, g], expected, rtol=1e-5, atol=1e-6)


@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_distances_are_symmetric_bounded_and_blind_to_length(seed, scale):
    query, gallery = embeddings(seed, 3), embeddings(seed + 1, 4)
    found = distances(query, gallery)
    torch.testing.assert_close(distances(gallery, query).T, found)
    assert (found >= 0).all() and (found <= 2 + 1e-5).all()
    longer = gallery._replace(
        global_feature=scale * gallery.global_feature, regions=scale * gallery.regions
    )
    torch.testing.assert_close(distances(query, longer), found)
    itself = distances(query, query).diagonal()
    torch.testing.assert_close(itself, torch.zeros(3), rtol=0, atol=1e-6)


def test_without_confidence_the_global_distance_remains():
    query, gallery = embeddings(0, 3), embeddings(1, 4)
    plain = cosine_distances(query.global_feature, gallery.global_feature) / 2
    for left_out in (query.weights * 0, query.weights[:, :0]):
        regions = query.regions[:, : left_out.shape[1]]
        weightless = query._replace(weights=left_out, regions=regions)
        others = gallery._replace(
            weights=gallery.weights[:, : left_out.shape[1]],
            regions=gallery.regions[:, : left_out.shape[1]],
        )
        torch.testing.assert_close(distances(weightless, others), plain)


def test_with_full_confidence_it_is_the_mean_of_all_distances():
    query, gallery = embeddings(0, 3), embeddings(1, 4)
    query = query._replace(weights=torch.ones(3, 4))
    gallery = gallery._replace(weights=torch.ones(4, 4))
    each = [
        cosine_distances(query.regions[:, j], gallery.regions[:, j]) / 2
        for j in range(4)
    ]
    each.append(cosine_distances(query.global_feature, gallery.global_feature) / 2)
    expected = torch.stack(each).mean(0)
    torch.testing.assert_close(distances(query, gallery), expected)


def test_no_tensor_of_queries_by_gallery_by_regions():
    query, gallery = embeddings(0, 40), embeddings(1, 50)
    with Sizes() as sizes:
        distances(query, gallery)
    assert sizes.largest == 40 * 50


def test_half_precision_and_autocast_are_measured_in_float32():
    query, gallery = embeddings(0, 3), embeddings(1, 4)
    halves = Embedding(*(part.bfloat16() for part in query))
    expected = distances(Embedding(*(part.float() for part in halves)), gallery)
    with torch.autocast("cpu", torch.bfloat16):
        found = distances(halves, gallery)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_an_image_finds_itself_in_evaluate():
    model = tiny().eval()
    with torch.no_grad():
        embedded = model.embed(images())
    scores = evaluate(
        embedded,
        embedded,
        query_pids=torch.arange(6),
        gallery_pids=torch.arange(6),
        query_camids=torch.zeros(6, dtype=torch.long),
        gallery_camids=torch.ones(6, dtype=torch.long),
        distances=distances,
        chunk_size=4,
    )
    assert scores.mean_ap == 1.0
