"""The commands `reid data`: check a folder, print a layout, fill a folder.

    reid data check market1501 <folder>      reid data check own <folder>
    reid data tree market1501
    reid data extract cuhk03np_labeled <folder>
    reid data fixture market1501 <folder> [--full-size]
    reid data render concourse <folder> [--height 256]
    reid data pack concourse <folder>

Nothing is downloaded, and no command says where a data set is to be had.
"""

import argparse
import textwrap
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from reidlib import benchmarks
from reidlib.benchmarks import DataError, fixtures
from reidlib.benchmarks.readers import cuhk03
from reidlib.checks import unknown
from reidlib.reading import shown
from reidlib.rendered import RECIPES, pack, write_world
from reidlib.rendered.shot import HEIGHT
from reidrun.cli.arguments import WIDTH, list_names
from reidrun.cli.messages import complain, say
from reidrun.runs.errors import ParameterError

RELEASED = ("cuhk03np_detected", "cuhk03np_labeled")
NO_DOWNLOAD = "Nothing is downloaded here. Follow the terms that came with your copy."
Action = Callable[[argparse.Namespace], None]


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid data` its actions."""
    actions = command.add_subparsers(required=True, metavar="ACTION")
    for name, (text, carry_out, known) in ACTIONS.items():
        action = actions.add_parser(name, help=text)
        list_names(action, benchmarks=known)
        action.add_argument("benchmark", metavar="BENCHMARK", help="e.g. market1501")
        if carry_out is not show_tree:
            action.add_argument("folder", type=Path, metavar="FOLDER")
        action.set_defaults(command=partial(_carry_out, carry_out, known))
    text = "as many people and images as the real set has, not a few"
    actions.choices["fixture"].add_argument(
        "--full-size", action="store_true", help=text
    )
    text = "of an image in pixels, twice its width (default: %(default)s)"
    actions.choices["render"].add_argument(
        "--height", type=int, default=HEIGHT, help=text
    )


def _carry_out(
    action: Action, known: Collection[str], args: argparse.Namespace, root: Path
) -> int:
    """Exit code 1 for data that are not what they should be."""
    if args.benchmark not in known:
        raise ParameterError(unknown("benchmark", args.benchmark, known))
    try:
        action(args)
    except DataError as error:
        return complain(error)
    return 0


def check_data(args: argparse.Namespace) -> None:
    """Print the numbers of a folder beside the published ones; name what differs."""
    report = benchmarks.check(args.benchmark, args.folder)
    say(f"{report.title}\n\n{report.table.to_string(index=False)}")
    if report.faults:
        raise DataError("\n".join(report.faults))


def show_tree(args: argparse.Namespace) -> None:
    """Print layout, size, protocol and terms of use of a benchmark."""
    name = args.benchmark
    say(f"{benchmarks.title_of(name)}\n\n{benchmarks.TREES[name]}\n")
    if name in benchmarks.PUBLISHED:
        for split, (people, images, cameras) in benchmarks.sizes(name).items():
            counts = f"{people:6,} identities {images:7,} images {cameras:3} cameras"
            say(f"{split:8}{counts}")
        say("")
    if name in benchmarks.TRAINED_ON:
        say(f"{_wrapped(benchmarks.training_fault(name))}\n")
    said = [benchmarks.PROTOCOLS[name], benchmarks.TERMS[name]]
    if name in benchmarks.PUBLISHED:
        said.append(NO_DOWNLOAD)
    say("\n\n".join(map(_wrapped, said)))


def extract_images(args: argparse.Namespace) -> None:
    """Write the images of cuhk-03.mat into the folder of the configuration."""
    folder, count = cuhk03.extract(args.folder, args.benchmark)
    say(f"{folder}: {count:,} images")


def draw_fixture(args: argparse.Namespace) -> None:
    """Write drawn pedestrians in a benchmark's layout; say that they are drawn."""
    name, folder = args.benchmark, args.folder
    tally = fixtures.write_fixture(name, folder, full_size=args.full_size)
    images = ", ".join(f"{split.images:,}" for split in tally[:3])
    say(
        f"{folder}: drawn pedestrians in the layout of {benchmarks.TITLES[name]};"
        f" train, query, gallery: {images} images"
    )


def render_people(args: argparse.Namespace) -> None:
    """Render a world of people into a folder, or go on where that was stopped."""
    try:
        root = write_world(args.benchmark, args.folder, height=args.height)
    except (ImportError, FileExistsError, ValueError) as error:
        raise ParameterError(str(error)) from None
    say(f"{root}: rendered people, in the layout of {benchmarks.TITLES['market1501']}")


def pack_people(args: argparse.Namespace) -> None:
    """Write the archive of a rendered set, from which it is unpacked on first use."""
    try:
        path = pack(args.benchmark, args.folder)
    except (FileNotFoundError, ValueError) as error:
        raise ParameterError(str(error)) from None
    say(f"{shown(path)}: {path.stat().st_size / 1e6:.1f} MB")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH)


ACTIONS: dict[str, tuple[str, Action, Collection[str]]] = {
    "check": (
        "count and open every image of a folder",
        check_data,
        (*benchmarks.BENCHMARKS, benchmarks.OWN),
    ),
    "tree": (
        "print the layout that is expected",
        show_tree,
        (*benchmarks.BENCHMARKS, benchmarks.OWN),
    ),
    "extract": (
        "write the images of CUHK03's raw release, cuhk-03.mat, as files",
        extract_images,
        RELEASED,
    ),
    "fixture": (
        "write drawn pedestrians in the layout of a benchmark",
        draw_fixture,
        benchmarks.PUBLISHED,
    ),
    "render": (
        "render a world of people, by the extra [render]",
        render_people,
        RECIPES,
    ),
    "pack": (
        "write the archive of a rendered set, which is shipped",
        pack_people,
        RECIPES,
    ),
}
