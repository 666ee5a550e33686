"""A search to look at: a query, its list, and where the model looks.

Of pictures in plain folders, or of a benchmark, whose lists say what is right. With the
optional ipywidgets a query is chosen from a list; else figures remain.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import NamedTuple

import pandas as pd
from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor, nn

from reidlib.analysis import combined, fanet, fba, flannet, rganet
from reidlib.data.captions import CaptionIds, captions_of
from reidlib.data.samples import Benchmark, Sample
from reidlib.embedder import Embedder
from reidlib.evaluation.search import Tester, ranking, spread
from reidlib.models.rganet_prompts import REGIONS
from reidlib.plots import image_grid, mask_overlays, ranked_lists

Maps = Mapping[str, Tensor]
SHARES = fanet.IN_UNIT_RANGE | {name for names in REGIONS.values() for name in names}
SHARES |= {combined.SEEN}
REMEDY = (
    "A query can be chosen here where the extra [explore] is installed: pip install -e"
    " '.[explore]'"
)


class Seen(NamedTuple):
    """Where a model looks in n pictures."""

    maps: Maps  # (n, h, w) by name
    notes: Mapping[str, Sequence[str]] = MappingProxyType({})  # n above a map, by name


NOTHING = Seen({})


def ranked_list(ranking: pd.DataFrame, query: Path) -> Figure:
    """A query and its nearest pictures, each under its rank and distance.

    ranking   as photo_search.ranked gives it
    """
    own = ranking[ranking["query"] == query]
    pairs = zip(own["rank"], own["distance"], strict=True)
    captions = ["query", *(f"{rank} · {distance:.3f}" for rank, distance in pairs)]
    return image_grid([query, *own["gallery"]], captions, columns=len(captions))


def seen_in(embedder: Embedder, paths: Sequence[Path]) -> Seen:
    """Where a model looks, and what that is worth; nothing of a model without maps.

    FA-Net has its mask and heat maps, RGANet its regions with their scores, FLaN-Net
    the attention of its queries and of the class token, FBA that of captions, which lie
    beside the pictures, the combination its regions and the person.
    """
    paper = embedder.settings["model"]["call"].split(".")[1]
    if paper not in LOOKS:
        return NOTHING
    samples = [Sample(path, 0, 0) for path in paths]
    return LOOKS[paper](embedder.model, samples, tester_of(embedder, samples))


def maps_of(embedder: Embedder, paths: Sequence[Path]) -> Maps:
    """The maps alone, (n, h, w) by name."""
    return seen_in(embedder, paths).maps


def tester_of(embedder: Embedder, samples: Sequence[Sample]) -> Tester:
    """How a run was tested, for samples that have captions where its model reads them.

    Raises FileNotFoundError or ValueError for captions that are missing.
    """
    tester = Tester(
        embedder.transform,
        embedder.device,
        embedder.settings["batch_size"],
        flip_average=embedder.settings["flip_average"],
        distances=embedder.distances,
    )
    if not embedder.reads_captions:
        return tester
    context = embedder.model.text_tower.context_length
    return replace(tester, inputs=CaptionIds(captions_of(samples), context))


def _fanet(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Seen:
    return Seen(fanet.look(model, samples, tester).maps)


def _rganet(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Seen:
    names = REGIONS.get(model.num_regions, ())
    looks = rganet.look(model, samples, tester, names=names)
    if looks.masks is None:
        return NOTHING
    return Seen(*rganet.told(names, looks.masks, looks.scores))


def _flannet(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Seen:
    return Seen(flannet.titled(flannet.look(model, samples, tester).maps))


def _fba(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Seen:
    if not isinstance(tester.inputs, CaptionIds):
        return NOTHING
    return Seen(fba.look(model, samples, tester).maps)


def _combined(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Seen:
    if model.prototypes is None:
        return NOTHING
    names = REGIONS.get(len(model.prototypes), ())
    return Seen(combined.maps_of(combined.look(model, samples, tester, names=names)))


LOOKS: dict[str, Callable[[nn.Module, Sequence[Sample], Tester], Seen]] = {
    "fanet": _fanet,
    "rganet": _rganet,
    "flannet": _flannet,
    "fba": _fba,
    "combined": _combined,
}


def overlays(embedder: Embedder, paths: Sequence[Path]) -> Figure | None:
    """The maps of pictures laid over them, a row each; None of a model without maps."""
    maps, notes = seen_in(embedder, paths)
    if not maps:
        return None
    return mask_overlays(paths, maps, in_unit_range=SHARES & maps.keys(), notes=notes)


def few_queries(benchmark: Benchmark, count: int) -> Benchmark:
    """The benchmark with some of its queries, spread over all: the same for any run."""
    chosen = spread(len(benchmark.query), count).tolist()
    return benchmark._replace(query=tuple(benchmark.query[i] for i in chosen))


def matches(embedder: Embedder, benchmark: Benchmark, *, count: int) -> Figure:
    """Every query of a benchmark and the gallery's nearest, with who is right.

    Ignored for a query is what its search ignores: its person's images of its camera.
    """
    tester = tester_of(embedder, (*benchmark.query, *benchmark.gallery))
    found = tester.search(embedder.model, benchmark)
    order = ranking(found, range(len(benchmark.query)))
    return ranked_lists(benchmark.query, benchmark.gallery, order, count=count)


def explore(embedder: Embedder, ranking: pd.DataFrame) -> object:
    """A list of queries to choose from, which shows what the model makes of each.

    Without ipywidgets, words that say how to get it.
    """
    widgets = _widgets()
    if widgets is None:
        return REMEDY
    queries = list(dict.fromkeys(ranking["query"]))
    choice = widgets.Dropdown(
        options=[(path.name, place) for place, path in enumerate(queries)],
        description="query",
    )
    shown = widgets.interactive_output(
        lambda place: _show(embedder, ranking, queries[place]), {"place": choice}
    )
    return widgets.VBox([choice, shown])


def _show(embedder: Embedder, ranking: pd.DataFrame, query: Path) -> None:
    figures = [ranked_list(ranking, query), overlays(embedder, [query])]
    for figure in filter(None, figures):
        display(figure)
        plt.close(figure)


def _widgets() -> ModuleType | None:
    try:
        return importlib.import_module("ipywidgets")
    except ImportError:
        return None
