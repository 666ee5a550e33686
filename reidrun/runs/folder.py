"""Run folders, and the record that marks a run as finished.

outputs/<benchmark>/<paper>/<variant>-s<seed>/ holds params.yaml, history.csv,
queries.csv.gz, run.ipynb and metrics.json; until that is there, scores.json, as soon as
the model was tested. metrics.json is written last and marks the run as finished; the
notebook does not, for a killed kernel leaves it marked as completed.
"""

import gzip
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from reidlib.benchmarks import PICTURES, knows_cameras, pictures_of
from reidlib.files import write_bytes, write_text
from reidlib.reading import read_json, shown
from reidrun.runs.environment import environment, peak_memory
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.names import OF_THIS_MACHINE, Tested, row_name
from reidrun.runs.params import FULL, read_layer

if TYPE_CHECKING:
    from reidlib.evaluation.metrics import Scores

RANKS = (1, 3, 5, 10, 20)
SCORES = ["mAP", *(f"rank{k}" for k in RANKS), "num_valid", "num_skipped"]
ADDED = {  # newer than some kept runs: the value they were made with
    "always_fused": False,
    "bnneck": True,
    "captions": "given",
    "centre_weight": 0.0,
    "compile": False,
    "dai_alone": "softmax",
    "dai_bias": True,
    "erasing_fill": "noise",
    "last_stride": 1,
    "maps_of": "text",
    "mirrored": False,
    "positives": "mean",
    "query_residual": False,
    "rerank": False,
    "triplets": "hardest",
}
AGAIN = "run it again with --fresh"
QUERIES = "queries.csv.gz"
EARLY = "scores.json"  # until there is metrics.json
EVALUATED = "evaluated.json"  # on other sets, by `reid evaluate`
PROGRESS = "progress.log"  # while it is trained
ERROR_LOG = "error.log"  # of what went wrong
MARKS = ("params.yaml", "metrics.json", "checkpoint.pt", "run.ipynb")  # of a run
NO_CAMERAS = ", without cameras: only the query itself is ignored"


def pictures(*told: Mapping[str, Any]) -> str:
    """What tested pictures are in the heading of a table.

    told   what a record says of them, or the record, as `pictures_in` takes it;
           `cameras` is there if they are not known

    >>> pictures({"pictures": "photographs", "cameras": False})
    'photographs, without cameras: only the query itself is ignored'
    """
    known = told[0].get("cameras", True)
    return PICTURES[pictures_in(*told)] + ("" if known else NO_CAMERAS)


def make_folder(folder: Path, option: str = "--outputs") -> None:
    """Make a folder that an option names; RunError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"{shown(folder)} cannot be made ({error.strerror})"
        raise RunError(f"{said}: name another folder by {option}") from None


def benchmark_of(tested: Tested) -> str:
    """The benchmark of a test, however it was searched."""
    name = tested if isinstance(tested, str) else tested[0]
    if " " in name:
        raise ValueError(f"{name!r} is no benchmark; write (benchmark, search)")
    return name


def pictures_in(*said: Mapping[str, Any]) -> str:
    """Which pictures the first that says so is of, a key of benchmarks.PICTURES.

    said   scores of a record, or the record; those of old runs say `drawn` or not

    >>> pictures_in({"mAP": 0.5}, {"drawn": False})
    'photographs'
    """
    for values in said:
        if "pictures" in values:
            return values["pictures"]
        if "drawn" in values:
            return "drawn" if values["drawn"] else "photographs"
    raise KeyError("pictures")


def recorded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a run records: all but those of this machine.

    The variant is none of them: a record has it beside its parameters.
    """
    left_out = (*OF_THIS_MACHINE, "variant")
    return {name: value for name, value in parameters.items() if name not in left_out}


def write_parameters(folder: Path, parameters: Mapping[str, Any]) -> None:
    """Write params.yaml of a run."""
    text = yaml.safe_dump(recorded(parameters), sort_keys=False, allow_unicode=True)
    write_text(folder / "params.yaml", text)


def differing(folder: Path, parameters: Mapping[str, Any]) -> dict[str, tuple]:
    """Compare a run folder with parameters: name -> (there, wanted) where they differ.

    Without params.yaml those of the record count; a folder without either differs in
    nothing. A parameter that is newer than the run has the value that the run was made
    with (ADDED). Raises RunError for a params.yaml that cannot be read.
    """
    there = _parameters_of(folder)
    if not there:
        return {}
    wanted = recorded(parameters)
    there = {name: ADDED[name] for name in ADDED if name in wanted} | there
    return {
        name: (there.get(name), wanted.get(name))
        for name in sorted(there.keys() | wanted.keys())
        if there.get(name) != wanted.get(name)
    }


def _parameters_of(folder: Path) -> dict[str, Any]:
    path = folder / "params.yaml"
    if path.is_file():
        try:
            return read_layer(path)
        except ParameterError as error:
            remedy = "--fresh throws the run away, --outputs DIR keeps both"
            raise RunError(f"{shown(path)}: {error}; {remedy}") from None
    return read_metrics(folder).get("parameters", {}) if is_complete(folder) else {}


def throw_away(folder: Path) -> None:
    """Delete a folder if it holds a run, or what is left of one."""
    if any((folder / name).exists() for name in MARKS):
        shutil.rmtree(folder)


