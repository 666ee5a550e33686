"""FLaN-Net's terms (Eq. 11-17) against loops and against pytorch-metric-learning."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ArcFaceLoss, SupConLoss
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader
from toys.small_flannet import BATCH, ROWS, TABLE_5, images, tiny
from toys.small_rganet import Patterns
from toys.toy_training import ToySampler, collate

from reidlib.losses.arcface import arcface_loss
from reidlib.losses.contrastive import contrastive_loss
from reidlib.losses.triplet import triplet_loss
from reidlib.models.flannet import objective
from reidlib.training.loop import fit
from reidlib.training.optim import parameter_groups, warmup_multistep

SEEDS = st.integers(0, 10_000)
LABELS = torch.tensor([0, 0, 1, 1, 1, 2])
WEIGHTS = {"align": 0.5, "triplet": 1.0, "identity": 1.0, "arcface": 1.0}


def pair(seed: int, width: int = 4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 6, width, generator=generator).unbind(0)


def cosine(a, b) -> float:
    a, b = a.double(), b.double()
    return float((a @ b) / (a.norm() * b.norm()))


@given(seed=SEEDS, temperature=st.sampled_from([0.07, 0.5, 1.0]))
def test_contrast_against_loops(seed, temperature):
    queries, keys = pair(seed)
    terms = []
    for i in range(6):
        powers = [math.exp(cosine(queries[i], k) / temperature) for k in keys]
        shares = [power / sum(powers) for power in powers]
        own = [math.log(shares[p]) for p in range(6) if LABELS[p] == LABELS[i]]
        terms.append(-sum(own) / len(own))
    found = contrastive_loss(queries, keys, LABELS, temperature).item()
    assert found == pytest.approx(sum(terms) / 6, rel=1e-4)


@given(seed=SEEDS)
def test_contrast_against_pytorch_metric_learning(seed):
    queries, keys = pair(seed)
    theirs = SupConLoss(temperature=0.07, distance=CosineSimilarity())
    expected = theirs(queries, LABELS, ref_emb=keys, ref_labels=LABELS.clone())
    torch.testing.assert_close(
        contrastive_loss(queries, keys, LABELS, 0.07), expected, rtol=1e-4, atol=1e-5
    )


def test_contrast_at_its_edges():
    queries, keys = pair(0)
    huge = contrastive_loss(1e6 * queries, 1e-6 * keys, LABELS, 0.07)
    torch.testing.assert_close(huge, contrastive_loss(queries, keys, LABELS, 0.07))
    same = keys[:1].expand(6, -1).clone().requires_grad_()
    contrastive_loss(same, same, LABELS, 0.07).backward()
    assert same.grad.isfinite().all()
    alone = contrastive_loss(queries[:1], keys[:1], LABELS[:1], 0.07)
    assert alone == 0, "one image has nothing else to be told from"


def test_texts_that_are_all_the_same_tell_no_identity_from_another():
    """Eq. 12 has no gradient then; that of Eq. 13 evens out cosines, whoever it is."""
    visual, text = pair(0)
    visual.requires_grad_()
    same = text[:1].expand(6, -1)
    contrastive_loss(visual, same, LABELS, 0.07).backward()
    torch.testing.assert_close(visual.grad, torch.zeros(6, 4))
    grads = []
    for labels in (LABELS, LABELS.roll(1)):
        visual.grad = None
        contrastive_loss(same, visual, labels, 0.07).backward()
        grads.append(visual.grad)
    assert grads[0].any()
    torch.testing.assert_close(*grads)


@given(seed=SEEDS, margin=st.floats(0, 1.5), scale=st.sampled_from([1.0, 30.0]))
def test_arcface_against_loops(seed, margin, scale):
    cosines = 2 * torch.rand(6, 3, generator=torch.Generator().manual_seed(seed)) - 1
    terms = []
    for row, label in zip(cosines.double().tolist(), LABELS.tolist(), strict=True):
        angle = math.acos(row[label])
        wider = math.cos(angle + margin)
        if angle > math.pi - margin:
            wider = row[label] - margin * math.sin(margin)
        powers = [math.exp(scale * c) for c in row]
        powers[label] = math.exp(scale * wider)
        terms.append(-math.log(powers[label] / sum(powers)))
    found = arcface_loss(cosines, LABELS, margin=margin, scale=scale)
    assert found.item() == pytest.approx(sum(terms) / 6, rel=1e-3, abs=1e-4)


@given(seed=SEEDS, margin=st.sampled_from([0.1, 0.5, 1.2]))
def test_arcface_against_pytorch_metric_learning(seed, margin):
    features, _ = pair(seed)
    theirs = ArcFaceLoss(3, 4, margin=math.degrees(margin), scale=30)
    cosines = normalize(features) @ normalize(theirs.W.detach(), dim=0)
    found = arcface_loss(cosines, LABELS, margin=margin, scale=30.0)
    torch.testing.assert_close(found, theirs(features, LABELS), rtol=1e-3, atol=1e-4)


def test_the_harder_the_angle_the_larger_arcface():
    """It goes on rising where the angle and the margin pass pi."""
    angles = torch.linspace(0.01, math.pi - 0.01, 60)
    losses = []
    for angle in angles:
        cosines = torch.stack([angle.cos(), torch.tensor(0.0)])[None]
        options = {"margin": 0.5, "scale": 4.0}
        losses.append(arcface_loss(cosines, torch.tensor([0]), **options))
    assert (torch.stack(losses).diff() > 0).all()


def test_arcface_at_the_ends_of_the_cosine():
    ends = torch.tensor([1.0, -1.0, 1 + 1e-6, -1 - 1e-6, 1 - 1e-7, 0.0])
    cosines = torch.stack([ends, -ends, ends / 2], 1).requires_grad_()
    loss = arcface_loss(cosines, LABELS, margin=0.5, scale=30.0)
    loss.backward()
    assert loss.isfinite() and cosines.grad.isfinite().all()
    plain = arcface_loss(cosines[-1:], LABELS[-1:], margin=0.0, scale=30.0)
    torch.testing.assert_close(plain, cross_entropy(30 * cosines[-1:], LABELS[-1:]))


@pytest.mark.parametrize("row", ROWS)
def test_terms_against_their_definition(row):
    output = tiny(**ROWS[row])(images())
    options = {"label_smoothing": 0.1, "margin": 0.2, "temperature": 0.3}
    terms = objective(output, BATCH, arcface_margin=0.4, arcface_scale=9.0, **options)
    labels = BATCH.labels
    identity = sum(cross_entropy(x, labels, label_smoothing=0.1) for x in output.logits)
    triplet = sum(triplet_loss(f, labels, margin=0.2) for f in output.features)
    arcface = arcface_loss(output.cosines, labels, margin=0.4, scale=9.0)
    torch.testing.assert_close(terms["identity"], identity)
    torch.testing.assert_close(terms["triplet"], triplet)
    torch.testing.assert_close(terms["arcface"], arcface)
    assert ("align" in terms) == (row != "none")
    if row != "none":
        i2t = contrastive_loss(output.visual, output.text, labels, 0.3)
        t2i = contrastive_loss(output.text, output.visual, labels, 0.3)
        torch.testing.assert_close(terms["align"], i2t + t2i)


def test_the_order_of_the_batch_does_not_matter():
    model, order = tiny(), torch.tensor([3, 0, 5, 1, 4, 2])
    terms = objective(model(images()), BATCH)
    shuffled = type(BATCH)(labels=BATCH.labels[order])
    for name, term in objective(model(images()[order]), shuffled).items():
        torch.testing.assert_close(term, terms[name], rtol=1e-4, atol=1e-5)


def test_the_weight_of_arcface_is_taught_by_its_term_alone():
    for name in WEIGHTS:
        model = tiny()
        objective(model(images()), BATCH)[name].backward()
        assert (model.arcface.grad is not None) == (name == "arcface"), name


@pytest.mark.parametrize("row", ROWS)
def test_every_parameter_gets_a_gradient_and_a_few_steps_learn(row):
    model = tiny(**ROWS[row])
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)
    losses = []
    for _ in range(12):
        terms = objective(model(images()), BATCH, label_smoothing=0.0)
        loss = sum(WEIGHTS[name] * term for name, term in terms.items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_has_an_optimizer_of_its_own_for_arcface(precision):
    model = tiny()
    before = model.prompts.text_tower.text_projection.clone()
    groups = parameter_groups(
        model,
        lr=1e-3,
        weight_decay=1e-4,
        lr_multipliers={"image_tower": 0.2},
        leave_out=["arcface"],
    )
    adam = torch.optim.Adam(groups)
    sgd = torch.optim.SGD([model.arcface], lr=0.1, momentum=0.9, weight_decay=5e-4)
    options = {"warmup_epochs": 0, "warmup_factor": 1.0}
    history = fit(
        model,
        DataLoader(Patterns(), batch_sampler=ToySampler(), collate_fn=collate),
        objective,
        weights=WEIGHTS,
        optimizers=[adam, sgd],
        schedulers=[
            warmup_multistep(o, **options, milestones=[1]) for o in (adam, sgd)
        ],
        epochs=2,
        seed=0,
        device="cpu",
        precision=precision,
    )
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert history["lr_2"].tolist() == pytest.approx([0.1, 0.01])
    assert torch.equal(model.prompts.text_tower.text_projection, before)


def test_a_baseline_without_text_has_no_optimizer_for_words():
    model = tiny(**TABLE_5["none"])
    names = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert names == {"image_tower", "image_neck", "joint_necks", "arcface"}
