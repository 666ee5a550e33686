import math

import pytest
import torch
from torch import nn
from toys.toy_training import (
    NUM_LABELS,
    ToyModel,
    ordered_loader,
    toy_run,
)

from reidlib.evaluation.extraction import evaluating, extract, observe
from reidlib.training.seeding import seed_everything


def test_evaluating_restores_each_mode():
    model = ToyModel()
    model.bnneck.eval()
    with pytest.raises(RuntimeError), evaluating(model):
        assert not model.trunk.training
        assert not torch.is_grad_enabled()
        raise RuntimeError
    assert model.training
    assert model.trunk.training
    assert not model.bnneck.training


def test_extract_keeps_order_and_state():
    model, _ = toy_run(epochs=1)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seed_everything(0)
    embedded = extract(model, ordered_loader(), device="cpu")
    assert [path.name for path in embedded.paths] == [f"{i:04d}.jpg" for i in range(24)]
    assert embedded.pids.tolist() == [i % NUM_LABELS for i in range(24)]
    assert embedded.camids.tolist() == [i % 2 for i in range(24)]
    assert model.training
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    seed_everything(0)
    images = torch.cat([batch.images for batch in ordered_loader()])
    with torch.no_grad():
        expected = model.eval().embed(images)
    torch.testing.assert_close(embedded.embeddings, expected)
    assert not embedded.embeddings.requires_grad


def test_extract_averages_with_the_mirror_image():
    model = nn.Sequential(nn.Flatten())
    seed_everything(0)
    averaged = extract(
        model, ordered_loader(), embed=model, device="cpu", flip_average=True
    )
    seed_everything(0)
    images = torch.cat([batch.images for batch in ordered_loader()])
    expected = ((images + images.flip(3)) / 2).flatten(1)
    torch.testing.assert_close(averaged.embeddings, expected)


def test_extract_named_tuples_by_field():
    model = ToyModel()
    embedded = extract(
        model, ordered_loader(), embed=model, device="cpu", flip_average=True
    )
    assert type(embedded.embeddings).__name__ == "ToyOutput"
    assert embedded.embeddings.logits.shape == (24, NUM_LABELS)


class FirstChannel(nn.Module):
    """As a class token is: a view of everything there is."""

    def forward(self, images):
        return images.flatten(2)[:, 0]


def test_a_view_does_not_keep_what_it_is_a_view_of(monkeypatch):
    joined, cat = [], torch.cat
    monkeypatch.setattr(torch, "cat", lambda parts: joined.extend(parts) or cat(parts))
    model, loader = FirstChannel(), ordered_loader()
    extract(model, loader, embed=model, device="cpu")
    observe(model, loader, lambda output: {"first": output}, device="cpu")
    assert len(joined) >= 2 * len(loader)
    assert all(part.untyped_storage().nbytes() == part.nbytes for part in joined)


def test_what_is_read_of_outputs_is_joined_in_order():
    model, _ = toy_run(epochs=1)
    model.train()
    read = {"double": lambda output: 2 * output.logits}
    seed_everything(0)
    found = observe(
        model,
        ordered_loader(),
        lambda output: {name: of(output).bfloat16() for name, of in read.items()},
        device="cpu",
        inputs=lambda batch: (batch.images.flip(3),),
    )
    seed_everything(0)
    images = torch.cat([batch.images for batch in ordered_loader()]).flip(3)
    assert model.training
    with evaluating(model):
        expected = (2 * model(images).logits).bfloat16().float()
    assert found.keys() == {"double"} and found["double"].dtype == torch.float32
    torch.testing.assert_close(found["double"], expected)


def test_extract_refuses():
    with pytest.raises(ValueError, match="model is .* must be a torch module"):
        extract(torch.flatten, ordered_loader(), device="cpu")
    with pytest.raises(ValueError, match="no image"):
        extract(ToyModel(), [], device="cpu")
    model = ToyModel()
    nn.init.constant_(model.trunk[1].weight, math.inf)
    with pytest.raises(FloatingPointError, match="0000.jpg is not finite"):
        extract(model, ordered_loader(), device="cpu")
