"""RGANet's stage 0: prompts of regions learned from part masks, kept and read again.

Prompts and their loss are models/rganet_prompts.py; here are the labels they learn
from, the training, and what the main stage begins with: prototypes, and the memory.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from open_clip.tokenizer import tokenize
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader

from reidlib.data.image_cache import ImageCache
from reidlib.data.loaders import Batch, test_loader
from reidlib.data.masks import cell_labels, read_mask
from reidlib.data.samples import Sample
from reidlib.data.transforms import Transform
from reidlib.evaluation.extraction import extract
from reidlib.files import write_text
from reidlib.models.rganet_prompts import PromptLearner, objective
from reidlib.pedestrians import Part
from reidlib.pedestrians.canvas import REGION_PARTS
from reidlib.reading import reading
from reidlib.training.loop import fit
from reidlib.training.seeding import initialise
from reidlib.training.step import Step
from reidlib.weights import read_tensors, write_tensors

UNKNOWN = -1
REMEDY = "give a file that stage 0 wrote, or delete it to learn the prompts again"
NO_MASKS = (
    "prompts are learned from part masks: make them with notebooks/prepare/masks.ipynb,"
    " or give a prompt in words, which needs none: 'a [CLASS] part of a person.'"
)


def learn_prompts(
    model: nn.Module,
    text_tower: nn.Module,
    names: Sequence[str],
    loader: DataLoader,
    *,
    prompt_path: str,
    run_dir: str,
    context_vectors: int,
    background: bool,
    learning_rate: float,
    epochs: int,
    seed: int,
    **options: Any,
) -> pd.DataFrame:
    """Give RGANet the prototypes of learned prompts: stage 0, or what it left behind.

    loader       training batches of images as they are, without augmentation, which
                 have part masks beside them
    prompt_path  file of prompts that were learned before; "" learns them, unless
                 run_dir has them already, and keeps them there unless it is ""
    background   cells of the background count, too
    options      of training.Step: device, precision, compile
    Returns the history of stage 0, without rows where nothing was learned now.
    """
    file = Path(prompt_path or Path(run_dir) / "prompts.safetensors")
    if prompt_path or (run_dir and file.is_file()):
        width = model.prototypes.shape[1]
        model.prototypes.copy_(load_prompts(file, names, width))
        nothing = pd.DataFrame({"epoch": [], "segmentation": []})
        nothing.attrs["seconds"] = []
        return nothing
    ids = tokenize(list(names))
    learner = PromptLearner(model, text_tower, ids, context_vectors=context_vectors)
    initialise(learner, seed)
    labels = region_labels(loader.dataset.samples, names, model.grid)
    step = Step(
        learner,
        with_regions(partial(objective, background=background), labels),
        weights={"segmentation": 1},
        optimizers=[Adam([learner.context], lr=learning_rate)],
        **options,
    )
    history = fit(step, loader, epochs=epochs, seed=seed)
    model.prototypes.copy_(learner.prototypes().detach())
    if run_dir:
        save_prompts(file, model.prototypes, learner.context, names, history)
    return history


def region_labels(
    samples: Sequence[Sample], names: Sequence[str], grid: tuple[int, int]
) -> dict[Path, Tensor]:
    """Label the cells of each image by its part mask: (h, w) by path.

    0 is background, j the j-th name; what is neither (an occluder, a part that is not
    named) is -1. Bags that are not named belong to the upper body, as they always do
    in masks of drawn people. Raises FileNotFoundError for an image without a mask, with
    what to do.
    """
    table = torch.full((len(Part),), UNKNOWN)
    table[Part.BACKGROUND] = 0
    for label, name in enumerate(names, 1):
        if name in REGION_PARTS:
            table[REGION_PARTS[name]] = label
    if table[Part.BAGS] == UNKNOWN:
        table[Part.BAGS] = table[Part.UPPER_BODY]
    labels = {}
    for sample in samples:
        try:
            mask = read_mask(sample.path, len(Part))[None]  # (1, H, W)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; {NO_MASKS}") from error
        labels[sample.path] = table[cell_labels(mask, grid, len(Part))[0]]
    return labels


class RegionBatch(NamedTuple):
    """What the objective of stage 0 reads of a batch."""

    regions: Tensor  # (B, h, w) 0 background, 1..N regions, -1 not known


def with_regions(objective: Callable, labels: Mapping[Path, Tensor]) -> Callable:
    """An objective of an output and a batch, whose images' cells have these labels."""

    def terms(output: Any, batch: Batch) -> dict[str, Tensor]:
        regions = torch.stack([labels[path] for path in batch.paths])
        return objective(output, RegionBatch(regions.to(batch.images.device)))

    return terms


def save_prompts(
    path: Path,
    prototypes: Tensor,
    context: Tensor,
    names: Sequence[str],
    history: pd.DataFrame,
) -> None:
    """Write what stage 0 learned: prototypes (N, D), context vectors, the names.

    Its history goes beside them, as <path without suffix>.csv.
    """
    tensors = {"prototypes": prototypes, "context": context}
    write_tensors(tensors, path, notes={"names": json.dumps(list(names))})
    write_text(path.with_suffix(".csv"), history.to_csv(index=False))


def load_prompts(path: Path, names: Sequence[str], width: int) -> Tensor:
    """Read the prototypes (N, D) of stage 0.

    Raises FileNotFoundError, and ValueError for a file that is damaged or none of
    prompts, and for those of other regions or of another joint width D.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no prompts at {path}: check prompt_path, or leave it empty to learn them"
        )
    with reading(path, REMEDY):
        tensors, notes = read_tensors(path)
        found = tuple(map(str, json.loads(notes.get("names", "[]"))))
        prototypes = tensors["prototypes"]
    if found != tuple(names) or prototypes.shape != (len(names), width):
        raise ValueError(
            f"{path} holds prototypes {tuple(prototypes.shape)} of {', '.join(found)};"
            f" {(len(names), width)} of {', '.join(names)} are wanted"
        )
    return prototypes


def start_memory(
    model: nn.Module,
    samples: Sequence[Sample],
    transform: Transform,
    *,
    device: torch.device | str,
    batch_size: int = 64,
    workers: int = 0,
    cache: ImageCache | None = None,
) -> None:
    """Fill RGANet's memory, if it has one, with the stripes of all images; III-D."""
    if model.memory is not None:
        loader = test_loader(
            samples, transform, batch_size=batch_size, workers=workers, cache=cache
        )
        stripes = extract(model.to(device), loader, embed=model.stripes, device=device)
        model.memory.start(stripes.embeddings)
