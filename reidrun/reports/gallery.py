"""The gallery: one static page over the executed notebooks in outputs/.

A run shows its last figure, what its model sees; an ablation its first, the table
drawn. The page is made of notebooks and records alone: the same runs, the same page.
"""

import ast
import hashlib
import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from reidrun.reports.published import HEADLINES
from reidrun.runs.errors import RunError
from reidrun.runs.folder import PICTURES
from reidrun.runs.params import owners, read_ablation

TEMPLATES = Path(__file__).parents[1] / "assets"
RUN, ABLATION, WEIGHTS = "*/*/*/run.ipynb", "*/*/*.ipynb", "*/run.ipynb"
WEIGHTS_TITLE = "Weights that come with the repository"
SMALL, QUALITY = (640, 360), 70  # pixels and JPEG quality of a picture on the page
DIGITS = 12  # of a figure's digest
SHORT = ("Fig", "Sec", "Eq", "al")  # a full stop behind them ends no sentence
SENTENCE_END = "".join(rf"(?<!\b{word}\.)" for word in SHORT) + r"(?<=[.!?])\s+"


class Picture(NamedTuple):
    """A figure of a notebook, made small.

    origin   digest of the notebook's own figure; small bytes depend on a library
    says     what the notebook says of it
    """

    uri: str
    width: int
    height: int
    origin: str
    says: str


class Card(NamedTuple):
    """What the page shows of one notebook.

    section    the paper's name
    pictures   what its benchmarks show; "" where that does not matter
    facts      by name, in words
    """

    section: str
    title: str
    sentence: str
    link: str
    pictures: str
    facts: dict[str, str]
    picture: Picture | None


def page(
    outputs: Path,
    found: pd.DataFrame,
    root: Path,
    among: Collection[Path] | None = None,
) -> str:
    """The gallery as HTML: no script, nothing fetched, links relative to `outputs`.

    found   finished runs, as `collect` gives them
    among   the files to show; all that are there if not given
    """
    sections: dict[str, list[Card]] = {}
    for card in cards(outputs, found, root, among):
        sections.setdefault(card.section, []).append(card)
    return rendered("gallery.html", sections=sections)


