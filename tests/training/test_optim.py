import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.scheduler import CosineLRScheduler
from torch import nn
from torch.optim import SGD, Adam, Rprop
from torch.optim.lr_scheduler import CosineAnnealingLR

from reidlib.training.optim import (
    fuse,
    parameter_groups,
    parameter_table,
    warmup_cosine,
    warmup_multistep,
)


def optimizer_of(*rates):
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in rates]
    return SGD(groups, lr=1.0)


def rates_of(optimizer, schedule, epochs, group=0):
    """The rate that each epoch trains with."""
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[group]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_fanet_schedule_by_hand():
    optimizer = optimizer_of(0.6, 0.06)
    schedule = warmup_multistep(
        optimizer, warmup_epochs=10, warmup_factor=0.1, milestones=[40, 80]
    )
    rising = [0.06, 0.114, 0.168, 0.222, 0.276, 0.33, 0.384, 0.438, 0.492, 0.546]
    expected = rising + [0.6] * 30 + [0.06] * 40 + [0.006] * 20
    rates = rates_of(optimizer, schedule, 100)
    assert rates == pytest.approx(expected, rel=1e-12)
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.0006, rel=1e-12)


def test_multistep_without_warmup():
    optimizer = optimizer_of(1.0)
    schedule = warmup_multistep(
        optimizer, warmup_epochs=0, warmup_factor=1.0, milestones=[1, 3], gamma=0.5
    )
    assert rates_of(optimizer, schedule, 5) == [1.0, 0.5, 0.5, 0.25, 0.25]


@settings(max_examples=40, deadline=None)
@given(
    warmup=st.integers(0, 8),
    factor=st.floats(0.01, 1.0),
    milestones=st.sets(st.integers(1, 20), max_size=3),
    gamma=st.floats(0.1, 0.9),
)
def test_multistep_is_the_product_of_ramp_and_steps(warmup, factor, milestones, gamma):
    optimizer = optimizer_of(0.3)
    schedule = warmup_multistep(
        optimizer,
        warmup_epochs=warmup,
        warmup_factor=factor,
        milestones=sorted(milestones),
        gamma=gamma,
    )
    expected = []
    for epoch in range(24):
        ramp = factor + (1 - factor) * epoch / warmup if epoch < warmup else 1.0
        steps = sum(epoch >= milestone for milestone in milestones)
        expected.append(0.3 * ramp * gamma**steps)
    assert rates_of(optimizer, schedule, 24) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "kind", [Adam, lambda groups: SGD(groups, lr=0.1, momentum=0.9)]
)
def test_fused_optimisers_take_the_same_steps(kind):
    ends = []
    for device in ("cpu", "cuda"):  # parameters stay on the CPU, which can fuse, too
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
        groups = parameter_groups(
            model, lr=0.1, weight_decay=0.01, lr_multipliers={"0": 0.5}
        )
        optimizer = kind(groups)
        fuse([optimizer], torch.device(device))
        assert {g["fused"] for g in optimizer.param_groups} == {
            True if device == "cuda" else None
        }
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).pow(2).mean().backward()
            optimizer.step()
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-6)


def test_what_cannot_fuse_or_was_told_not_to_stays():
    weights = [nn.Parameter(torch.zeros(1))]
    others = [Rprop(weights), SGD(weights, lr=1.0, fused=False)]
    fuse(others, torch.device("cuda"))
    assert "fused" not in others[0].param_groups[0]
    assert others[1].param_groups[0]["fused"] is False


FBA = {"warmup_epochs": 10, "warmup_factor": 0.001, "epochs": 60, "final_factor": 0.01}


def test_fba_cosine_by_hand():
    optimizer = optimizer_of(8e-5, 8e-6)
    schedule = warmup_cosine(optimizer, **FBA)
    rates = rates_of(optimizer, schedule, 60)
    assert rates[:3] == pytest.approx([8e-8, 8.072e-6, 1.6064e-5], rel=1e-12)
    assert rates[10] == 8e-5
    assert rates[35] == pytest.approx(8e-5 * 0.505, rel=1e-12)  # half of the cosine
    assert rates[59] == pytest.approx(
        8e-5 * (0.01 + 0.99 * (1 - math.cos(math.pi / 50)) / 2), rel=1e-9
    )
    # Where the cosine ends, each group is at its own hundredth.
    ends = [group["lr"] for group in optimizer.param_groups]
    assert ends == pytest.approx([8e-7, 8e-8], rel=1e-9)


def test_cosine_equals_the_library_after_the_warmup():
    optimizer, other = optimizer_of(0.2), optimizer_of(0.2)
    rates = rates_of(optimizer, warmup_cosine(optimizer, **FBA), 60)
    library = CosineAnnealingLR(other, T_max=50, eta_min=0.002)
    assert rates[10:] == pytest.approx(rates_of(other, library, 50), rel=1e-9)


def test_cosine_in_cycle_equals_timm_and_drops():
    optimizer, other = optimizer_of(0.2), optimizer_of(0.2)
    schedule = warmup_cosine(optimizer, **FBA, warmup_in_cycle=True)
    rates = rates_of(optimizer, schedule, 60)
    timm = CosineLRScheduler(
        other, t_initial=60, lr_min=0.002, warmup_t=10, warmup_lr_init=0.0002
    )
    expected = []
    for epoch in range(60):
        expected.append(other.param_groups[0]["lr"])
        timm.step(epoch + 1)
    assert rates == pytest.approx(expected, rel=1e-9)
    assert rates[10] / 0.2 == pytest.approx(0.934, abs=5e-4)


