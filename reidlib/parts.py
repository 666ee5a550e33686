"""RGANet's regions: their true parts to learn from, and how well they are found.

n images, N regions (background apart), (h, w) cells of the patch grid, D joint width
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reidlib import kept
from reidlib.data import Batch, Sample, read_mask, test_loader
from reidlib.extraction import extract, observe
from reidlib.image_cache import ImageCache
from reidlib.masks import cell_labels, cell_shares, mask_auc, region_iou
from reidlib.pedestrians import Part
from reidlib.runs import write_text
from reidlib.transforms import Transform

PART_OF = {part.name.lower().replace("_", " "): part for part in Part}
UNKNOWN = -1
NO_MASKS = (
    "prompts are learned from part masks: make them with notebooks/prepare/masks.ipynb,"
    " or give a prompt in words, which needs none: 'a [CLASS] part of a person.'"
)
HIDDEN = 0.1  # of the area that a part usually has: with less it counts as hidden


class RegionBatch(NamedTuple):
    """A batch whose cells have labels: what the objective of stage 0 reads."""

    labels: Tensor  # (B,)
    regions: Tensor  # (B, h, w) 0 background, 1..N regions, -1 not known


def region_labels(
    samples: Sequence[Sample], names: Sequence[str], grid: tuple[int, int]
) -> dict[Path, Tensor]:
    """Label the cells of each image by its part mask: (h, w) by path.

    0 is background, j the j-th name; what is neither (an occluder, a part that is not
    named) is -1. A name that no mask knows, as `bags`, labels no cell. Raises
    FileNotFoundError for an image without a mask, with what to do.
    """
    table = torch.full((len(Part),), UNKNOWN)
    table[Part.BACKGROUND] = 0
    for label, name in enumerate(names, 1):
        if name in PART_OF:
            table[PART_OF[name]] = label
    labels = {}
    for sample in samples:
        try:
            mask = read_mask(sample.path)[None]  # (1, H, W)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; {NO_MASKS}") from error
        labels[sample.path] = table[cell_labels(mask, grid, len(Part))[0]]
    return labels


class Taught:
    """An objective that also sees the labels of the batch's cells."""

    def __init__(self, objective: Callable, labels: Mapping[Path, Tensor]) -> None:
        self.objective, self.labels = objective, labels

    def __call__(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of a batch whose images are as they lie on disk."""
        regions = torch.stack([self.labels[path] for path in batch.paths])
        seen = RegionBatch(batch.labels, regions.to(batch.labels.device))
        return self.objective(output, seen)


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
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"prototypes": prototypes, "context": context}
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    partial = path.with_name(f".{path.name}")
    save_file(tensors, partial, metadata={"names": json.dumps(list(names))})
    partial.chmod(0o644)  # safetensors makes files that only their owner reads
    partial.replace(path)
    write_text(path.with_suffix(".csv"), history.to_csv(index=False))


def load_prompts(path: Path, names: Sequence[str], width: int) -> Tensor:
    """Read the prototypes (N, D) of stage 0.

    Raises FileNotFoundError, and ValueError for those of other regions or of another
    joint width D.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no prompts at {path}: check prompt_path, or leave it empty to learn them"
        )
    with safe_open(path, "pt") as file:
        found = tuple(json.loads((file.metadata() or {}).get("names", "[]")))
        prototypes = file.get_tensor("prototypes")
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
        stripes = extract(model.to(device).stripes, loader, device=device)
        model.memory.start(stripes.embeddings)


