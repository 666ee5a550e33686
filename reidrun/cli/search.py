"""`reid search`: rank pictures in plain folders by a finished run."""

import argparse
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from reidlib import embedder as embedders
from reidlib.benchmarks import USE
from reidlib.files import write_text
from reidlib.photo_search import Embedded, embed_pictures, find_pictures, ranked
from reidlib.reading import shown
from reidrun.cli.arguments import Whole, refuse_outputs, run_folder
from reidrun.cli.messages import complain, say, short
from reidrun.reports.search_page import search_page
from reidrun.runs.errors import RunError
from reidrun.runs.folder import make_folder

OUT, TABLE, PAGE = "search", "ranking.csv", "index.html"


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid search` its arguments."""
    add = command.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a finished run")
    where = "a picture, or a folder of them"
    add("--query", type=Path, required=True, metavar="PLACE", help=where)
    where = "a folder of pictures to search"
    add("--gallery", type=Path, required=True, metavar="PLACE", help=where)
    where = f"folder for {TABLE} and {PAGE}, not in outputs/ (default: {OUT}/)"
    add("--out", type=Path, default=Path(OUT), metavar="DIR", help=where)
    words = "pictures in each list (default: %(default)s)"
    add("--count", action=Whole, default=10, metavar="K", help=words)
    add("--device", default="auto", help="auto | cpu | cuda | mps")
    command.set_defaults(command=search)


def search(args: argparse.Namespace, root: Path) -> int:
    """Embed, rank, and write a table and a page; say what was left out."""
    if args.count < 1:
        raise RunError(f"argument --count: {args.count} is not at least 1")
    run = run_folder(args.run, root / "outputs")
    refuse_outputs(args.out, root / "outputs", run)
    try:
        places = [find_pictures(place) for place in (args.query, args.gallery)]
        model = embedders.load(run, args.device)
        make_folder(args.out, "--out")
        say("\n".join(USE))
        embedded = [embed_pictures(model, p.paths, cache=args.out) for p in places]
        query, gallery = embedded
        ranking = ranked(model, query, gallery, count=args.count)
    except (FileNotFoundError, ValueError, FloatingPointError) as error:
        raise RunError(str(error)) from error
    left_out = _left_out(*(p.left_out for p in places), *(e.left_out for e in embedded))
    for line in left_out:
        complain(f"left out: {line}")
    write_text(args.out / TABLE, _table(ranking))
    page = search_page(
        ranking,
        model.settings,
        run="/".join(run.resolve().parts[-3:]),
        pictures=len(gallery.paths),
        left_out=left_out,
    )
    write_text(args.out / PAGE, page)
    _report(query, gallery, args.out)
    return 0


def _left_out(*parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for part in parts for line in part))


def _table(ranking: pd.DataFrame) -> str:
    names = {name: ranking[name].map(shown) for name in ("query", "gallery")}
    return ranking.assign(**names).to_csv(index=False, float_format="%.6f")


def _report(query: Embedded, gallery: Embedded, out: Path) -> None:
    counts = f"{len(query.paths)} queries, {len(gallery.paths)} pictures"
    say(f"{counts}: {short(out / TABLE)}, {short(out / PAGE)}")
