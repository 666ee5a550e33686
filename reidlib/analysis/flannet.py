"""Where FLaN-Net's words look, what they are near to, and which feature is trusted.

n images, (h, w) cells of the patch grid, W text width, M features that are fused
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from reidlib.analysis import snapshots
from reidlib.analysis.truth import true_parts
from reidlib.data.samples import Sample
from reidlib.evaluation.search import Tester, spread
from reidlib.pedestrians import Part
from reidlib.pedestrians.canvas import PERSON, REGION_PARTS

SYMBOLS = {"subject": "S*", "attributes": "A*", "context": "O*", "prompt": "s_att"}
SYMBOLS |= {"class": "class token"}
FEATURES, KINDS = ("v_g", "t_p", "s_att"), ("clean", "occluded")
TRUTH = ("true person", "true occluder")
END = "</w>"  # of a word, in CLIP's tokens
OCCLUDED = 0.05  # of a picture, for it to count as occluded
EVERYWHERE = "everywhere"  # a look that is the same in every cell


class Looks(NamedTuple):
    """What FLaN-Net makes of n images with its words; parts it has not are absent."""

    paths: tuple[Path, ...]
    maps: dict[str, Tensor]  # attention (n, m, h, w) >= 0; m is 1 but for A* and O*
    words: dict[str, Tensor]  # the pseudo-words (n, W): S*, A*, O*
    weights: Tensor | None  # lambda (n, M), of several features
    parts: Tensor | None  # (n, Part, h, w) true share of each part; None: unknown


class View(NamedTuple):
    """What is read of the model for each image: a map, a word, or the weights."""

    kind: str
    symbol: str = ""


WEIGHTS = View("weights")


class _Views(nn.Module):
    """What `look` takes of images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> dict[View, Tensor]:
        weights, found = self.model(images).weights, {}
        if weights is not None and weights.shape[1] > 1:
            found[WEIGHTS] = weights
        for word, maps in self.model.attend(images).items():
            found[View("map", SYMBOLS[word])] = maps  # (B, m, h, w)
        if self.model.prompts is not None and self.model.prompts.networks:
            tokens = self.model.image_tower(images).joint
            words = self.model.prompts.pseudo_words(tokens).unbind(1)
            pairs = zip(self.model.prompts.networks, words, strict=True)
            found |= {View("word", SYMBOLS[name]): word for name, word in pairs}
        return found