def drop_checkpoint(folder: Path) -> None:
    """Delete what a training goes on from, if its run left a model in its place."""
    if is_complete(folder) and (folder / "model.json").is_file():
        (folder / "checkpoint.pt").unlink(missing_ok=True)


def is_complete(folder: Path) -> bool:
    """Whether the run of a folder is finished."""
    return (folder / "metrics.json").is_file()


def save_run(
    run_dir: str,
    *,
    paper: str,
    parameters: Mapping[str, Any],
    scores: Mapping[Tested, "Scores"],
    history: pd.DataFrame,
    seconds: float,
    seconds_in_all: float | None = None,
    measures: Mapping[str, float] | None = None,
    failed: Mapping[str, str] | None = None,
    started: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the record of a run, and write it to `run_dir` unless that is "".

    scores     by benchmark, or by a benchmark and how else it was searched
    measures   other numbers by name, e.g. the mask's overlap with the person
    seconds    wall time of training; in all, of the notebook with its pauses
    failed     looks after training that went wrong, by what they were
    started    the environment when the run began, now by default: a commit made while
               it ran is not what ran
    Raises ValueError for a number that is not finite.
    """
    benchmark, root = parameters["benchmark"], parameters.get("data_root")
    record = {
        "paper": paper,
        "benchmark": benchmark,
        "pictures": pictures_of(benchmark, root),
        "variant": parameters.get("variant", FULL),
        "seed": parameters["seed"],
        "scores": {
            row_name(tested): summary(score) | shown_in(benchmark_of(tested), root)
            for tested, score in scores.items()
        },
        "measures": {name: float(value) for name, value in (measures or {}).items()},
        **({"failed": dict(failed)} if failed else {}),
        "parameters": recorded(parameters),
        "seconds": round(seconds, 1),
        **({"seconds_in_all": round(seconds_in_all, 1)} if seconds_in_all else {}),
        "peak_memory_mib": peak_memory(),
        **(environment() if started is None else started),
    }
    _refuse_nonfinite(record)
    if run_dir:
        folder = Path(run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_parameters(folder, parameters)
        write_scores(folder, scores, history)
        write_text(folder / "metrics.json", _as_json(record))
        (folder / EARLY).unlink(missing_ok=True)
    return record


def shown_in(benchmark: str, root: str | None) -> dict[str, str | bool]:
    """What a record says of a benchmark's pictures, and if cameras are not known."""
    known = {} if knows_cameras(benchmark, root) else {"cameras": False}
    return {"pictures": pictures_of(benchmark, root), **known}


def write_scores(
    folder: Path, scores: Mapping[Tested, "Scores"], history: pd.DataFrame
) -> None:
    """Write what there is of a run once it has scores; its looks may still fail.

    scores.json is for people: it does not mark the run as finished, and makes room for
    metrics.json, which has the same scores.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {row_name(tested): summary(score) for tested, score in scores.items()}
    write_text(folder / EARLY, _as_json(found))
    write_text(folder / "history.csv", history.to_csv(index=False))
    write_queries(folder, scores)


def keep_evaluation(
    folder: Path, benchmark: str, scores: "Scores", data_root: Path
) -> None:
    """Write what a finished run scores on one more set, beside what is known."""
    path = folder / EVALUATED
    known = read_json(path, "delete it", raises=RunError) if path.is_file() else {}
    told = summary(scores) | shown_in(benchmark, str(data_root))
    write_text(path, _as_json(known | {benchmark: told}))


def _as_json(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    return text + "\n"


def flat(qualities: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Measures by benchmark and name as one record, `plaza: mask IoU` and so on."""
    return {
        f"{benchmark}: {name}": float(value)
        for benchmark, values in qualities.items()
        for name, value in values.items()
    }


def write_queries(folder: Path, scores: Mapping[Tested, "Scores"]) -> None:
    """Write queries.csv.gz: what every query scored, for statistics over queries."""
    parts = {
        row_name(tested): pd.DataFrame(
            {
                "pid": score.query_pids.numpy(),
                "average_precision": score.average_precisions.numpy().round(5),
                "first_rank": score.first_ranks.numpy(),
            }
        )
        for tested, score in scores.items()
    }
    table = pd.concat(parts, names=["tested_on", "query"])
    write_bytes(folder / QUERIES, gzip.compress(table.to_csv().encode(), mtime=0))


def summary(scores: "Scores") -> dict[str, float | int]:
    """The scores of a search by name, as a record has them."""
    cmc = scores.cmc.tolist()
    ranks = {f"rank{k}": cmc[min(k, len(cmc)) - 1] for k in RANKS}
    counts = {"num_valid": scores.num_valid, "num_skipped": scores.num_skipped}
    return {"mAP": float(scores.mean_ap), **ranks, **counts}


def _refuse_nonfinite(record: Mapping[str, Any], place: str = "") -> None:
    for name, value in record.items():
        if isinstance(value, Mapping):
            _refuse_nonfinite(value, f"{place}{name}.")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{place}{name} is {value}; a finite number is wanted")


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read metrics.json of a finished run."""
    return read_json(folder / "metrics.json", AGAIN, raises=RunError)
