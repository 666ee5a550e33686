"""The commands `reid data`: check a folder, print a layout, unpack or draw in one.

    reid data check market1501 <folder>
    reid data tree market1501
    reid data extract cuhk03np_labeled <folder>
    reid data fixture market1501 <folder> [--full-size]

Nothing is downloaded, and no command says where a data set is to be had.
"""

import argparse
import textwrap
from pathlib import Path

from reidlib.benchmarks.catalog import TITLES
from reidlib.checks import unknown
from reidrun.cli.arguments import WIDTH, listed
from reidrun.runs.schema import ParameterError

RELEASED = ("cuhk03np_detected", "cuhk03np_labeled")
NO_DOWNLOAD = "Nothing is downloaded here. Follow the terms that came with your copy."


class FaultyDataError(RuntimeError):
    """A folder that is not what it should be, or that cannot be drawn in."""


def describe(data: argparse.ArgumentParser) -> None:
    """Give the parser of `reid data` its actions."""
    actions = data.add_subparsers(required=True, metavar="ACTION")
    add, names = actions.add_parser, listed(benchmarks=TITLES)
    check = add("check", help="count and open every image of a folder", **names)
    tree = add("tree", help="print the layout that is expected", **names)
    text = "write drawn pedestrians in the layout of a benchmark"
    fixture = add("fixture", help=text, **names)
    text = "write the images of CUHK03's raw release, cuhk-03.mat, as files"
    extract = add("extract", help=text, **listed(benchmarks=RELEASED))
    for action in (check, tree, extract, fixture):
        action.add_argument("benchmark", metavar="BENCHMARK", help="e.g. market1501")
    for action in (check, extract, fixture):
        action.add_argument("folder", type=Path, metavar="FOLDER")
    text = "as many people and images as the real set has, not a few"
    fixture.add_argument("--full-size", action="store_true", help=text)
    check.set_defaults(command=check_data)
    tree.set_defaults(command=show_tree)
    extract.set_defaults(command=extract_images)
    fixture.set_defaults(command=draw_fixture)


def check_data(args: argparse.Namespace, root: Path) -> int:
    """Print the numbers of a folder beside the published ones; name what differs."""
    from reidlib import benchmarks

    _refuse_unknown(args.benchmark, benchmarks.BENCHMARKS)
    try:
        report = benchmarks.check(args.benchmark, args.folder)
    except benchmarks.DataError as error:
        raise FaultyDataError(error) from None
    print(f"{report.title}\n\n{report.table.to_string(index=False)}")
    if report.faults:
        raise FaultyDataError("\n".join(report.faults))
    return 0


def show_tree(args: argparse.Namespace, root: Path) -> int:
    """Print layout, size, protocol and terms of use of a benchmark."""
    from reidlib import benchmarks

    _refuse_unknown(args.benchmark, benchmarks.BENCHMARKS)
    name = args.benchmark
    print(f"{benchmarks.TITLES[name]}\n\n{benchmarks.TREES[name]}\n")
    if name in benchmarks.PUBLISHED:
        for split, (people, images, cameras) in benchmarks.sizes(name).items():
            counts = f"{people:6,} identities {images:7,} images {cameras:3} cameras"
            print(f"{split:8}{counts}")
        print()
    if name in benchmarks.TRAINED_ON:
        print(f"{_wrapped(benchmarks.training_fault(name))}\n")
    said = benchmarks.PROTOCOLS[name], benchmarks.TERMS[name], NO_DOWNLOAD
    print("\n\n".join(map(_wrapped, said)))
    return 0


def extract_images(args: argparse.Namespace, root: Path) -> int:
    """Write the images of cuhk-03.mat into the folder of the configuration."""
    from reidlib.benchmarks import DataError
    from reidlib.benchmarks.readers import cuhk03

    _refuse_unknown(args.benchmark, RELEASED)
    try:
        folder, count = cuhk03.extract(args.folder, args.benchmark)
    except DataError as error:
        raise FaultyDataError(error) from None
    print(f"{folder}: {count:,} images")
    return 0


def draw_fixture(args: argparse.Namespace, root: Path) -> int:
    """Write drawn pedestrians in a benchmark's layout; say that they are drawn."""
    from reidlib import benchmarks
    from reidlib.benchmarks import fixtures

    _refuse_unknown(args.benchmark, benchmarks.PUBLISHED)
    try:
        tally = fixtures.write_fixture(
            args.benchmark, args.folder, full_size=args.full_size
        )
    except benchmarks.DataError as error:
        raise FaultyDataError(error) from None
    images = ", ".join(f"{split.images:,}" for split in tally[:3])
    print(
        f"{args.folder}: drawn pedestrians in the layout of"
        f" {benchmarks.TITLES[args.benchmark]}; train, query, gallery: {images} images"
    )
    return 0


def _refuse_unknown(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ParameterError(unknown("benchmark", name, known))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH)
