"""FBA's objective (Eq. 10): its terms against loops, and that it learns."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from toys.small_fba import BATCH, TABLE_3, captions, images, tiny
from toys.toy_training import ToyImages, ToySampler, collate

from reidlib.losses.diversity import consistency_loss, tri_div_loss
from reidlib.losses.triplet import triplet_loss
from reidlib.models.fba import objective
from reidlib.training.loop import fit
from reidlib.training.step import Step


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
    step = Step(
        model,
        objective,
        weights=weights | {"tri_div": 0.5, "consistency": 0.5},
        optimizers=[torch.optim.Adam(trained, lr=1e-3)],
        device="cpu",
        precision=precision,
        inputs=lambda batch: (batch.images, texts[batch.labels]),
    )
    history = fit(step, loader, epochs=3, seed=0)
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert history["consistency"].iloc[-1] < history["consistency"].iloc[0]
