"""FBA's two branches: where each looks, how far apart they are, which words count.

n images, K captions each (foreground first), L text positions, (h, w) cells of the
patch grid, W width
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from torch import Tensor, nn
from torch.nn import functional as F

from reidlib.analysis import snapshots
from reidlib.analysis.fanet import some
from reidlib.analysis.localization import share_inside
from reidlib.analysis.truth import true_parts
from reidlib.data.captions import words_of
from reidlib.data.samples import Sample
from reidlib.evaluation.search import Tester, spread
from reidlib.pedestrians import Part
from reidlib.pedestrians.canvas import PERSON

REGIONS = ("foreground", "background")
FEATURES = tuple((region, kind) for region in "fb" for kind in ("image", "text"))
PERPLEXITY = 30  # of t-SNE; less where there are few points


class Looks(NamedTuple):
    """What FBA makes of n images; what a variant does not have is empty or None."""

    paths: tuple[Path, ...]
    maps: dict[str, Tensor]  # by region: mean attention of its words (n, h, w)
    features: Tensor | None  # as FEATURES (n, 4, W)
    ids: Tensor | None  # of the person's caption (n, L)
    mask: Tensor | None  # m (n, L), 0 off words
    person: Tensor | None  # (n, h, w) share of each cell on the person; None: unknown
    occluder: Tensor | None  # (n, h, w) the same of what hides the person


class _Views(nn.Module):
    """What `look` takes of images and their captions."""

    def __init__(self, model: nn.Module, length: int) -> None:
        super().__init__()
        self.model = model
        self.length = length  # to which texts are padded

    def forward(self, images: Tensor, captions: Tensor) -> dict[str, Tensor]:
        output = self.model(images, captions)
        if output.attention is None:
            return {}
        found = {"ids": _padded(captions[:, 0], self.length)}
        words = _words(captions)  # (B, 2, L)
        for side, attention in enumerate(output.attention.unbind(1)):  # (B, L, N)
            shares = words[:, side] / words[:, side].sum(1, keepdim=True)  # (B, L)
            mean = (shares[..., None] * attention).sum(1)  # (B, N)
            found[REGIONS[side]] = mean.unflatten(1, self.model.grid)
        if output.mask is not None:
            found["mask"] = _padded(output.mask, self.length)
        if output.background is not None:
            four = torch.cat([output.embedding.crossed, output.background], 1)
            found["features"] = four
        return found


def look(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Looks:
    """Attention, features and masks of FBA on samples with their captions.

    tester   whose inputs are CaptionIds
    """
    views = _Views(model, tester.inputs.longest)
    found = tester.observed(views, samples, dict)
    paths = tuple(sample.path for sample in samples)
    parts = true_parts(paths, model.grid)  # (n, Part, h, w)
    ids = found.get("ids")
    return Looks(
        paths,
        maps={name: found[name] for name in REGIONS if name in found},
        features=found.get("features"),
        ids=None if ids is None else ids.long(),
        mask=found.get("mask"),
        person=None if parts is None else parts[:, PERSON].sum(1),
        occluder=None if parts is None else parts[:, Part.OCCLUDER],
    )


def _words(ids: Tensor) -> Tensor:
    """Where the words of texts are, token ids (..., L): between start and end."""
    places = torch.arange(ids.shape[-1], device=ids.device)
    return (places > 0) & (places < ids.argmax(-1, keepdim=True))


def _padded(values: Tensor, length: int) -> Tensor:
    return F.pad(values, (0, length - values.shape[1]))


def quality(looks: Looks, count: int) -> pd.Series:
    """How well the branches look and differ; what is not known is left out.

    foreground on person    share of the foreground words' attention on the person, a
                            mean over images; `person's area` is what looking
                            everywhere scores
    background off person   share of the background words' attention off the person
    foreground on occluder  share of the foreground words' attention on what hides the
                            person, over those images that have an `occluder's area`;
                            background on occluder  the same of the background words
    silhouette of regions   of foreground against background over all four features, by
                            cosine, in [-1, 1]; of modalities: image against text
    cosine within, across   of image and text of one region; of two regions
    count                   images for the silhouettes, spread over all
    """
    found, person = {}, looks.person
    if person is not None:
        found["person's area"] = person.mean()
        shares = {"foreground": person, "background": 1 - person}
        titles = {"foreground": "foreground on person"}
        titles |= {"background": "background off person"}
        for name, attention in looks.maps.items():
            share = share_inside(attention, shares[name]).nanmean()
            found[titles[name]] = share
    if looks.occluder is not None:
        found |= _on_occluder(looks.maps, looks.occluder)
    if looks.features is not None:
        found |= _distances(looks.features, count)
    return pd.Series({name: float(value) for name, value in found.items()}, dtype=float)


def _on_occluder(maps: Mapping[str, Tensor], occluder: Tensor) -> dict[str, Tensor]:
    chosen = occluder.flatten(1).any(1)  # (n,)
    if not chosen.any():
        return {}
    there = occluder[chosen]
    return {"occluder's area": there.mean()} | {
        f"{name} on occluder": share_inside(attention[chosen], there).nanmean()
        for name, attention in maps.items()
    }


def _distances(features: Tensor, count: int) -> dict[str, float | Tensor]:
    unit = F.normalize(features, dim=-1)  # (n, 4, W)
    cosines = (unit @ unit.mT).mean(0)  # (4, 4)
    within = (cosines[0, 1] + cosines[2, 3]) / 2
    points = unit[spread(len(unit), count)]
    kinds = {"regions": [0, 0, 1, 1], "modalities": [0, 1, 0, 1]}
    return {"cosine within": within, "cosine across": cosines[:2, 2:].mean()} | {
        f"silhouette of {name}": silhouette_score(
            points.flatten(0, 1).numpy(), labels * len(points), metric="cosine"
        )
        for name, labels in kinds.items()
    }


def tsne(looks: Looks, count: int, seed: int) -> dict[tuple[str, str], np.ndarray]:
    """Fig. 2: the four features of `count` images in the plane, each (count, 2).

    t-SNE (van der Maaten and Hinton 2008) of cosines; empty without both branches.
    """
    if looks.features is None:
        return {}
    chosen = looks.features[spread(len(looks.features), count)]
    points = F.normalize(chosen, dim=-1).flatten(0, 1).numpy()
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    options = {"perplexity": perplexity, "metric": "cosine", "random_state": seed}
    plane = TSNE(init="random", **options).fit_transform(points)
    return dict(zip(FEATURES, plane.reshape(-1, 4, 2).swapaxes(0, 1), strict=True))


def word_weights(looks: Looks, least: int = 1) -> pd.DataFrame:
    """Which words carry the pooled feature: mean m of each, the heaviest first.

    least   in how many captions a word has to be
    Columns m in [0, 1] and captions; no rows where the pooling has no mask. The first
    word of captions stands apart: the background's often begin with it, too, and then
    its maps cannot differ (FBA-3).
    """
    if looks.mask is None:
        return pd.DataFrame({"m": [], "captions": []}, dtype=float)
    words = _words(looks.ids)
    columns = {"id": looks.ids[words], "m": looks.mask[words].double()}
    table = pd.DataFrame(columns | {"first": words.nonzero()[:, 1] == 1})
    found = table.groupby(["id", "first"])["m"].agg(["mean", "count"])
    spelled = words_of(found.index.get_level_values("id"))
    is_first = found.index.get_level_values("first")
    pairs = zip(spelled, is_first, strict=True)
    named = [f"{word} (first)" if first else word for word, first in pairs]
    found.index = pd.Index(named, name="word")
    found = found.rename(columns={"mean": "m", "count": "captions"})
    return found[found["captions"] >= least].sort_values("m", ascending=False)


def keep(
    looks: Mapping[str, Looks],
    points: Mapping[str, Mapping[str, np.ndarray]],
    run_dir: str,
    count: int,
) -> None:
    """Keep maps of `count` images, points and words per benchmark, drawn ones only.

    points   what `tsne` made, by benchmark
    """
    kept = {}
    for name, found in looks.items():
        paths, maps = some(found, count)
        weights = word_weights(found)
        kept[name] = (
            paths,
            {
                **{f"map {title}": values for title, values in maps.items()},
                **{f"point {', '.join(x)}": p for x, p in points.get(name, {}).items()},
                "words": weights.index.to_numpy(dtype=str),
                "m": weights["m"].to_numpy(),
                "captions": weights["captions"].to_numpy(),
            },
        )
    snapshots.keep_looks(run_dir, kept)


def on_target(maps: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Words over maps (n, h, w) by region: what share of each lies on its target.

    The person is the foreground's target, all else the background's; no words where
    `true person` is not among the maps.
    """
    if "true person" not in maps:
        return {}
    person = maps["true person"]
    targets = {"foreground": (person, "on"), "background": (1 - person, "off")}
    return {
        name: [f"{share:.2f} {word} person" for share in share_inside(maps[name], true)]
        for name, (true, word) in targets.items()
        if name in maps
    }


