"""Losses, one per file: functions of tensors, each with its equation."""

from reidlib.losses.arcface import arcface_loss
from reidlib.losses.centre import Centres
from reidlib.losses.contrastive import contrastive_loss, info_nce_loss
from reidlib.losses.diversity import consistency_loss, tri_div_loss
from reidlib.losses.segmentation import segmentation_loss
from reidlib.losses.target_attention import target_attention_loss
from reidlib.losses.triplet import (
    euclidean_distances,
    mean_triplet_loss,
    triplet_loss,
)

__all__ = [
    "Centres",
    "arcface_loss",
    "consistency_loss",
    "contrastive_loss",
    "euclidean_distances",
    "info_nce_loss",
    "mean_triplet_loss",
    "segmentation_loss",
    "target_attention_loss",
    "tri_div_loss",
    "triplet_loss",
]
