"""`reid look`: where finished runs look in a benchmark and whom they find, as pictures.

FA-Net's Fig. 7, and its Fig. 8 on a set that was not trained on; RGANet's Fig. 4 and,
of its baseline and the whole method, Fig. 5; Fig. 4 of FLaN-Net and of FBA. They show
the benchmark's people, and so lie beside its data.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from reidlib import embedder as embedders
from reidlib import explorer
from reidlib.benchmarks import USE, DataError, load_benchmark, pictures_of
from reidlib.files import written_whole
from reidrun.cli.arguments import Whole, add_folder, refuse_outputs, run_folder
from reidrun.cli.messages import say, short
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import make_folder
from reidrun.runs.plans import place_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BESIDE = "figures"  # in the folder of the data
DPI = 160


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid look` its arguments."""
    add = command.add_argument
    text = "folders of finished runs, e.g. the baseline and the whole method"
    add("runs", nargs="+", type=Path, metavar="RUN", help=text)
    text = "the set that they look at, e.g. market1501"
    add("--on", required=True, metavar="BENCHMARK", help=text)
    words = "how many queries, spread over all (default: %(default)s)"
    add("--queries", action=Whole, default=6, metavar="N", help=words)
    words = "pictures in each list (default: %(default)s)"
    add("--count", action=Whole, default=10, metavar="K", help=words)
    text = f"not in outputs/ (default: {BESIDE}/BENCHMARK in the folder of the data)"
    add("--out", type=Path, metavar="DIR", help=text)
    add("--device", default="auto", help="auto | cpu | cuda | mps")
    add_folder(command, "--data", root / "data", "that holds the benchmarks' folders")
    add_folder(command, "--outputs", root / "outputs", "of the runs")
    command.set_defaults(command=look)


def look(args: argparse.Namespace, root: Path) -> int:
    """Draw the same queries for each run, and say where the pictures are."""
    for option in ("queries", "count"):
        if getattr(args, option) < 1:
            raise RunError(f"--{option} is {getattr(args, option)}, not at least 1")
    name = place_of(args.on, args.data)
    runs = _named([run_folder(place, args.outputs) for place in args.runs])
    out = args.out or args.data / BESIDE / name
    refuse_outputs(out, root / "outputs", args.outputs, *runs.values())
    try:
        models = {title: embedders.load(at, args.device) for title, at in runs.items()}
        benchmark = load_benchmark(name, args.data)
        make_folder(out, "--out")
        if pictures_of(name, args.data) == "photographs":
            say("\n".join(USE))
        few = explorer.few_queries(benchmark, args.queries)
        paths = [sample.path for sample in few.query]
        for title, model in models.items():
            maps = explorer.overlays(model, paths)
            if maps is None:
                say(f"{title}: this model has no maps")
            else:
                _write(maps, out / f"{title}-maps.png")
            lists = explorer.matches(model, few, count=args.count)
            _write(lists, out / f"{title}-lists.png")
    except DataError as error:
        raise ParameterError(str(error)) from error
    except (FileNotFoundError, ValueError, FloatingPointError) as error:
        raise RunError(str(error)) from error
    return 0


def _named(folders: list[Path]) -> dict[str, Path]:
    """Runs by what their pictures are called; RunError where two would be the same."""
    named: dict[str, Path] = {}
    for folder in folders:
        title = "-".join(folder.resolve().parts[-3:])
        if named.setdefault(title, folder) is not folder:
            raise RunError(f"{title} is there twice: look at one after the other")
    return named


def _write(figure: "Figure", path: Path) -> None:
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
    say(short(path))
