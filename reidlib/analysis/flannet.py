"""Where FLaN-Net's words look, what they are near to, and which feature is trusted.

n images, (h, w) cells of the patch grid, W text width, M features that are fused
"""

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
from reidlib.data.loaders import test_loader
from reidlib.data.samples import Sample
from reidlib.data.transforms import Transform
from reidlib.evaluation.extraction import observe
from reidlib.evaluation.search import spread
from reidlib.pedestrians import Part
from reidlib.pedestrians.canvas import REGION_PARTS as PART_OF

SYMBOLS = {"subject": "S*", "attributes": "A*", "context": "O*", "prompt": "s_att"}
FEATURES, KINDS = ("v_g", "t_p", "s_att"), ("clean", "occluded")
KEPT = "looks"
TRUTH = ("true person", "true occluder")
PERSON = [Part.HEAD, Part.UPPER_BODY, Part.LOWER_BODY, Part.FOOT]
END = "</w>"  # of a word, in CLIP's tokens
OCCLUDED = 0.05  # of a picture, for it to count as occluded
EVERYWHERE = "everywhere"  # a look that is the same in every cell


class Looks(NamedTuple):
    """What FLaN-Net makes of n images with its words; parts it has not are absent."""

    paths: tuple[Path, ...]
    maps: dict[str, Tensor]  # attention (n, h, w) >= 0: A* 1, ..., O* 1, ..., s_att
    words: dict[str, Tensor]  # the pseudo-words (n, W): S*, A*, O*
    weights: Tensor | None  # lambda (n, M), of several features
    parts: Tensor | None  # (n, Part, h, w) true share of each part; None: unknown


class _Views(nn.Module):
    """All that `look` wants of images, by kind and name."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        weights, found = self.model(images).weights, {}
        if weights is not None and weights.shape[1] > 1:
            found["weights λ"] = weights
        for word, maps in self.model.attend(images).items():
            several = maps.shape[1] > 1  # of (B, m, h, w)
            for query, attention in enumerate(maps.unbind(1), 1):
                found[f"map {SYMBOLS[word]}" + f" {query}" * several] = attention
        if self.model.prompts is not None and self.model.prompts.networks:
            tokens = self.model.image_tower(images).joint
            words = self.model.prompts.pseudo_words(tokens).unbind(1)
            symbols = [SYMBOLS[word] for word in self.model.prompts.networks]
            found |= {f"word {s}": w for s, w in zip(symbols, words, strict=True)}
        return found


def look(
    model: nn.Module,
    samples: Sequence[Sample],
    transform: Transform,
    *,
    device: torch.device | str,
    batch_size: int = 64,
) -> Looks:
    """Attention, pseudo-words and weights of samples, and their true parts if known."""
    loader = test_loader(samples, transform, batch_size=batch_size)
    found = observe(_Views(model), loader, dict, device=device)
    kinds = {
        kind: {
            name.removeprefix(f"{kind} "): values
            for name, values in found.items()
            if name.startswith(f"{kind} ")
        }
        for kind in ("map", "word", "weights")
    }
    paths = tuple(sample.path for sample in samples)
    parts = true_parts(paths, model.image_tower.grid)
    return Looks(paths, kinds["map"], kinds["word"], kinds["weights"].get("λ"), parts)


def shares(looks: Looks) -> pd.DataFrame:
    """Share of each map's attention to patches that each true part gets, in [0, 1].

    A row per map, means over images, and one for a look at everywhere alike, which is
    each part's area; a column per part. A row sums to one. Empty without true parts.
    """
    if looks.parts is None:
        return pd.DataFrame()
    everywhere = torch.ones_like(looks.parts[:, 0])
    maps = {**looks.maps, EVERYWHERE: everywhere}
    rows = {name: _inside(attention, looks.parts) for name, attention in maps.items()}
    rows = {name: row.tolist() for name, row in rows.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(PART_OF))


def _inside(attention: Tensor, parts: Tensor) -> Tensor:
    energy = (attention[:, None] * parts).flatten(2).sum(2)  # (n, Part)
    return (energy / attention.flatten(1).sum(1, keepdim=True)).nanmean(0)


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

    A* on person    share of its attention to patches, mean over its queries; so for O*
                    and s_att, and `on occluder` where there is one; `everywhere on
                    person` is what a look at everywhere would have
    λ v_g, clean    and so on, as in `trust`
    A* queries alike  what the attention of two of its queries has in common, mean over
                    pairs and images: 1 where all look at the same
    A* like O*      mean cosine of an image's two pseudo-words, in [-1, 1]
    A* alike        mean cosine of the pseudo-words of two images, so for S* and O*: 1
                    where it says the same of all
    """
    found = {}
    if looks.parts is not None:
        table = shares(looks).groupby(lambda name: name.split()[0], sort=False).mean()
        places = {"person": [name for name, part in PART_OF.items() if part in PERSON]}
        if looks.parts[:, Part.OCCLUDER].any():
            places["occluder"] = ["occluder"]
        for name, row in table.iterrows():
            found |= {f"{name} on {at}": row[ps].sum() for at, ps in places.items()}
    for kind, column in trust(looks).items():
        found |= {f"{n}, {kind}": v for n, v in column.drop("images").items()}
    found |= {f"{word} queries alike": x for word, x in _overlaps(looks.maps).items()}
    if {"A*", "O*"} <= looks.words.keys():
        cosines = F.cosine_similarity(looks.words["A*"], looks.words["O*"])
        found["A* like O*"] = cosines.mean()
    found |= {f"{symbol} alike": _likeness(x) for symbol, x in looks.words.items()}
    return pd.Series({name: float(value) for name, value in found.items()}, dtype=float)


