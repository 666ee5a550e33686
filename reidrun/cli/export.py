"""`reid export`: a finished run's model for programs without this repository."""

import argparse
from pathlib import Path

from reidlib import embedder as embedders
from reidlib import exporting
from reidrun.cli.messages import say, short
from reidrun.runs.errors import RunError


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid export` its arguments."""
    add = command.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a finished run")
    names = ", ".join(f"{kind}: {name}" for kind, name in exporting.KINDS.items())
    add("--to", required=True, choices=exporting.KINDS, help=names)
    text = "folder to write to (default: the run's)"
    add("--out", type=Path, metavar="DIR", help=text)
    command.set_defaults(command=export)


def export(args: argparse.Namespace, root: Path) -> int:
    """Write the model, once it is seen to give what the run's model gives."""
    try:
        embedder = embedders.load(args.run, "cpu")
        out = args.out or args.run
        path, difference = exporting.export(embedder, out, args.to)
    except (FileNotFoundError, ValueError, ImportError) as error:
        raise RunError(str(error)) from error
    tried = f"batches of {exporting.BATCH} and {exporting.SMALLEST}"
    size = path.stat().st_size / 1e6
    say(f"{short(path)}: {size:.1f} MB; at most {difference:.0e} off in {tried}")
    return 0
