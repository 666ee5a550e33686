"""What may follow `reid run` and `reid sweep`, and what their --help lists."""

import argparse
import textwrap
from functools import partial
from pathlib import Path
from typing import NoReturn

from reidlib.benchmarks.catalog import TITLES
from reidrun.runs import params
from reidrun.runs.plans import papers

WIDTH = 88
NO_NUMBER = "is not a whole number"


class Parser(argparse.ArgumentParser):
    """Names what is no number in one line; else shows the use of the command."""

    def error(self, message: str) -> NoReturn:
        """Leave with code 2."""
        if message.endswith(NO_NUMBER):
            self.exit(2, f"reid: {message}\n")
        super().error(message)


def listed(**names: object) -> dict[str, object]:
    """What a parser is made with to list names below its help, a kind each."""
    lines = [f"{kind}: {', '.join(sorted(of))}" for kind, of in names.items()]
    filled = [textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in lines]
    keep = argparse.RawDescriptionHelpFormatter
    return {"epilog": "\n".join(filled), "formatter_class": keep}


def names_for_run(root: Path) -> dict[str, object]:
    """The names that `reid run` knows, as `listed` has them."""
    scales = params.owners(root / "params" / "scales")
    return listed(papers=papers(root), benchmarks=TITLES, scales=scales)


def names_for_sweep(root: Path) -> dict[str, object]:
    """The names that `reid sweep` knows, as `listed` has them."""
    ablations = params.owners(root / "params" / "ablations")
    scales = params.owners(root / "params" / "scales")
    return listed(ablations=ablations, benchmarks=TITLES, scales=scales)


def describe_run(run: argparse.ArgumentParser, root: Path) -> None:
    """Give the parser of `reid run` its arguments."""
    run.add_argument("papers", nargs="+", metavar="PAPER", help="e.g. fanet")
    run.add_argument("--on", required=True, metavar="BENCHMARK", help="e.g. plaza")
    text = "a row of an ablation of the paper, e.g. baseline (default: %(default)s)"
    run.add_argument("--variant", default=params.FULL, help=text)
    run.add_argument("--seed", type=whole, default=0, help="of everything random")
    _add_values(run, root)
    run.add_argument("--fresh", action="store_true", help="throw an earlier run away")
    run.add_argument("--html", action="store_true", help="write the run as a page too")
    run.add_argument("--log", action="store_true", help="show what the cells print")


def describe_sweep(sweep: argparse.ArgumentParser, root: Path) -> None:
    """Give the parser of `reid sweep` its arguments."""
    text = "a file of params/ablations, or its name: fanet_components"
    sweep.add_argument("ablation", metavar="ABLATION", help=text)
    several = partial(sweep.add_argument, nargs="+", metavar="NAME")
    several("--on", required=True, help="benchmarks, e.g. plaza station")
    several("--variants", default=[], help="rows of the ablation; all if not given")
    several("--seeds", required=True, type=whole, metavar="SEED", help="e.g. 0 1 2")
    text = (
        "runs side by side (1, or what a profile says); they share the cores unless"
        " OMP_NUM_THREADS is set, and another number of threads changes results in"
        " their last bits"
    )
    sweep.add_argument("--jobs", type=whole, metavar="N", help=text)
    text = (
        "a folder of profiles/ that says where Snakemake queues the runs, e.g. slurm;"
        " default where it is installed, else none: one after another without it"
    )
    sweep.add_argument("--profile", metavar="NAME", help=text)
    _add_values(sweep, root)


def _add_values(command: argparse.ArgumentParser, root: Path) -> None:
    text = "tiny (for drawn benchmarks) or full (for real ones) if not given"
    command.add_argument("--scale", help=text)
    command.add_argument(
        *("-p", "--parameter"),
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="override one parameter; it becomes part of the run's name",
    )
    add_folder(command, "--data", root / "data", "that holds the benchmarks' folders")


def add_folder(
    parser: argparse.ArgumentParser, option: str, default: Path, what: str
) -> None:
    """Give a parser an option that names a folder."""
    words = f"folder {what}; {default.name}/ beside notebooks/ if not given"
    parser.add_argument(option, type=Path, default=default, metavar="DIR", help=words)


def whole(text: str) -> int:
    """Read a whole number.

    >>> whole("-1")
    -1
    """
    try:
        return int(text)
    except ValueError:
        message = f"{text!r} {NO_NUMBER}"
        raise argparse.ArgumentTypeError(message) from None