def _likeness(words: Tensor) -> Tensor:
    """Mean cosine over the pairs of n words (n, D), n at least two."""
    count, total = len(words), F.normalize(words, dim=1).sum(0).square().sum()
    return (total - count) / (count * (count - 1))


def _overlaps(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for word in ("A*", "O*"):
        own = [x.flatten(1) for name, x in maps.items() if name.startswith(f"{word} ")]
        own = [x / x.sum(1, keepdim=True) for x in own]  # m of (n, cells)
        pairs = [torch.minimum(*pair).sum(1) for pair in combinations(own, 2)]
        if pairs:
            found[word] = torch.stack(pairs).nanmean()
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
    maps = {name: values[chosen] for name, values in looks.maps.items()}
    if looks.parts is not None:
        true = looks.parts[chosen]  # (count, Part, h, w)
        person, occluder = true[:, PERSON].sum(1), true[:, Part.OCCLUDER]
        maps |= dict(zip(TRUTH, (person, occluder), strict=True))
    return [looks.paths[i] for i in chosen], maps


def keep(looks: Mapping[str, Looks], run_dir: str, count: int) -> None:
    """Keep maps of `count` images per benchmark in looks.npz, drawn ones only."""
    arrays = {}
    for name, found in looks.items():
        paths, maps = some(found, count)
        arrays[name] = {"names": snapshots.names_of(paths), **maps}
    snapshots.write(run_dir, KEPT, arrays)


def kept_maps(
    folders: Mapping[str, Path], benchmark: str, name: str
) -> tuple[list[Image.Image], dict[str, Tensor]]:
    """Pictures, drawn again, and what several runs kept of one map, the truth last.

    folders   of runs by what their maps are called; runs without the map are left out
    """
    found = {
        row: snapshots.read(folder, KEPT, benchmark) for row, folder in folders.items()
    }
    found = {row: arrays for row, arrays in found.items() if name in arrays}
    maps, last = {row: arrays[name] for row, arrays in found.items()}, {}
    for last in found.values():
        maps |= {title: last[title] for title in TRUTH if title in last}
    pictures = snapshots.pictures(benchmark, last.get("names", ()))
    return pictures, {row: torch.from_numpy(x).float() for row, x in maps.items()}
