"""FA-Net's objective (Eq. 6) against one cross-entropy per stripe, and its terms."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from toys.small_fanet import BATCH, TABLE_I, images, tiny

from reidlib.losses.target_attention import target_attention_loss
from reidlib.models.fanet import objective


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_terms_against_one_cross_entropy_per_stripe(reduction):
    output = tiny()(images())
    terms = objective(output, BATCH, reduction=reduction)
    person = [cross_entropy(logits, BATCH.labels) for logits in output.identity_logits]
    camera = [cross_entropy(logits, BATCH.camids) for logits in output.camera_logits]
    divisor = 15 if reduction == "mean" else 1
    torch.testing.assert_close(terms["identity"], sum(person) / divisor)
    torch.testing.assert_close(terms["camera"], sum(camera) / divisor)
    attention = target_attention_loss(
        output.foreground_map, output.background_map, output.mask
    )
    torch.testing.assert_close(terms["target_attention"], attention)


def test_terms_of_absent_parts_are_absent():
    for row, names in [
        ("baseline", {"identity"}),
        ("TEM", {"identity"}),
        ("BG", {"identity", "camera"}),
        ("HPP", {"identity", "camera"}),
    ]:
        output = tiny(**TABLE_I[row])(images())
        assert objective(output, BATCH, target_attention="none").keys() == names
    terms = objective(output, BATCH, target_attention="v2")
    assert terms.keys() == {"identity", "camera", "target_attention"}


def test_terms_that_cannot_be_are_refused():
    for row in ("TEM", "baseline"):
        output = tiny(**TABLE_I[row])(images())
        with pytest.raises(ValueError, match=r"'eq4' needs .*background=True.*none"):
            objective(output, BATCH)
    output = tiny(enhancement=False, interaction=False)(images())
    with pytest.raises(ValueError, match=r"'v1' needs enhancement=True"):
        objective(output, BATCH, target_attention="v1")
    output = tiny()(images())
    with pytest.raises(ValueError, match=r"target_attention is 'v3'.*eq4.*v1.*v2"):
        objective(output, BATCH, target_attention="v3")
    with pytest.raises(ValueError, match=r"reduction is 'max'.*mean.*sum"):
        objective(output, BATCH, reduction="max")
