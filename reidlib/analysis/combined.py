"""What the combination sees of a person: its regions, and what is not background.

n images, N regions (background apart), (h, w) cells of the patch grid
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from reidlib.analysis import fanet, rganet
from reidlib.analysis.localization import mask_auc, soft_iou
from reidlib.analysis.rganet import Looks, overlaps
from reidlib.pedestrians.canvas import PERSON

SEEN = "1 - S_0"  # the map of the person: what is not background


def _masks(output: Any) -> dict[str, Tensor]:
    return {} if output.masks is None else {"masks": output.masks}


look = partial(rganet.look, kept=_masks)  # a model that segments nothing has no masks


def maps_of(looks: Looks) -> dict[str, Tensor]:
    """The regions by name, each (n, h, w), and the person that they see."""
    regions = looks.masks[:, 1:]  # (n, N, h, w)
    maps = dict(zip(looks.names, regions.unbind(1), strict=True))
    return {**maps, SEEN: regions.sum(1)}


def some(looks: Looks, count: int) -> tuple[list[Path], dict[str, Tensor]]:
    """Paths and maps of `count` images spread over all; the true person comes last."""
    return fanet.some(_with_person(looks), count)


def keep(looks: Mapping[str, Looks], run_dir: str, count: int) -> None:
    """Keep maps of `count` images per benchmark in looks.npz, drawn ones only."""
    fanet.keep({name: _with_person(own) for name, own in looks.items()}, run_dir, count)


def _with_person(looks: Looks) -> fanet.Looks:
    return fanet.Looks(looks.paths, maps_of(looks), _person(looks))


def _person(looks: Looks) -> Tensor | None:
    return None if looks.parts is None else looks.parts[:, PERSON].sum(1)


def quality(looks: Looks) -> pd.Series:
    """How well regions and person are found, all in [0, 1].

    IoU <name>    overlap of the cells where a region is the strongest with those that
                  mostly show the part; `mean IoU` over the regions that have a part
    person IoU    soft overlap of 1 - S_0 with the person; `IoU of ones` is a mask of
                  ones; means over images
    person AUC    chance that a cell on the person has a higher 1 - S_0 than one off it,
                  of any image
    Empty where nobody knows what is where.
    """
    person = _person(looks)
    if person is None:
        return pd.Series(dtype=float)
    seen = maps_of(looks)[SEEN]
    found = overlaps(looks)
    found["person IoU"] = soft_iou(seen, person).nanmean()
    found["IoU of ones"] = soft_iou(torch.ones_like(seen), person).nanmean()
    found["person AUC"] = torch.tensor(mask_auc(seen, person > 0.5))
    return pd.Series({name: float(value) for name, value in found.items()}).dropna()
