"""The script that weighs FLaN-Net's training step against its towers, tried small."""

import runpy
import sys

import pytest
import torch

from reidrun.runs.environment import ROOT


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(ROOT / "bench"))  # as python bench/bench_flannet.py has it
    yield runpy.run_path(str(ROOT / "bench" / "bench_flannet.py"))
    sys.path.remove(str(ROOT / "bench"))


@pytest.fixture(scope="module")
def work(bench):
    settings = bench["parameters_of"]("flannet", "smoke", "tiny")
    settings |= {"num_identities_per_batch": 2, "images_per_identity": 2}
    model = bench["build_flannet"](settings).model
    return model, bench["batch_of"](settings, torch.device("cpu"))


def test_step_floor_and_optimisers_are_measured_and_nothing_is_learned(bench, work):
    model, batch = work
    before = {name: value.clone() for name, value in model.named_parameters()}
    taken = bench["measure"](model, batch, half=False)
    assert set(taken) == {"floor", "step", "optimisers"}
    assert all(seconds > 0 for seconds in taken.values())
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]), name


def test_the_floor_is_both_towers_with_a_gradient_to_the_words_and_nothing_else(
    bench, work
):
    model, batch = work
    length, width = model.prompts.ids.shape[1], model.prompts.text_tower.width
    words = torch.randn(len(batch.images), length, width, requires_grad=True)
    bench["floor"](model, batch.images, words, half=False)
    assert words.grad.abs().sum() > 0
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert reached and all(name.startswith("image_tower") for name in reached)


def test_a_full_size_step_is_the_papers(bench):
    settings = bench["parameters_of"]("flannet")
    assert (settings["image_height"], settings["image_width"]) == (256, 128)
    per_batch = settings["num_identities_per_batch"] * settings["images_per_identity"]
    assert per_batch == bench["IMAGES"]
