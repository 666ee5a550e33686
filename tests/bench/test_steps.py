"""What measures training steps, tried on steps of four small images."""

import json

import pandas as pd
import pytest
import torch

from bench import counting, measuring, steps
from bench.papers import BUILDERS, parameters_of


@pytest.mark.parametrize("paper", BUILDERS)
def test_a_step_of_each_paper_stands_beside_its_floor(paper):
    record, rest = steps.step_beside_floor(paper, "tiny", images=4, rounds=1)
    assert record.what == f"{paper}, tiny size, a step on 4x3x128x64" == rest.step
    assert record.floor == "all layers forward and backward" and record.most == 1.25
    assert min(record.wall, record.floor_wall, *rest[1:]) > 0


@pytest.mark.parametrize("paper", BUILDERS)
def test_the_floor_reaches_all_that_a_step_trains_but_arcface(paper):
    step, batch = steps.made(paper, "tiny", images=4)
    step(batch, "a step")
    trained = {n for n, p in step.parameters.items() if p.grad is not None}
    steps.floor_of(step, batch)()
    reached = {n for n, p in step.parameters.items() if p.grad is not None}
    assert trained - reached <= {"arcface"}  # a weight of a loss, not a layer
    assert reached <= trained


def test_the_floor_trains_nothing():
    step, batch = steps.made("flannet", "tiny", images=4)
    before = {name: value.clone() for name, value in step.parameters.items()}
    steps.floor_of(step, batch)()
    steps.rest_of(step, batch, "")
    moved = [n for n, p in step.parameters.items() if not torch.equal(p, before[n])]
    assert moved, "optimisers are timed with the gradients that are there"
    step, _ = steps.made("flannet", "tiny", images=4)
    floor = steps.floor_of(step, batch)
    before = {name: value.clone() for name, value in step.parameters.items()}
    for _ in range(2):
        floor()
    assert all(torch.equal(p, before[name]) for name, p in step.parameters.items())


def test_a_batch_has_the_papers_size_unless_it_is_made_smaller():
    _, batch = steps.made("fanet", "tiny", images=None)
    settings = parameters_of("fanet", "tiny")
    people, each = settings["num_identities_per_batch"], settings["images_per_identity"]
    assert len(batch.images) == people * each and steps.each_of(batch) == each
    for images, each in ((16, 4), (4, 2)):
        _, batch = steps.made("fanet", "tiny", images=images)
        assert len(batch.images) == images and steps.each_of(batch) == each


@pytest.mark.parametrize("paper", BUILDERS)
def test_costs_of_each_paper_are_those_of_its_study(paper):
    found = steps.costs(paper, rounds=1)
    settings = parameters_of(paper, "study")
    assert (settings["image_height"], settings["image_width"]) == (64, 32)
    people, each = settings["num_identities_per_batch"], settings["images_per_identity"]
    assert found.images == people * each
    assert 0 < found.parameters_used < found.parameters, "heads are not used in a test"
    assert found.step > 0 < found.embedded


def test_full_size_settings_are_the_papers_own():
    sizes = {paper: parameters_of(paper) for paper in BUILDERS}
    assert {s["image_height"] for s in sizes.values()} == {256, 384}
    assert all(s["precision"] == "bf16" and not s["compile"] for s in sizes.values())


def test_without_an_accelerator_its_columns_are_empty(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert steps.on_card("fanet") == steps.OnCard("fanet", 128)
    assert set(steps.on_card("fba")[2:]) == {None}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("paper", BUILDERS)
def test_no_step_waits_for_the_device(paper):
    options = {"images": 8, "precision": "bf16", "device": "cuda"}
    step, batch = steps.made(paper, "tiny", **options)
    step(batch, "a step that warms up")
    torch.cuda.set_sync_debug_mode("error")
    try:
        step.take(batch, "a step")
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_peaks_go_by_the_cards_name():
    assert steps.peak_of("NVIDIA H100 80GB HBM3") == 989e12
    assert steps.peak_of("NVIDIA H100 PCIe") == 756e12
    assert steps.peak_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert steps.peak_of("a card of tomorrow") is None


def test_cards_are_read_from_their_records(tmp_path):
    assert measuring.cards(tmp_path).empty
    here, there = steps.OnCard("fanet", 128), steps.OnCard("fba", 64, 626.0, 0.2, 900)
    for name, card in (("a", "none"), ("b", "NVIDIA H200")):
        rows = [row._asdict() for row in (here, there)[: 1 + (card != "none")]]
        record = {"hardware": {"accelerator": card}, "accelerator": rows}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    table = measuring.cards(tmp_path)
    assert table.index.tolist() == [("NVIDIA H200", "fba")]
    assert table.columns.tolist() == [*steps.OnCard._fields[1:]]
    (row,) = table.to_dict("records")
    assert (row["images"], row["per_second"], row["memory_mib"]) == (64, 626.0, 900)
    assert pd.isna(row["compiled_per_second"])


def test_the_committed_cards_have_every_paper():
    table = measuring.cards()
    for card in table.index.unique("card"):
        assert steps.peak_of(card), "its peak is known"
        rows = table.loc[card]
        assert set(rows.index) == set(BUILDERS)
        assert (rows["per_second"] > 0).all() and rows["peak_share"].between(0, 1).all()


def test_a_step_is_counted_without_running_it():
    found = counting.count("tiny")
    assert found.scale == "tiny" and 0 < found.text_share < 0.5
    assert 0 < found.bf16_mib < found.fp32_mib, "half precision keeps less"
    settings = parameters_of("fba", "tiny")
    model = BUILDERS["fba"](settings).model
    ids = counting.captions(model, 3, 7)
    assert ids.shape == (3, 2, 7) and set(ids.flatten().tolist()) <= set(
        model.text_tower.known_tokens().tolist()
    )
