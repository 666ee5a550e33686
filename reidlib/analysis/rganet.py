"""RGANet's regions: their true parts to learn from, and how well they are found.

n images, N regions (background apart), (h, w) cells of the patch grid, D joint width
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from reidlib.analysis import snapshots
from reidlib.analysis.localization import mask_auc, region_iou
from reidlib.analysis.truth import true_parts
from reidlib.data.samples import Sample
from reidlib.evaluation.search import Tester, spread
from reidlib.pedestrians import Part
from reidlib.pedestrians.canvas import REGION_PARTS

HIDDEN = 0.1  # of the area that a part usually has: with less it counts as hidden


class Looks(NamedTuple):
    """What RGANet makes of n images; scores are alpha, beta and w by name."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]  # of the N regions
    masks: Tensor | None  # S (n, N+1, h, w), background first; None with stripes
    scores: dict[str, Tensor]  # each (n, N)
    parts: Tensor | None  # (n, Part, h, w) true share of each part; None: unknown


def _kept(output: Any) -> dict[str, Tensor]:
    parts = {"masks": output.masks, "α": output.alpha, "β": output.beta}
    parts |= {"w": output.embedding.weights}
    return {name: part for name, part in parts.items() if part is not None}


def look(
    model: nn.Module,
    samples: Sequence[Sample],
    tester: Tester,
    *,
    names: Sequence[str],
    kept: Callable[[Any], dict[str, Tensor]] = _kept,
) -> Looks:
    """Regions of samples and what they were judged worth.

    kept   what of a model's output is looked at: masks, if it has any, and scores
    """
    found = tester.observed(model, samples, kept)
    paths = tuple(sample.path for sample in samples)
    masks = found.pop("masks", None)
    parts = named_parts(paths, model.grid, names)
    return Looks(paths, tuple(names), masks, found, parts)


def named_parts(
    paths: Sequence[Path], grid: tuple[int, int], names: Sequence[str]
) -> Tensor | None:
    """Share (n, Part, h, w) of each part; bags that are not named are upper body."""
    parts = true_parts(paths, grid)
    if parts is not None and "bags" not in names:
        parts[:, Part.UPPER_BODY] += parts[:, Part.BAGS]
        parts[:, Part.BAGS] = 0
    return parts


def keep(looks: Mapping[str, Looks], run_dir: str, count: int) -> None:
    """Keep masks and scores of `count` images per benchmark, drawn ones only."""
    kept = {}
    for benchmark, found in looks.items():
        chosen = spread(len(found.paths), count)
        masks = {} if found.masks is None else {"masks": found.masks}
        arrays = {name: x[chosen] for name, x in (found.scores | masks).items()}
        kept[benchmark] = [found.paths[i] for i in chosen], arrays
    snapshots.keep_looks(run_dir, kept)


def some(
    looks: Looks, count: int
) -> tuple[list[Path], dict[str, Tensor], dict[str, list[str]]]:
    """Paths, masks by region and scores as words of `count` images spread over all."""
    chosen = spread(len(looks.paths), count).tolist()
    scores = {name: x[chosen] for name, x in looks.scores.items()}
    maps, notes = told(looks.names, looks.masks[chosen], scores)
    return [looks.paths[i] for i in chosen], maps, notes


def kept_regions(
    folder: Path, benchmark: str, names: Sequence[str]
) -> tuple[list[Image.Image], dict[str, Tensor], dict[str, list[str]]]:
    """Pictures, had again, with the masks and scores that a run kept, as `some` has.

    names   of the regions. Nothing of a run that kept no masks.
    """
    found = snapshots.read(folder, snapshots.LOOKS, benchmark)
    if "masks" not in found:
        return [], {}, {}
    pictures = snapshots.pictures(benchmark, found.pop("names"))
    arrays = {name: torch.from_numpy(x).float() for name, x in found.items()}
    return pictures, *told(names, arrays.pop("masks"), arrays)


def told(
    names: Sequence[str], masks: Tensor, scores: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Masks (n, N+1, h, w) by region, and what each is worth in words, (n, N) each."""
    maps = dict(zip(names, masks[:, 1:].unbind(1), strict=True))
    notes = {
        name: [
            "  ".join(f"{s} {x[image, region]:.2f}" for s, x in scores.items())
            for image in range(len(masks))
        ]
        for region, name in enumerate(names)
    }
    return maps, notes


def quality(looks: Looks) -> pd.Series:
    """How regions are judged and, against true parts, how well; all in [0, 1].

    mean w        over images and regions; α and β alike
    w off even    how far a region's w is from the mean of its image, as a share of that
                  mean; α off even alike
    global share  of the distance (Eq. 10), mean over pairs of images
    IoU <name>    overlap of the cells where a region is the strongest with those that
                  mostly show the part; `mean IoU` over the regions that have a part
    AUC of w      chance that a part has a higher w where it is seen than where it is
                  hidden, mean over the parts that are hidden somewhere; α and β alike;
                  absent where the score is the same for all
    """
    found = {f"mean {name}": scores.mean() for name, scores in looks.scores.items()}
    weights = looks.scores["w"]
    for name in looks.scores.keys() & {"w", "α"}:
        scores = looks.scores[name]
        mean = scores.mean(1, keepdim=True).clamp_min(1e-12)
        found[f"{name} off even"] = (scores / mean - 1).abs().mean()
    found["global share"] = (1 / (1 + weights @ weights.T)).mean()
    if looks.parts is None:
        return pd.Series({n: float(v) for n, v in found.items()})
    if looks.masks is not None:
        found |= overlaps(looks)
    true = [REGION_PARTS.get(name) for name in looks.names]
    for name, scores in looks.scores.items():
        if scores.amax() > scores.amin():
            found[f"AUC of {name}"] = _judgement(scores, looks.parts, true)
    return pd.Series({n: float(v) for n, v in found.items()}).dropna()


def overlaps(looks: Looks) -> dict[str, Tensor]:
    """The IoU of each region with the true part, and their mean, as `quality` says."""
    true = [REGION_PARTS.get(name) for name in looks.names]
    iou = _overlaps(looks.masks, looks.parts, true)
    each = {f"IoU {n}": v for n, v in zip(looks.names, iou, strict=True)}
    return {"mean IoU": iou[~iou.isnan()].mean(), **each}


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
