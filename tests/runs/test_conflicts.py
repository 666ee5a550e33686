"""Settings that mean nothing together, before anything is loaded."""

from pathlib import Path

import pytest

from reidlib import backbones
from reidlib.models.layers import SCALES
from reidrun.runs import conflicts
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError
from reidrun.runs.plans import make_plan


def plan(paper: str, **overrides):
    where = {"benchmark": "smoke", "seed": 0, "data_root": Path("data")}
    return make_plan(ROOT, paper, outputs=Path("no"), overrides=overrides, **where)


@pytest.mark.parametrize(
    ("paper", "overrides", "words"),
    [
        ("baseline", {"images_per_identity": 1}, "images_per_identity is 1: the trip"),
        ("rganet", {"num_identities_per_batch": 1}, "num_identities_per_batch is 1: "),
        (
            "fanet",
            {"images_per_identity": 1, "num_identities_per_batch": 1},
            "a batch of one image trains no norm",
        ),
        (
            "baseline",
            {"identity_weight": 0.0, "triplet_weight": 0.0},
            "identity_weight, triplet_weight, centre_weight are 0: there is nothing",
        ),
        ("flannet", {"attention_heads": 7}, "does not divide 64, the joint width of t"),
        ("fba", {"heads": 7}, "heads is 7, which does not divide 128, the image width"),
        ("fba", {"heads": 5, "backbone": "openai", "stride": 16}, "not divide 768"),
        (
            "flannet",
            {"image_height": 131},
            "image height 131 does not fit patches",
        ),
        ("rganet", {"image_width": 4}, "image width 4 does not fit patches of 8"),
        ("fba", {"stride": 9}, "stride 9 does not fit patches of 8 pixels"),
        ("fanet", {"image_height": 120}, "8 stripes want a multiple of 64"),
        ("combined", {"image_height": 96}, "96, 12 rows of patches: 8 stripes want a"),
        ("fanet", {"backbone": "resnet50"}, "pretrained drawn is for backbone tiny-re"),
        ("fanet", {"background": False}, "interaction needs enhancement and backgroun"),
        (
            "fanet",
            {"background": False, "interaction": False},
            "target_attention needs enhancement and background: set it to none",
        ),
        ("fba", {"cross_modal": False}, "diversity needs cross_modal: set it to false"),
        ("rganet", {"prompt": "a photo"}, "'a photo' has no place for a name: add [C"),
        (
            "rganet",
            {"prompt": "a [CLASS]", "prompt_path": "kept.safetensors"},
            "prompt_path is of learned prompts, and prompt is 'a [CLASS]'",
        ),
        ("flannet", {"prompt": ""}, "cross_attention needs a prompt"),
        (
            "flannet",
            {"fusion": "concat", "fusion_of": "logit"},
            "fusion_of logit has",
        ),
    ],
)
def test_what_cannot_be_together_is_refused(paper, overrides, words):
    with pytest.raises(ParameterError) as caught:
        plan(paper, **overrides)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("paper", "overrides"),
    [
        ("baseline", {"images_per_identity": 1, "triplet_weight": 0.0}),
        ("fanet", {"images_per_identity": 1}),
        ("fanet", {"identity_weight": 0.0}),
        ("fba", {"heads": 7, "cross_modal": False, "diversity": False}),
        (
            "fanet",
            {"background": False, "interaction": False, "target_attention": "none"},
        ),
        ("rganet", {"prompt": "a [CLASS]"}),
        ("rganet", {"prompt_path": "kept.safetensors"}),
        ("fba", {"heads": 7, "backbone": "a/file.pt"}),
        ("flannet", {"attention_heads": 7, "literal": True}),
        ("fanet", {"image_height": 120, "pyramid": False}),
        ("flannet", {"prompt": "", "cross_attention": False}),
        ("combined", {"image_height": 96, "stripes": "none"}),
    ],
)
def test_what_has_a_sense_is_taken(paper, overrides):
    assert plan(paper, **overrides).parameters.items() >= overrides.items()


@pytest.mark.parametrize("name", ["tiny", "random"])
def test_the_sizes_of_a_named_clip_are_those_of_what_is_loaded(name):
    tower = conflicts.TOWERS[name]
    clip = backbones.load_clip(name, image_size=(128, 64), stride=tower.patch)
    image, text = clip.image, clip.text
    assert image.visual.patch_size == (tower.patch, tower.patch)
    assert (image.width, text.width) == (tower.image, tower.text)
    assert image.joint_width == text.joint_width == tower.joint


@pytest.mark.parametrize("name", sorted(conflicts.ROWS))
def test_a_row_of_the_map_is_so_many_pixels(name):
    import torch

    stages = backbones.load_resnet(name, pretrained="")
    with torch.no_grad():
        found = stages.branch(stages.trunk(torch.zeros(1, 3, 128, 64)))
    assert 128 // found.shape[2] == conflicts.ROWS[name]
    assert SCALES[-1] == conflicts.STRIPES