def look(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Looks:
    """Attention, pseudo-words and weights of samples, and their true parts if known."""
    found = tester.observed(_Views(model), samples, dict)
    maps, words = (
        {view.symbol: values for view, values in found.items() if view.kind == kind}
        for kind in ("map", "word")
    )
    paths = tuple(sample.path for sample in samples)
    parts = true_parts(paths, model.image_tower.grid)
    return Looks(paths, maps, words, found.get(WEIGHTS), parts)


def titled(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each query's attention (n, h, w) by its title: `A* 1`, `A* 2`; or `s_att`."""
    return {
        f"{symbol} {query}" if several.shape[1] > 1 else symbol: attention
        for symbol, several in maps.items()
        for query, attention in enumerate(several.unbind(1), 1)
    }


def shares(looks: Looks) -> pd.DataFrame:
    """Share of each map's attention to patches that each true part gets, in [0, 1].

    A row per map, means over images, and one for looking everywhere alike, which is
    each part's area; a column per part. A row sums to one. Empty without true parts.
    """
    if looks.parts is None:
        return pd.DataFrame()
    alike = torch.ones_like(looks.parts[:, 0])
    maps = {**titled(looks.maps), EVERYWHERE: alike}
    rows = {name: _inside(attention, looks.parts) for name, attention in maps.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(REGION_PARTS))


def _inside(attention: Tensor, parts: Tensor) -> list[float]:
    energy = (attention[:, None] * parts).flatten(2).sum(2)  # (n, Part)
    shares = energy / attention.flatten(1).sum(1, keepdim=True)
    return shares.nanmean(0).tolist()


def trust(looks: Looks) -> pd.DataFrame:
    """Mean weight lambda of each feature, in images that something hides and others.

    Columns clean, occluded (those that there are; `all` without true parts): occluded
    is what an occluder covers a twentieth of. Cropped people are clean. The row
    `images` counts them. Empty without weights.
    """
    if looks.weights is None:
        return pd.DataFrame()
    kinds = {"all": torch.ones(len(looks.paths), dtype=torch.bool)}
    if looks.parts is not None:
        hidden = looks.parts[:, Part.OCCLUDER].flatten(1).mean(1) > OCCLUDED
        kinds = dict(zip(KINDS, (~hidden, hidden), strict=True))
    columns = {
        kind: [*looks.weights[chosen].mean(0).tolist(), int(chosen.sum())]
        for kind, chosen in kinds.items()
        if chosen.any()
    }
    names = [f"λ {name}" for name in FEATURES[: looks.weights.shape[1]]]
    return pd.DataFrame(columns, index=[*names, "images"])


def quality(looks: Looks) -> pd.Series:
    """What a run keeps of `shares`, `trust` and the pseudo-words, by name.

    A* on person    share of its attention to patches, mean over its queries; so for O*,
                    s_att and the class token, and `on occluder` where there is one;
                    `everywhere on person` is what looking everywhere would score
    λ v_g, clean    and so on, as in `trust`
    A* queries alike  what the attention of two of its queries has in common, mean over
                    pairs and images: 1 where all look at the same
    A* like O*      mean cosine of an image's two pseudo-words, in [-1, 1]
    A* alike        mean cosine of the pseudo-words of two images, so for S* and O*: 1
                    where it says the same of all
    λ off even      how far an image's largest λ is above what all would have if alike
    """
    found = {}
    if looks.parts is not None:
        table = _by_symbol(looks)
        places = {
            "person": [name for name, part in REGION_PARTS.items() if part in PERSON]
        }
        if looks.parts[:, Part.OCCLUDER].any():
            places["occluder"] = ["occluder"]
        for name, row in table.iterrows():
            found |= {f"{name} on {at}": row[ps].sum() for at, ps in places.items()}
    for kind, column in trust(looks).items():
        found |= {f"{n}, {kind}": v for n, v in column.drop("images").items()}
    if looks.weights is not None:
        highest = looks.weights.amax(1).mean()
        found["λ off even"] = highest - 1 / looks.weights.shape[1]
    found |= {f"{word} queries alike": x for word, x in _overlaps(looks.maps).items()}
    if {"A*", "O*"} <= looks.words.keys():
        cosines = F.cosine_similarity(looks.words["A*"], looks.words["O*"])
        found["A* like O*"] = cosines.mean()
    found |= {f"{symbol} alike": _likeness(x) for symbol, x in looks.words.items()}
    return pd.Series({name: float(value) for name, value in found.items()}, dtype=float)


def alignment(history: pd.DataFrame, images: int) -> dict[str, float]:
    """How L_Align ended, as a share of what a text says nothing with; {} without one.

    A text that is the same for every image tells none of a batch's `images` from
    another: Eq. 12 and 13 end at ln(images) each.
    """
    if "align" not in history:
        return {}
    nothing = 2 * math.log(images)
    return {"align by a constant text's": float(history["align"].iloc[-1]) / nothing}


def _by_symbol(looks: Looks) -> pd.DataFrame:
    """`shares`, each a mean over the queries of its pseudo-word."""
    symbols = [name for name, maps in looks.maps.items() for _ in range(maps.shape[1])]
    return shares(looks).groupby([*symbols, EVERYWHERE], sort=False).mean()


def _likeness(words: Tensor) -> Tensor:
    """Mean cosine over the pairs of n words (n, D), n at least two."""
    count, total = len(words), F.normalize(words, dim=1).sum(0).square().sum()
    return (total - count) / (count * (count - 1))


def _overlaps(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for symbol, several in maps.items():
        own = several.flatten(2)  # (n, m, cells)
        own = own / own.sum(2, keepdim=True)
        pairs = combinations(own.unbind(1), 2)
        common = [torch.minimum(one, other).sum(1) for one, other in pairs]
        if common:
            found[symbol] = torch.stack(common).nanmean()
    return found


def nearest_words(
    looks: Looks, text_tower: nn.Module, *, images: int, count: int = 3
) -> pd.DataFrame:
    """Words of the text tower nearest to the pseudo-words of some images.

    A row per image, a column per pseudo-word: `count` whole words with an embedding of
    their own, nearest first, each with its cosine.
    """
    decoder, known = SimpleTokenizer().decoder, text_tower.known_tokens()
    ids = [i for i in known.tolist() if _is_word(decoder[i])]
    with torch.no_grad():
        rows = text_tower.embed_tokens(known.new_tensor(ids)).float().cpu()
    chosen, columns = spread(len(looks.paths), images), {}
    for symbol, words in looks.words.items():
        cosines = F.normalize(words[chosen], dim=1) @ F.normalize(rows, dim=1).T
        values, places = cosines.topk(min(count, len(ids)), dim=1)
        columns[symbol] = [
            ", ".join(
                f"{decoder[ids[place]].removesuffix(END)} {value:.2f}"
                for value, place in zip(*pair, strict=True)
            )
            for pair in zip(values.tolist(), places.tolist(), strict=True)
        ]
    return pd.DataFrame(columns, index=range(1, len(chosen) + 1))


def _is_word(token: str) -> bool:
    return token.endswith(END) and token.removesuffix(END).isalpha()


def some(looks: Looks, count: int) -> tuple[list[Path], dict[str, Tensor]]:
    """Paths and maps of `count` images spread over all; the true parts come last."""
    chosen = spread(len(looks.paths), count)
    maps = {name: values[chosen] for name, values in titled(looks.maps).items()}
    if looks.parts is not None:
        true = looks.parts[chosen]  # (count, Part, h, w)
        person, occluder = true[:, PERSON].sum(1), true[:, Part.OCCLUDER]
        maps |= dict(zip(TRUTH, (person, occluder), strict=True))
    return [looks.paths[i] for i in chosen], maps


def keep(looks: Mapping[str, Looks], run_dir: str, count: int) -> None:
    """Keep maps of `count` images per benchmark in looks.npz, drawn ones only."""
    shown = {name: some(found, count) for name, found in looks.items()}
    snapshots.keep_looks(run_dir, shown)


def kept_maps(
    folders: Mapping[str, Path], benchmark: str, name: str
) -> tuple[list[Image.Image], dict[str, Tensor]]:
    """Pictures, drawn again, and what several runs kept of one map, the truth last.

    folders   of runs by what their maps are called; runs without the map are left out
    """
    kept = {
        row: snapshots.read(at, snapshots.LOOKS, benchmark)
        for row, at in folders.items()
    }
    kept = {row: arrays for row, arrays in kept.items() if name in arrays}
    if not kept:
        return [], {}
    shared = next(reversed(kept.values()))  # all runs keep the same pictures
    maps = {row: arrays[name] for row, arrays in kept.items()}
    maps |= {title: shared[title] for title in TRUTH if title in shared}
    pictures = snapshots.pictures(benchmark, shared["names"])
    return pictures, {row: torch.from_numpy(x).float() for row, x in maps.items()}
