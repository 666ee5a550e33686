"""A search to look at: a query, its list, and where the model looks.

With the optional ipywidgets a query is chosen from a list; else figures remain.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor, nn

from reidlib.analysis import fanet, fba, flannet, rganet
from reidlib.data.captions import CaptionIds, captions_of
from reidlib.data.samples import Sample
from reidlib.embedder import Embedder
from reidlib.evaluation.search import Tester
from reidlib.models.rganet_prompts import REGIONS
from reidlib.plots import image_grid, mask_overlays

Maps = dict[str, Tensor]
SHARES = fanet.IN_UNIT_RANGE | {name for names in REGIONS.values() for name in names}
REMEDY = (
    "A query can be chosen here where the extra [explore] is installed: pip install -e"
    " '.[explore]'"
)


def ranked_list(ranking: pd.DataFrame, query: Path) -> Figure:
    """A query and its nearest pictures, each under its rank and distance.

    ranking   as photo_search.ranked gives it
    """
    own = ranking[ranking["query"] == query]
    pairs = zip(own["rank"], own["distance"], strict=True)
    captions = ["query", *(f"{rank} · {distance:.3f}" for rank, distance in pairs)]
    return image_grid([query, *own["gallery"]], captions, columns=len(captions))


def maps_of(embedder: Embedder, paths: Sequence[Path]) -> Maps:
    """Where a model looks, (n, h, w) by name; nothing of a model without maps.

    FA-Net has its mask and heat maps, RGANet its regions, FLaN-Net the attention of its
    queries, FBA that of captions, which lie beside the pictures.
    """
    paper = embedder.settings["model"]["call"].split(".")[1]
    if paper not in LOOKS:
        return {}
    samples = [Sample(path, 0, 0) for path in paths]
    tester = Tester(embedder.transform, embedder.device, batch_size=len(samples))
    if embedder.reads_captions:
        context = embedder.model.text_tower.context_length
        tester = replace(tester, inputs=CaptionIds(captions_of(samples), context))
    return LOOKS[paper](embedder.model, samples, tester)


def _fanet(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Maps:
    return fanet.look(model, samples, tester).maps


def _rganet(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Maps:
    names = REGIONS.get(model.num_regions, ())
    looks = rganet.look(model, samples, tester, names=names)
    if looks.masks is None:
        return {}
    return dict(zip(names, looks.masks[:, 1:].unbind(1), strict=True))


def _flannet(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Maps:
    return flannet.titled(flannet.look(model, samples, tester).maps)


def _fba(model: nn.Module, samples: Sequence[Sample], tester: Tester) -> Maps:
    if not isinstance(tester.inputs, CaptionIds):
        return {}
    return fba.look(model, samples, tester).maps


LOOKS: dict[str, Callable[[nn.Module, Sequence[Sample], Tester], Maps]] = {
    "fanet": _fanet,
    "rganet": _rganet,
    "flannet": _flannet,
    "fba": _fba,
}


def overlays(embedder: Embedder, paths: Sequence[Path]) -> Figure | None:
    """The maps of pictures laid over them, a row each; None of a model without maps."""
    maps = maps_of(embedder, paths)
    shares = SHARES & maps.keys()
    return mask_overlays(paths, maps, in_unit_range=shares) if maps else None


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