def alike(maps: Mapping[str, Tensor]) -> float:
    """Mean correlation over images of both regions' maps; nan unless there are two."""
    if not maps.keys() >= set(REGIONS):
        return float("nan")
    pairs = torch.stack([maps[name].flatten(1) for name in REGIONS], 1)  # (n, 2, h w)
    return float(torch.stack([torch.corrcoef(p)[0, 1] for p in pairs]).nanmean())


def kept_points(folder: Path, benchmark: str) -> dict[tuple[str, str], np.ndarray]:
    """The points of Fig. 2 that a run kept of a benchmark, as `tsne` gives them."""
    found = snapshots.read(folder, snapshots.LOOKS, benchmark)
    planes = {name: x for name, x in found.items() if name.startswith("point ")}
    return {tuple(n.removeprefix("point ").split(", ")): x for n, x in planes.items()}


def kept_words(folder: Path, benchmark: str, least: int = 1) -> pd.DataFrame:
    """The word weights that a run kept of a benchmark, as `word_weights` gives them."""
    found = snapshots.read(folder, snapshots.LOOKS, benchmark)
    columns = {name: found.get(name, ()) for name in ("m", "captions")}
    index = pd.Index(found.get("words", ()), name="word")
    table = pd.DataFrame(columns, index=index, dtype=float)
    return table[table["captions"] >= least]
