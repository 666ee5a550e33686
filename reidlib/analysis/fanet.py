"""Where a model looks, against where the person really is.

N images, (h, w) cells of a feature map
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from reidlib.analysis import snapshots
from reidlib.analysis.localization import mask_auc, share_inside, soft_iou
from reidlib.analysis.truth import person_shares
from reidlib.data.samples import Sample
from reidlib.evaluation.search import Tester, spread

IN_UNIT_RANGE = {"Z", "1 - Z", "true person"}


class Looks(NamedTuple):
    """Heat maps of N images by name (each (N, h, w), >= 0), and the person's share."""

    paths: tuple[Path, ...]
    maps: dict[str, Tensor]
    person: Tensor | None  # (N, h, w) share of each cell on the person; None: unknown


def heat_maps(output: Any) -> dict[str, Tensor]:
    """FA-Net's maps to look at: mean responses |F|, |B|, masks Z and 1 - Z.

    output   what FANet returns; parts that a variant leaves out are left out here
    """
    maps = {"|F|": output.foreground_map.abs().mean(dim=1)}  # (B, H, W)
    if output.background_map is not None:
        maps["|B|"] = output.background_map.abs().mean(dim=1)
    if output.mask is not None:
        maps["Z"] = output.mask[:, 0]
        maps["1 - Z"] = 1 - output.mask[:, 0]
    return maps


def look(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Looks:
    """Heat maps of FA-Net on samples, and where the person is if masks are there.

    Drawn pedestrians have masks beside them; photographs mostly do not.
    """
    maps = tester.observed(model, samples, heat_maps)
    grid = tuple(maps["|F|"].shape[-2:])
    paths = tuple(sample.path for sample in samples)
    return Looks(paths, maps, person_shares(paths, grid))


def some(looks: Looks, count: int) -> tuple[list[Path], dict[str, Tensor]]:
    """Paths and maps of `count` images spread over all; the true person comes last."""
    chosen = spread(len(looks.paths), count)
    known = {} if looks.person is None else {"true person": looks.person}
    maps = {name: values[chosen] for name, values in {**looks.maps, **known}.items()}
    return [looks.paths[i] for i in chosen], maps


def keep(looks: Mapping[str, Looks], run_dir: str, count: int) -> None:
    """Keep maps of `count` images per benchmark in looks.npz, drawn ones only."""
    shown = {name: some(found, count) for name, found in looks.items()}
    snapshots.keep_looks(run_dir, shown)


def quality(looks: Looks) -> pd.Series:
    """How well the maps find the person, all in [0, 1]; means over images, but the AUC.

    mask IoU         soft overlap of Z with the person; `IoU of ones` is a mask of ones
    mask AUC         chance that a cell on the person has a higher Z than one off it, of
                     any image
    Z off person     share of the mask's sum off the person; 1 - `person's area` for a
                     mask of ones
    |F| on person    share of the foreground map's energy on the person, before and
                     after gating by Z; `person's area` is what a uniform map scores
    |B| off person   share of the background map's energy off the person
    Empty where nobody knows where the person is.
    """
    maps, person = looks.maps, looks.person
    if person is None:
        return pd.Series(dtype=float)
    found = {
        "person's area": person.mean(),
        "|F| on person": share_inside(maps["|F|"], person).nanmean(),
    }
    if "|B|" in maps:
        found["|B| off person"] = share_inside(maps["|B|"], 1 - person).nanmean()
    if "Z" in maps:
        mask = maps["Z"]
        found["|F| Z on person"] = share_inside(maps["|F|"] * mask, person).nanmean()
        found["Z off person"] = share_inside(mask, 1 - person).nanmean()
        found["mask IoU"] = soft_iou(mask, person).nanmean()
        found["IoU of ones"] = soft_iou(torch.ones_like(mask), person).nanmean()
        found["mask AUC"] = torch.tensor(mask_auc(mask, person > 0.5))
    return pd.Series({name: float(value) for name, value in found.items()})
