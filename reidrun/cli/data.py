"""The commands `reid data`: check a folder, print a layout, unpack or draw in one.

    reid data check market1501 <folder>
    reid data tree market1501
    reid data extract cuhk03np_labeled <folder>
    reid data fixture market1501 <folder> [--full-size]

Nothing is downloaded, and no command says where a data set is to be had.
"""

import argparse
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from reidlib import benchmarks
from reidlib.benchmarks import DataError, fixtures
from reidlib.benchmarks.readers import cuhk03
from reidlib.checks import unknown
from reidrun.cli.arguments import WIDTH, list_names
from reidrun.cli.messages import complain
from reidrun.runs.errors import ParameterError

RELEASED = ("cuhk03np_detected", "cuhk03np_labeled")
NO_DOWNLOAD = "Nothing is downloaded here. Follow the terms that came with your copy."


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid data` its actions."""
    actions = command.add_subparsers(required=True, metavar="ACTION")
    known = benchmarks.BENCHMARKS

    def add(
        name: str, text: str, carry_out: Callable, of: Iterable[str] = known
    ) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text)
        list_names(action, benchmarks=of)
        action.add_argument("benchmark", metavar="BENCHMARK", help="e.g. market1501")
        action.set_defaults(command=carry_out)
        return action

    check = add("check", "count and open every image of a folder", check_data)
    add("tree", "print the layout that is expected", show_tree)
    text = "write the images of CUHK03's raw release, cuhk-03.mat, as files"
    extract = add("extract", text, extract_images, RELEASED)
    text = "write drawn pedestrians in the layout of a benchmark"
    fixture = add("fixture", text, draw_fixture)
    for action in (check, extract, fixture):
        action.add_argument("folder", type=Path, metavar="FOLDER", help="of it")
    text = "as many images as are published, instead of a few"
    fixture.add_argument("--full-size", action="store_true", help=text)
