"""What the shipped tiny CLIP promises, measured on drawings made for the test."""

import numpy as np
import open_clip
import pytest
import torch

from reidlib.analysis import localization as masks
from reidlib.backbones.clip_weights import load_clip
from reidlib.data.masks import cell_labels
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.evaluation.metrics import evaluate
from reidlib.pedestrians import Part, Shot, draw
from reidlib.prepare.clip_pretraining import HAND_CRAFTED, name_patches

PIDS, CAMERAS = range(301, 331), range(6)


@pytest.fixture(scope="module")
def clip():
    clip = load_clip("tiny", image_size=(128, 64), stride=8)
    return clip.eval().requires_grad_(False)


def drawn(split: str, **framing):
    """Images (N, 3, 128, 64), masks (N, 128, 64), pids and cameras of drawn people."""
    shots = [
        Shot("plaza", split, pid, camid, 0, **framing)
        for pid in PIDS
        for camid in CAMERAS
    ]
    drawings = [draw(shot) for shot in shots]
    transform = plain_transform(128, 64, normalisation="half")
    images = torch.stack([transform(drawing.image) for drawing in drawings])
    truth = torch.stack([torch.tensor(np.array(d.mask)) for d in drawings])
    pids, camids = torch.tensor([(shot.pid, shot.camid) for shot in shots]).T
    return images, truth, pids, camids


def test_occluded_people_are_found_without_identity_training(clip):
    query, _, query_pids, query_camids = drawn("occluded", occlusion=1.0)
    gallery, _, gallery_pids, gallery_camids = drawn("gallery", occlusion=0.25)
    scores = evaluate(
        clip.image(query).joint[:, 0],
        clip.image(gallery).joint[:, 0],
        query_pids=query_pids,
        gallery_pids=gallery_pids,
        query_camids=query_camids,
        gallery_camids=gallery_camids,
    )
    assert scores.mean_ap >= 0.4, "the whole of plaza_occluded is in the notebook"


def test_patches_know_the_names_of_parts(clip):
    images, truth, *_ = drawn("query")
    prompts = open_clip.get_tokenizer("ViT-B-16")(HAND_CRAFTED)
    named = name_patches(clip, images, prompts)
    true = cell_labels(truth, clip.image.grid, len(Part))
    overlap = masks.region_iou(named, true, len(HAND_CRAFTED))
    assert overlap[1:].mean() >= 0.4
    assert (overlap > 0.3).all(), "head and foot too, though they cover few patches"
