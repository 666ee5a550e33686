"""`reid export`: a finished run's model for other programs, or small to pass on."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidlib import embedder as embedders
from reidlib import exporting, scoring
from reidlib.benchmarks import DataError, load_benchmark
from reidlib.embedder import Embedder
from reidlib.reading import shown
from reidrun.cli.arguments import add_folder, run_folder
from reidrun.cli.messages import say, short
from reidrun.reports import model_card
from reidrun.runs.errors import RunError
from reidrun.runs.folder import MARKS, make_folder, summary

SMALL = "small"


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid export` its arguments."""
    add = command.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a finished run")
    names = ", ".join(f"{kind}: {name}" for kind, name in exporting.KINDS.items())
    names += f", {SMALL}: a folder as the run's, weights in 8 bits, scored anew"
    add("--to", required=True, choices=[*exporting.KINDS, SMALL], help=names)
    text = f"folder to write to (default: the run's; {SMALL} needs another one)"
    add("--out", type=Path, metavar="DIR", help=text)
    where = f"that holds the benchmarks' folders, on which {SMALL} is scored"
    add_folder(command, "--data", root / "data", where)
    command.set_defaults(command=export)


def export(args: argparse.Namespace, root: Path) -> int:
    """Write the model, once it is seen to give what the run's model gives."""
    run = run_folder(args.run, root / "outputs")
    out = args.out or run
    if args.to == SMALL:
        _refuse_runs(out, run)
    try:
        embedder = embedders.load(run, "cpu")
        make_folder(out, "--out")
        if args.to == SMALL:
            return _export_small(embedder, out, args.data)
        path, difference = exporting.export(embedder, out, args.to)
    except (DataError, FileNotFoundError, ValueError, ImportError) as error:
        raise RunError(str(error)) from error
    tried = f"batches of {exporting.BATCH} and {exporting.SMALLEST}"
    size = path.stat().st_size / 1e6
    say(f"{short(path)}: {size:.1f} MB; at most {difference:.0e} off in {tried}")
    return 0


def _refuse_runs(out: Path, run: Path) -> None:
    """Raise RunError where weights in 8 bits would replace those of a run."""
    if out.resolve() == run.resolve():
        raise RunError(f"{SMALL} would replace the run's own weights: give --out DIR")
    if any((out / name).exists() for name in MARKS):
        said = f"{shown(out)} holds another run, whose weights {SMALL} would replace"
        raise RunError(f"{said}: give another --out")


def _export_small(embedder: Embedder, out: Path, data_root: Path) -> int:
    """Write weights in 8 bits with a card, and say what rounding them cost."""
    name = embedder.settings["data"]["trained_on"]
    benchmark = load_benchmark(name, data_root)
    found: dict[str, Mapping[str, Any]] = {}

    def scores_of(rounded: Embedder) -> dict[str, Mapping[str, Any]]:
        found[name] = summary(scoring.score(rounded, benchmark))
        return found

    path = exporting.export_small(embedder, out, scores_of)
    model_card.write(out)
    before, after = embedder.settings["scores"][name], found[name]
    moved = [f"{n} {before[n]:.3f} -> {after[n]:.3f}" for n in ("mAP", "rank1")]
    size = path.stat().st_size / 1e6
    say(f"{short(path)}: {size:.1f} MB; on {name} {', '.join(moved)}")
    return 0
