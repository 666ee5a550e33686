"""`reid evaluate`: a finished run, tested on other sets without training."""

import argparse
from pathlib import Path

from reidlib import embedder as embedders
from reidlib import scoring
from reidlib.benchmarks import DataError, load_benchmark
from reidrun.cli.arguments import add_folder, find_run
from reidrun.cli.messages import say, short
from reidrun.reports.tables import percent_table
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import EVALUATED, keep_evaluation
from reidrun.runs.plans import place_of
from reidrun.runs.records import read_record


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid evaluate` its arguments."""
    add = command.add_argument
    text = "folder of a finished run, e.g. outputs/plaza/fanet/full-s0"
    add("run", type=Path, metavar="RUN", help=text)
    text = "sets to test on, e.g. station own:crops"
    add("--on", required=True, nargs="+", metavar="BENCHMARK", help=text)
    text = "auto (the GPU where there is one) | cpu | cuda (default: %(default)s)"
    add("--device", default="auto", help=text)
    add_folder(command, "--data", root / "data", "that holds the benchmarks' folders")
    add_folder(command, "--outputs", root / "outputs", "of the runs")
    command.set_defaults(command=evaluate)


def evaluate(args: argparse.Namespace, root: Path) -> int:
    """Print what the run scores on each set, and keep it in the run's folder."""
    folder = find_run(args.run, args.outputs)
    names = list(dict.fromkeys(place_of(name, args.data) for name in args.on))
    try:
        embedder = embedders.load(folder, args.device)  # a set may take minutes to draw
        sets = {name: load_benchmark(name, args.data) for name in names}
    except DataError as error:
        raise ParameterError(str(error)) from error
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        raise RunError(str(error)) from error
    record, scores = read_record(folder), {}
    for name, benchmark in sets.items():
        try:
            scores[name] = scoring.score(embedder, benchmark)
        except (FileNotFoundError, ValueError) as error:
            raise RunError(f"{name}: {error}") from error
        keep_evaluation(folder, name, scores[name], args.data)
    trained = f"{record['paper']}, {record['variant']}, seed {record['seed']}"
    say(f"{trained}, trained on {record['benchmark']}\n")
    say(percent_table(scores, str(args.data)).to_string())
    say(f"\n{short(folder / EVALUATED)}")
    return 0
