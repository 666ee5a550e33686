"""One static page of ranked lists: photographs beside their distances, no script."""

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from reidlib.benchmarks import USE
from reidlib.data.pictures import read_picture
from reidlib.reading import shown

SHOWN = 50  # queries on the page
SIZE, QUALITY = (192, 256), 80  # pixels and JPEG quality of a picture on it
TEMPLATES = Path(__file__).parents[1] / "assets"


class Answer(NamedTuple):
    """One picture of a list: a place in it, None for the query, and its distance."""

    uri: str
    width: int
    height: int
    name: str
    rank: int | None
    distance: float | None


def search_page(
    ranking: pd.DataFrame,
    settings: Mapping[str, Any],
    *,
    run: str,
    pictures: int,
    left_out: tuple[str, ...],
) -> str:
    """The page as HTML, with small copies of the pictures in it.

    ranking    query, rank, gallery, distance, as photo_search.ranked gives it
    settings   of the model, from its model.json
    run        what the run is called
    pictures   how many were searched
    left_out   what could not be used, a line each
    """
    names = list(dict.fromkeys(ranking["query"]))
    known: dict[Path, tuple[str, int, int]] = {}
    lists = []
    for query in names[:SHOWN]:
        own = ranking[ranking["query"] == query]
        answers = [
            Answer(*_small(row.gallery, known), shown(row.gallery.name), rank, distance)
            for row, rank, distance in zip(
                own.itertuples(), own["rank"], own["distance"], strict=True
            )
        ]
        first = Answer(*_small(query, known), shown(query), None, None)
        lists.append((first, answers))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("search.html").render(
        lists=lists,
        queries=len(names),
        settings=settings,
        run=run,
        pictures=pictures,
        left_out=left_out,
        use=USE,
    )


def _small(path: Path, known: dict[Path, tuple[str, int, int]]) -> tuple:
    if path not in known:
        image = read_picture(path)
        image.thumbnail(SIZE, Image.Resampling.BICUBIC)
        file = BytesIO()
        image.save(file, "JPEG", quality=QUALITY)
        content = b64encode(file.getvalue()).decode()
        known[path] = (f"data:image/jpeg;base64,{content}", *image.size)
    return known[path]
