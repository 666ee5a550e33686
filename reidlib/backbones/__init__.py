"""Loaded towers: images to tokens or maps, texts to features."""

from open_clip.tokenizer import tokenize

from reidlib.backbones.clip import Clip, ImageTower, TextTower
from reidlib.backbones.clip_weights import TINY_WEIGHTS, load_clip, save_tiny_clip
from reidlib.backbones.resnet import ResNetStages, load_resnet, save_resnet

__all__ = [
    "TINY_WEIGHTS",
    "Clip",
    "ImageTower",
    "ResNetStages",
    "TextTower",
    "load_clip",
    "load_resnet",
    "save_resnet",
    "save_tiny_clip",
    "tokenize",
]
