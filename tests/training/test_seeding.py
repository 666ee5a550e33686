"""Weights drawn module by module: by seed and name alone, and never what was loaded."""

import pytest
import torch
from torch import nn
from toys import small_combined, small_fanet, small_fba, small_flannet, small_rganet

from reidlib.training.seeding import initialise


class Pair(nn.Module):
    LOADED = ("tower",)

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        for name in names:
            self.add_module(name, nn.Linear(3, 4))


def test_a_module_starts_by_seed_and_name_whatever_else_there_is():
    alone, among = (initialise(Pair(*n), 5) for n in (("b",), ("a", "b", "c")))
    assert torch.equal(alone.b.weight, among.b.weight)
    assert torch.equal(alone.b.bias, among.b.bias)
    assert not torch.equal(among.a.weight, among.b.weight)
    assert not torch.equal(initialise(Pair("b"), 6).b.weight, alone.b.weight)


def test_what_was_loaded_stays_and_no_other_draw_is_moved():
    model = Pair("a")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert initialise(model, 0) is model
    assert torch.equal(torch.rand(2), expected)
    after = model.state_dict()
    changed = {n for n, value in before.items() if not torch.equal(value, after[n])}
    assert changed == {"a.weight", "a.bias"}


def test_a_module_that_cannot_be_drawn_is_named():
    model = Pair()
    model.strange = nn.ParameterList([torch.zeros(2)])
    with pytest.raises(TypeError, match="strange .ParameterList. has parameters"):
        initialise(model, 0)


@pytest.mark.parametrize(
    "toy", [small_fanet, small_rganet, small_flannet, small_fba, small_combined]
)
def test_models_start_as_spread_as_they_were_built(toy):
    built, drawn = toy.tiny().state_dict(), initialise(toy.tiny(), 1).state_dict()
    moved = 0
    for name, value in drawn.items():
        before = built[name]
        if torch.equal(value, before):  # loaded, or a constant
            continue
        assert value.numel() == 1 or len(before.unique()) > 1, name
        if value.numel() > 30:
            assert value.std().item() == pytest.approx(before.std().item(), rel=0.4)
            moved += 1
    assert moved
