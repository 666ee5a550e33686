"""FLaN-Net's objective (Eq. 17): its terms by definition, and that it learns."""

import pytest
import torch
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from toys.few_steps import assert_learns
from toys.small_flannet import BATCH, ROWS, TABLE_5, images, tiny
from toys.small_rganet import Patterns
from toys.toy_training import ToySampler, collate

from reidlib.losses.arcface import arcface_loss
from reidlib.losses.contrastive import contrastive_loss
from reidlib.losses.triplet import triplet_loss
from reidlib.models.flannet import objective
from reidlib.training.loop import fit
from reidlib.training.optim import parameter_groups, warmup_multistep
from reidlib.training.step import Step

SEEDS = st.integers(0, 10_000)
WEIGHTS = {"align": 0.5, "triplet": 1.0, "identity": 1.0, "arcface": 1.0}


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
    def loss_of(output):
        terms = objective(output, BATCH, label_smoothing=0.0)
        return sum(WEIGHTS[name] * term for name, term in terms.items())

    assert_learns(tiny(**ROWS[row]), images, loss_of, lr=1e-3)


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
    step = Step(
        model,
        objective,
        weights=WEIGHTS,
        optimizers=[adam, sgd],
        device="cpu",
        precision=precision,
    )
    history = fit(
        step,
        DataLoader(Patterns(), batch_sampler=ToySampler(), collate_fn=collate),
        schedulers=[
            warmup_multistep(o, **options, milestones=[1]) for o in (adam, sgd)
        ],
        epochs=2,
        seed=0,
    )
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert history["lr_2"].tolist() == pytest.approx([0.1, 0.01])
    assert torch.equal(model.prompts.text_tower.text_projection, before)


def test_a_baseline_without_text_has_no_optimizer_for_words():
    model = tiny(**TABLE_5["none"])
    names = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert names == {"image_tower", "image_neck", "joint_necks", "arcface"}