def rendered(template: str, **values: Any) -> str:
    """A page made of a template in assets/; what it does not know is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)


def cards(
    outputs: Path,
    found: pd.DataFrame,
    root: Path,
    among: Collection[Path] | None = None,
) -> list[Card]:
    """A card for every executed notebook; a run that is not finished has none.

    found, among   as for `page`, whose order is that of the cards
    """
    return sorted(_cards(outputs, found, root, among), key=_order)


def _cards(
    outputs: Path, found: pd.DataFrame, root: Path, among: Collection[Path] | None
) -> Iterator[Card]:
    def notebooks(place: str) -> Iterator[Path]:
        there = sorted(outputs.glob(place))
        return (path for path in there if among is None or path in among)

    for path in notebooks(RUN):
        folder = path.parent.relative_to(outputs)
        run = found[found["folder"] == folder.as_posix()]
        own = run[(run["tested_on"] == run["benchmark"]) & (run["search"] == "")]
        for _, row in own.iterrows():
            facts = {name: str(row[name]) for name in ("benchmark", "variant", "seed")}
            facts |= {"mAP": f"{100 * row.mAP:.1f} %"}
            facts |= {"rank-1": f"{100 * row['rank1']:.1f} %"}
            yield _card(outputs, path, row["paper"], _pictures(own), facts)
    for path in notebooks(ABLATION):
        runs = _runs_of(path, found, root)
        facts = {
            "trained on": ", ".join(sorted(set(runs["benchmark"]))),
            "seeds": ", ".join(map(str, sorted(set(runs["seed"])))),
            "runs": str(runs["folder"].nunique()),
        }
        facts = facts if len(runs) else {}
        yield _card(outputs, path, path.parent.name, _pictures(runs), facts, first=True)
    for path in notebooks(WEIGHTS):
        name = Path(str(_values(_read(path)).get("weights_path", ""))).name
        yield _card(outputs, path, "", "", {"file": name} if name else {})


def _card(
    outputs: Path,
    path: Path,
    paper: str,
    pictures: str,
    facts: dict[str, str],
    *,
    first: bool = False,
) -> Card:
    book = _read(path)
    section = HEADLINES[paper].paper if paper in HEADLINES else paper.capitalize()
    shown = list(_figures(book))
    figure = _small(*shown[0 if first else -1]) if shown else None
    link = path.relative_to(outputs).as_posix()
    words = (section or WEIGHTS_TITLE, *_title(book), link)
    return Card(*words, pictures, facts, figure)


def _order(card: Card) -> tuple:
    papers = [headline.paper for headline in HEADLINES.values()]
    place = papers.index(card.section) if card.section in papers else len(papers)
    is_weights = card.section == WEIGHTS_TITLE
    return is_weights, place, card.section, -card.link.count("/"), card.link


def _pictures(runs: pd.DataFrame) -> str:
    return " and ".join(sorted({PICTURES[bool(drawn)] for drawn in runs["drawn"]}))


def _runs_of(path: Path, found: pd.DataFrame, root: Path) -> pd.DataFrame:
    """The finished runs that the page of an ablation gathers."""
    values = _values(_read(path))
    name = values.get("ablation", "")
    known = owners(root / "params" / "ablations")
    rows = read_ablation(root / "params", name).variants if name in known else []
    variants = values.get("variants") or [row.name for row in rows]
    return found[
        (found["paper"] == path.parent.name)
        & found["variant"].isin(variants)
        & found["benchmark"].isin(values.get("benchmarks", []))
        & found["seed"].isin(values.get("seeds", []))
    ]


def _read(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(path, as_version=nbformat.NO_CONVERT)
    except Exception as error:  # nbformat raises what its parsers raise
        raise RunError(f"{path}: no notebook ({error})") from None


def _values(book: nbformat.NotebookNode) -> dict[str, Any]:
    """The parameters that a notebook was executed with."""
    values = {}
    for cell in book.cells:
        if {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", [])):
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.Assign | ast.AnnAssign):
                    target = getattr(node, "targets", [getattr(node, "target", None)])
                    values[ast.unparse(target[0])] = ast.literal_eval(node.value)
    return values


def _title(book: nbformat.NotebookNode) -> tuple[str, str]:
    """A notebook's title, and the first sentence of the last paragraph under it."""
    prose = [cell.source for cell in book.cells if cell.cell_type == "markdown"]
    heading, *paragraphs = (prose[0] if prose else "").split("\n\n")
    said = re.split(SENTENCE_END, paragraphs[-1]) if paragraphs else [""]
    own = [text for text in said if not text.startswith("*")]  # a paper's title
    return _plain(heading.removeprefix("# ")), _plain((own or said)[0])


def _figures(book: nbformat.NotebookNode) -> Iterator[tuple[bytes, str]]:
    """The first figure of every cell that has one, and what is said before it."""
    said = ""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"^#.*$", "", cell.source, flags=re.MULTILINE).strip()
            said = _plain(re.split(SENTENCE_END, prose)[0]) or said
        data = [output.get("data", {}) for output in cell.get("outputs", [])]
        kinds = ("image/jpeg", "image/png")
        images = [found[kind] for found in data for kind in kinds if kind in found]
        if images:
            yield b64decode(images[0]), said


def _small(content: bytes, says: str) -> Picture:
    """Make a figure small; of one that is taller than wide, the top."""
    image = Image.open(BytesIO(content)).convert("RGB")
    if image.height > image.width:
        image = image.crop((0, 0, image.width, image.width * SMALL[1] // SMALL[0]))
    image.thumbnail(SMALL)
    file = BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    uri = f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
    return Picture(uri, *image.size, hashlib.sha256(content).hexdigest()[:DIGITS], says)


def _plain(markdown: str) -> str:
    """Markdown without its marks; Greek letters and dots of formulas are written."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"\\mathcal\s*\{?(\w)\}?", r"\1", text.replace("^*", "∗"))
    text = re.sub(r"\\([a-z]+)", _greek, text)
    return re.sub(r"[`*$]", "", " ".join(text.split()))


def _greek(command: re.Match) -> str:
    if command[1] in ("dots", "ldots", "cdots"):
        return "…"
    try:
        return unicodedata.lookup(f"GREEK SMALL LETTER {command[1]}")
    except KeyError:
        return command[1]
