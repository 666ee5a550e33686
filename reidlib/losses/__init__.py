"""Losses, one per file: functions of tensors, each with its equation."""

from reidlib.losses.arcface import arcface_loss
from reidlib.losses.contrastive import contrastive_loss, info_nce_loss
from reidlib.losses.diversity import consistency_loss, tri_div_loss
from reidlib.losses.segmentation import segmentation_loss
from reidlib.losses.target_attention import target_attention_loss
from reidlib.losses.triplet import euclidean_distances, triplet_loss

__all__ = [
    "arcface_loss",
    "consistency_loss",
    "contrastive_loss",
    "euclidean_distances",
    "info_nce_loss",
    "segmentation_loss",
    "target_attention_loss",
    "tri_div_loss",
    "triplet_loss",
]