def test_run_shorter_than_its_warmup():
    optimizer = optimizer_of(1.0)
    schedule = warmup_cosine(
        optimizer, warmup_epochs=4, warmup_factor=0.2, epochs=2, final_factor=0.0
    )
    assert rates_of(optimizer, schedule, 2) == pytest.approx([0.2, 0.4])


@pytest.mark.parametrize(
    ("schedule", "changes", "named"),
    [
        (warmup_multistep, {"warmup_epochs": -1}, "warmup_epochs is -1"),
        (warmup_multistep, {"warmup_factor": 0.0}, "warmup_factor is 0.0"),
        (warmup_multistep, {"milestones": [5, 3]}, r"milestones are \[5, 3\]"),
        (warmup_multistep, {"milestones": [0, 3]}, r"milestones are \[0, 3\]"),
        (warmup_cosine, {"epochs": 0}, "epochs is 0"),
        (warmup_cosine, {"final_factor": 2.0}, "final_factor is 2.0"),
    ],
)
def test_schedules_refuse(schedule, changes, named):
    arguments = {"warmup_epochs": 1, "warmup_factor": 0.1}
    if schedule is warmup_multistep:
        arguments |= {"milestones": [2]}
    else:
        arguments |= {"epochs": 4, "final_factor": 0.1}
    with pytest.raises(ValueError, match=named):
        schedule(optimizer_of(1.0), **{**arguments, **changes})


def nested_model():
    return nn.ModuleDict(
        {
            "trunk": nn.ModuleDict({"a": nn.Linear(2, 2), "ab": nn.Linear(2, 2)}),
            "trunk2": nn.Linear(2, 2),
            "head": nn.Linear(2, 3),
        }
    )


def rates_by_name(model, groups):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: group["lr"] for group in groups for p in group["params"]}


def test_longest_prefix_wins_and_ends_at_a_dot():
    model = nested_model()
    groups = parameter_groups(
        model,
        lr=1.0,
        weight_decay=0.1,
        lr_multipliers={"trunk": 0.1, "trunk.a": 0.5, "head.bias": 3.0},
        bias_lr_multiplier=2.0,
    )
    assert rates_by_name(model, groups) == {
        "trunk.a.weight": 0.5,
        "trunk.a.bias": 1.0,
        "trunk.ab.weight": 0.1,
        "trunk.ab.bias": 0.2,
        "trunk2.weight": 1.0,
        "trunk2.bias": 2.0,
        "head.weight": 1.0,
        "head.bias": 6.0,
    }
    assert {group["weight_decay"] for group in groups} == {0.1}
    assert groups[0]["name"] == "rest"


def test_attention_bias_is_a_bias():
    attention = nn.MultiheadAttention(4, 2)
    groups = parameter_groups(
        attention, lr=1.0, weight_decay=0.0, bias_lr_multiplier=2.0
    )
    rates = rates_by_name(attention, groups)
    assert rates["in_proj_bias"] == rates["out_proj.bias"] == 2.0
    assert rates["in_proj_weight"] == 1.0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_trainable_parameter_is_in_exactly_one_group(data):
    model = nested_model()
    names = [name for name, _ in model.named_parameters()]
    for parameter in model.parameters():
        parameter.requires_grad_(data.draw(st.booleans()))
    model.head.weight.requires_grad_(True)
    prefixes = ["trunk", "trunk.a", "trunk.ab", "trunk2", "head", *names]
    chosen = data.draw(st.dictionaries(st.sampled_from(prefixes), st.floats(0.1, 9.0)))
    left_out = data.draw(st.sets(st.sampled_from(["trunk", "trunk.ab", "trunk2"])))
    groups = parameter_groups(
        model,
        lr=1.0,
        weight_decay=0.0,
        lr_multipliers=chosen,
        bias_lr_multiplier=data.draw(st.sampled_from([1.0, 2.0])),
        leave_out=left_out,
    )
    grouped = [id(p) for group in groups for p in group["params"]]
    expected = [
        id(parameter)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        and not any(f"{name}.".startswith(f"{prefix}.") for prefix in left_out)
    ]
    assert sorted(grouped) == sorted(expected)


def test_unknown_prefix_is_named():
    with pytest.raises(ValueError, match="'trnk'.*head, trunk, trunk2"):
        parameter_groups(
            nested_model(), lr=1.0, weight_decay=0.0, lr_multipliers={"trnk": 0.1}
        )
    with pytest.raises(ValueError, match="'hea'"):
        parameter_groups(nested_model(), lr=1.0, weight_decay=0.0, leave_out=["hea"])


def test_nothing_to_train_and_factor_zero():
    with pytest.raises(ValueError, match="no trainable parameter"):
        parameter_groups(nested_model().requires_grad_(False), lr=1.0, weight_decay=0.0)
    with pytest.raises(ValueError, match="'trunk' is 0.0.*requires_grad_"):
        parameter_groups(
            nested_model(), lr=1.0, weight_decay=0.0, lr_multipliers={"trunk": 0.0}
        )


def test_parameter_table():
    model = nested_model()
    model.trunk.a.requires_grad_(False)
    model.scale = nn.Parameter(torch.ones(5))
    table = parameter_table(model)
    assert table.loc["trunk"].to_dict() == {"trainable": 6, "frozen": 6}
    assert table.loc["scale"].to_dict() == {"trainable": 5, "frozen": 0}
    total = sum(parameter.numel() for parameter in model.parameters())
    assert table.loc["total"].sum() == total
    assert (table.drop("total").sum() == table.loc["total"]).all()
