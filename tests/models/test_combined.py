"""The combination: its parts against loops, RGANet and FA-Net, and its objective."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import small_rganet
from toys.few_steps import assert_learns
from toys.small_combined import ROWS, SIZE, images, tiny
from toys.small_rganet import BATCH

from reidlib.evaluation.metrics import cosine_distances
from reidlib.losses.triplet import triplet_loss
from reidlib.models import rganet
from reidlib.models.combined import objective, stripe_rows
from reidlib.models.fanet import StripeHead
from reidlib.training.seeding import initialise

N, S, D = 4, 15, 24


def parts_of(row: str) -> tuple[int, int]:
    """How many regions and stripes a row has."""
    given_parts = {"regions": True, "stripes": "person"} | ROWS[row]
    return N * given_parts["regions"], S * (given_parts["stripes"] != "none")


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("training", [True, False])
def test_fields_follow_the_parts_and_not_the_mode(row, training):
    model, inputs = tiny(**ROWS[row]), images()
    before = inputs.clone()
    output = model.train(training)(inputs)
    assert torch.equal(inputs, before)
    regions, stripes = parts_of(row)
    assert output.embedding.shape == (6, (1 + regions + stripes) * D)
    assert output.class_token.shape == (6, D) and output.logits.shape == (6, 3)
    for count, features, logits in [
        (regions, output.regions, output.region_logits),
        (stripes, output.stripes, output.stripe_logits),
    ]:
        if count:
            assert features.shape == (6, count, D) and logits.shape == (count, 6, 3)
        else:
            assert features is None and logits is None
    segmented = row not in ("baseline", "pyramid")
    assert (output.masks is not None) == segmented == (model.background is not None)
    if segmented:
        torch.testing.assert_close(output.masks.sum(1), torch.ones(6, 8, 2))


def test_stripes_cut_the_rows_of_patches():
    found = stripe_rows((4, 2), (1, 2, 4))
    assert found.tolist() == [
        *[[1, 1, 1, 1, 1, 1, 1, 1]],
        *[[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]],
        *[[1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0]],
        *[[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1]],
    ]
    with pytest.raises(ValueError, match="have 6 rows, not a multiple of 8 stripes"):
        stripe_rows((6, 2))


def test_whole_stripes_are_those_of_fanets_pyramid():
    model = tiny(stripes="image").eval()
    output = model(images())
    patches = model.image_tower(images()).joint[:, 1:]
    head = StripeHead(D, 3, True, stripe_width=5, pool="avg")
    head.embeddings = torch.nn.ModuleList(torch.nn.Identity() for _ in range(S))
    expected = head.stripes(patches.mT.unflatten(2, (8, 2)))  # (S, B, D)
    torch.testing.assert_close(output.stripes, expected.transpose(0, 1))


def test_parts_against_loops():
    model = tiny().eval()
    output, patches = model(images()), model.image_tower(images()).joint[:, 1:]
    stripes = [(s, k) for s in (1, 2, 4, 8) for k in range(s)]
    for b in range(6):
        for j in range(N):
            shares = output.masks[b, 1 + j].flatten()
            total = sum(shares[p] * patches[b, p] for p in range(16))
            expected = total / sum(shares[p] for p in range(16))
            torch.testing.assert_close(output.regions[b, j], expected)
        for place, (s, k) in enumerate(stripes):
            total, mass = torch.zeros(D), 0.0
            for y in range(k * 8 // s, (k + 1) * 8 // s):
                for x in range(2):
                    person = 1 - output.masks[b, 0, y, x]
                    total = total + person * patches[b, 2 * y + x]
                    mass = mass + person
            torch.testing.assert_close(
                output.stripes[b, place], total / mass, rtol=1e-4, atol=1e-5
            )
        kinds = [output.class_token[b : b + 1], output.regions[b], output.stripes[b]]
        each = [part / part.norm() / len(k) ** 0.5 for k in kinds for part in k]
        expected = torch.cat(each)
        torch.testing.assert_close(output.embedding[b], expected)


def test_the_distance_is_the_mean_over_kinds_of_the_mean_over_parts():
    model = tiny().eval()
    query, gallery = model(images(2)), model(images(3))
    found = cosine_distances(query.embedding, gallery.embedding)

    def mean(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        pairs = zip(first.unbind(1), second.unbind(1), strict=True)
        return torch.stack([cosine_distances(*pair) for pair in pairs]).mean(0)

    kinds = [
        cosine_distances(query.class_token, gallery.class_token),
        mean(query.regions, gallery.regions),
        mean(query.stripes, gallery.stripes),
    ]
    torch.testing.assert_close(found, torch.stack(kinds).mean(0))


@pytest.mark.parametrize("regions", [True, False])
def test_without_stripes_it_is_rganet_with_even_weights(regions):
    kind = {"regions": "text" if regions else "none", "class_token": True}
    theirs = small_rganet.tiny(image_size=SIZE, assessment="none", **kind)
    ours = tiny(regions=regions, stripes="none")
    ours.load_state_dict(theirs.state_dict())
    initialise(ours, 5)
    initialise(theirs, 5)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    found = objective(ours(images()), BATCH)
    expected = rganet.objective(theirs(images()), BATCH)
    assert found.keys() == expected.keys()
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term)
    ours, theirs = ours.eval(), theirs.eval()
    two = images(2), images(3)
    even = [e._replace(weights=e.weights / N**0.5) for e in map(theirs.embed, two)]
    expected = rganet.distances(*even)  # Eq. 10: all regions together weigh 1
    pairs = map(ours.embed, two)
    torch.testing.assert_close(cosine_distances(*pairs) / 2, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_terms_against_loops(smoothing):
    output = tiny()(images())
    terms = objective(output, BATCH, label_smoothing=smoothing, margin=0.2)

    def identity(logits: torch.Tensor) -> torch.Tensor:
        total = 0.0
        for scores, label in zip(logits, BATCH.labels, strict=True):
            logs = scores - scores.exp().sum().log()
            total = total - (1 - smoothing) * logs[label] - smoothing * logs.mean()
        return total / len(logits)

    def triplet(features: torch.Tensor) -> torch.Tensor:
        return triplet_loss(features, BATCH.labels, margin=0.2)

    expected = {
        "identity": identity(output.logits),
        "triplet": triplet(output.class_token),
    }
    expected |= {"region_identity": 0.0, "region_triplet": 0.0}
    expected |= {"stripe_identity": 0.0, "stripe_triplet": 0.0}
    for j in range(N):
        expected["region_identity"] += identity(output.region_logits[j])
        expected["region_triplet"] += triplet(output.regions[:, j])
    for j in range(S):
        expected["stripe_identity"] += identity(output.stripe_logits[j]) / S
        expected["stripe_triplet"] += triplet(output.stripes[:, j]) / S
    assert terms.keys() == expected.keys()
    for name, term in expected.items():
        torch.testing.assert_close(terms[name], term, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", ROWS)
def test_every_parameter_gets_a_gradient_and_a_few_steps_learn(row):
    def loss_of(output):
        return sum(objective(output, BATCH, label_smoothing=0.0).values())

    assert_learns(tiny(**ROWS[row]), images, loss_of)


def test_the_person_is_learned_from_the_stripes_alone():
    model = tiny(regions=False)
    terms = objective(model(images()), BATCH)
    assert terms.keys() == {
        *("identity", "triplet", "stripe_identity", "stripe_triplet")
    }
    terms["stripe_identity"].backward()
    assert model.background.grad.any() and not model.prototypes.requires_grad


@given(seed=st.integers(0, 10_000))
def test_the_slope_of_a_stripe_under_the_person_is_that_of_a_loop(seed):
    model = tiny()
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(1, 16, D, generator=generator).double()
    raw = torch.randn(1, 5, 16, generator=generator).double().requires_grad_()
    model.rows = model.rows.double()
    _, stripes = model.pool(patches, raw.softmax(1).unflatten(2, (8, 2)))
    stripes[0, 9].sum().backward()  # the third of the finest: row 2
    found, raw.grad = raw.grad.clone(), None
    person = 1 - raw.softmax(1)[0, 0]
    mean = sum(person[p] * patches[0, p] for p in (4, 5)) / (person[4] + person[5])
    mean.sum().backward()
    torch.testing.assert_close(found, raw.grad)


@pytest.mark.parametrize("far", [-1.0, 1.0])
def test_nobody_anywhere_and_nothing_but_a_person_are_finite(far):
    model = tiny(gamma=1e4)
    patch = model.image_tower(images()).joint[0, 1:].mean(0).detach()
    model.background.data = far * patch
    output = model(images())
    loss = sum(objective(output, BATCH).values())
    loss.backward()
    assert output.embedding.isfinite().all() and loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("row", ROWS)
def test_an_embedding_knows_only_its_image(row):
    model = tiny(**ROWS[row]).eval()
    together = model.embed(images())
    for i in range(6):
        torch.testing.assert_close(model.embed(images()[i : i + 1])[0], together[i])


def test_half_precision_leaves_parts_whole():
    model = tiny(gamma=100.0).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(images())
    for part in (output.masks, output.regions, output.stripes, output.embedding):
        assert part.dtype == torch.float32 and part.isfinite().all()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"stripes is 'all'.*none.*image.*person"):
        tiny(stripes="all")
    with pytest.raises(ValueError, match="have 5 rows, not a multiple of 8"):
        tiny(image_size=(80, 32))
    assert tiny(image_size=(80, 32), stripes="none").grid == (5, 2)