class Looks(NamedTuple):
    """What RGANet makes of n images; scores are alpha, beta and w by name."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]  # of the N regions
    masks: Tensor | None  # S (n, N+1, h, w), background first; None with stripes
    scores: dict[str, Tensor]  # each (n, N)
    parts: Tensor | None  # (n, Part, h, w) true share of each part; None: unknown


def look(
    model: nn.Module,
    samples: Sequence[Sample],
    transform: Transform,
    *,
    names: Sequence[str],
    device: torch.device | str,
    batch_size: int = 64,
) -> Looks:
    """Regions of samples and what they were judged worth."""
    loader = test_loader(samples, transform, batch_size=batch_size)
    found = observe(model, loader, _kept, device=device)
    paths = tuple(sample.path for sample in samples)
    masks = found.pop("masks", None)
    parts = true_parts(paths, model.grid)
    return Looks(paths, tuple(names), masks, found, parts)


def _kept(output: Any) -> dict[str, Tensor]:
    parts = {"masks": output.masks, "α": output.alpha, "β": output.beta}
    parts |= {"w": output.embedding.weights}
    return {name: part for name, part in parts.items() if part is not None}


def true_parts(paths: Sequence[Path], grid: tuple[int, int]) -> Tensor | None:
    """Share (n, Part, h, w) of each part in the cells of images; None without masks."""
    try:
        masks = [read_mask(path)[None] for path in paths]
    except FileNotFoundError:
        return None
    return torch.cat([cell_shares(mask, grid, len(Part)) for mask in masks])


def keep(looks: Mapping[str, Looks], run_dir: str, count: int) -> None:
    """Keep masks and scores of `count` images per benchmark, drawn ones only."""
    arrays = {}
    for benchmark, found in looks.items():
        chosen = kept.spread(len(found.paths), count)
        named = {"names": kept.names_of([found.paths[i] for i in chosen])}
        named |= {name: scores[chosen] for name, scores in found.scores.items()}
        if found.masks is not None:
            named["masks"] = found.masks[chosen]
        arrays[benchmark] = named
    kept.write(run_dir, "looks", arrays)


def some(
    looks: Looks, count: int
) -> tuple[list[Path], dict[str, Tensor], dict[str, list[str]]]:
    """Paths, masks by region and their notes of `count` images spread over all."""
    chosen = kept.spread(len(looks.paths), count)
    scores = {name: values[chosen] for name, values in looks.scores.items()}
    maps = dict(zip(looks.names, looks.masks[chosen, 1:].unbind(1), strict=True))
    return [looks.paths[i] for i in chosen], maps, notes(scores, looks.names)


def notes(scores: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, list[str]]:
    """The scores of each image as words over its maps: {region: n words}.

    scores   {alpha, beta, w: (n, N)}
    """
    return {
        name: [
            "  ".join(
                f"{score} {values[image, region]:.2f}"
                for score, values in scores.items()
            )
            for image in range(len(next(iter(scores.values()))))
        ]
        for region, name in enumerate(names)
    }


def quality(looks: Looks) -> pd.Series:
    """How regions are judged and, against true parts, how well; all in [0, 1].

    mean w        over images and regions; α and β alike
    global share  of the distance (Eq. 10), mean over pairs of images
    IoU <name>    overlap of the cells where a region is the strongest with those that
                  mostly show the part; `mean IoU` over the regions that have a part
    AUC of w      chance that a part has a higher w where it is seen than where it is
                  hidden, mean over the parts that are hidden somewhere; α and β alike;
                  absent where the score is the same for all
    """
    found = {f"mean {name}": scores.mean() for name, scores in looks.scores.items()}
    weights = looks.scores["w"]
    found["global share"] = (1 / (1 + weights @ weights.T)).mean()
    if looks.parts is None:
        return pd.Series({n: float(v) for n, v in found.items()})
    true = [PART_OF.get(name) for name in looks.names]
    if looks.masks is not None:
        iou = _overlaps(looks.masks, looks.parts, true)
        found["mean IoU"] = iou[~iou.isnan()].mean()
        found |= {f"IoU {n}": v for n, v in zip(looks.names, iou, strict=True)}
    for name, scores in looks.scores.items():
        if scores.amax() > scores.amin():
            found[f"AUC of {name}"] = _judgement(scores, looks.parts, true)
    return pd.Series({n: float(v) for n, v in found.items()}).dropna()


def _overlaps(masks: Tensor, parts: Tensor, true: Sequence[Part | None]) -> Tensor:
    table = torch.zeros(len(Part), dtype=torch.long)
    table[[part for part in true if part is not None]] = torch.tensor(
        [label for label, part in enumerate(true, 1) if part is not None]
    )
    cells = table[parts.argmax(1)]  # (n, h, w), 0 where no named part is
    iou = region_iou(masks.argmax(1), cells, 1 + len(true))[1:]
    known = torch.tensor([part is not None for part in true])
    return iou.where(known, torch.nan)


def _judgement(scores: Tensor, parts: Tensor, true: Sequence[Part | None]) -> float:
    found = []
    for score, part in zip(scores.unbind(1), true, strict=True):
        if part is None:
            continue
        area = parts[:, part].flatten(1).mean(1)  # (n,)
        seen = area > HIDDEN * area[area > 0].median() if area.any() else area > 0
        if seen.any() and not seen.all():
            found.append(mask_auc(score, seen))
    return sum(found) / len(found) if found else float("nan")
