"""What every notebook does first and last.

A paper's notebook begins with `run = start_run("fanet")` and ends with `run.save(...)`;
any other checks its parameters by `parameters = check_parameters()`, and an ablation's
opens its runs by `study = open_study(parameters)`.
"""

import inspect
import shutil
import tempfile
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from IPython.display import Code, Markdown, display

from reidlib import processes
from reidlib.benchmarks import Tally
from reidlib.data.image_cache import ImageCache
from reidlib.model_files import save_model
from reidlib.plots.style import compact_output
from reidlib.training.seeding import pick_device, seed_everything
from reidrun.reports import model_card, tables
from reidrun.reports.claims import as_list
from reidrun.reports.published import HEADLINES, published
from reidrun.reports.study import Study, gather
from reidrun.runs import sweep
from reidrun.runs.environment import ROOT, environment
from reidrun.runs.errors import ParameterError
from reidrun.runs.folder import flat, recorded, save_run, summary, write_scores
from reidrun.runs.injected import check_parameters, declared
from reidrun.runs.names import Tested, row_name, run_folder
from reidrun.runs.params import ablations_of, read_ablation
from reidrun.runs.progress import missing_tensorboard
from reidrun.watching import Watch, follow_trainings, is_live, join_others

if TYPE_CHECKING:
    from torch import nn

    from reidlib.evaluation.metrics import Scores
    from reidlib.evaluation.search import Tester

READ_AT_START = ("seed", "device", "image_cache", "data_root", "run_dir", "variant")
READ_AT_START += ("tensorboard",)
OF_PLANS = ("ablation", "benchmarks", "seeds", "variants")
READ_AT_OPENING = (*OF_PLANS, "outputs", "data_root", "run_missing", "jobs")


@dataclass(frozen=True)
class NotebookRun:
    """One run of a paper's notebook, from its first cell to its last.

    checked      the parameters as they were when it started
    cache        of decoded images; None where each is decoded anew
    checkpoint   where an unfinished training is kept; where nothing is kept (run_dir is
                 ""), until it is finished or the kernel ends
    watch        what a training shows and writes while it goes on
    started      what it runs on; a commit made while it runs is not what ran
    failed       what went wrong after the training, by what it was
    began        seconds of this machine's clock
    """

    paper: str
    checked: Mapping[str, Any]
    device: torch.device
    cache: ImageCache | None
    checkpoint: Path
    watch: Watch
    started: Mapping[str, Any]
    failed: dict[str, str] = field(default_factory=dict)
    untrained: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters; ParameterError where cells would use others by now.

        Asked before training and before the run is kept, so that what is recorded is
        what was used.
        """
        now = check_parameters()
        changed = [
            f"{name} was {self.checked.get(name)!r} when the run started and is"
            f" {now.get(name)!r} now: run the notebook from `start_run` on"
            for name in sorted(self.checked.keys() | now.keys())
            if self.checked.get(name) != now.get(name)
        ]
        if changed:
            raise ParameterError("\n".join(changed))
        return self.checked

    @property
    def run_dir(self) -> str:
        """Where this process keeps the run; "" in those that keep nothing."""
        return self.checked["run_dir"] if processes.is_main() else ""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """The parameters that a checkpoint is of: all but those of this machine."""
        return recorded(self.parameters)

    @contextmanager
    def after_training(self, what: str) -> Iterator[None]:
        """Look at what was trained; what is raised inside does not cost the run.

        It is shown and recorded with the run, and the notebook goes on. Where nothing
        is kept (run_dir is ""), nothing can be lost, and it is raised. Each process of
        several looks for itself, so that none waits for one that failed.
        """
        try:
            with processes.apart():
                yield
        except Exception as error:
            if not self.checked["run_dir"]:
                raise
            self.failed[what] = f"{type(error).__name__}: {error}"
            trace = "".join(traceback.format_exception(error))
            said = f"{what} failed; the run goes on.\n{trace}"
            display({"text/plain": said}, raw=True)

    def before_training(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Show what the untrained model scores, by benchmark, and record it at the end.

        As measures `mAP, untrained` and so on: tables have them in a row of their own.
        """
        for benchmark, found in scores.items():
            named = {f"{name}, untrained": value for name, value in found.items()}
            self.untrained.update(flat({benchmark: named}))
        table = (100 * pd.DataFrame(scores).T).round(1).add_suffix(" (%)")
        display(self.labelled(table.rename_axis("before training"), scores))

    def keep_scores(
        self, scores: Mapping[Tested, "Scores"], history: pd.DataFrame
    ) -> None:
        """Keep scores as soon as there are any, before anything is looked at."""
        if self.run_dir:
            write_scores(Path(self.checked["run_dir"]), scores, history)

    def scores_table(self, scores: Mapping[Tested, "Scores"]) -> pd.DataFrame:
        """Scores in percent, labelled with what the pictures show."""
        return tables.percent_table(scores, self.checked["data_root"])

    def labelled(self, table: pd.DataFrame, benchmarks: Iterable[str]) -> pd.DataFrame:
        """Write into a table's corner which pictures its benchmarks show."""
        return tables.labelled(table, benchmarks, self.checked["data_root"])

    def published(self, table: str) -> pd.DataFrame:
        """The paper's own rows of one of its tables, as printed."""
        return published(HEADLINES[self.paper].paper, table)

    def beside(self, table: str, scores: Mapping[Tested, "Scores"]) -> pd.DataFrame:
        """The same, and a row of ours in columns of its own, never in one of theirs."""
        data_root = self.checked["data_root"]
        return tables.beside_printed(self.published(table), scores, data_root)

    def data_sets(self, table: str, sets: Mapping[str, Tally]) -> pd.DataFrame:
        """The paper's counts of its data sets, beside their lists' and the run's."""
        return tables.data_sets(self.published(table), sets, self.checked["data_root"])

    def save(
        self,
        *,
        scores: Mapping[Tested, "Scores"],
        history: pd.DataFrame,
        model: "nn.Module | None" = None,
        tester: "Tester | None" = None,
        measures: Mapping[str, Mapping[str, float]] | None = None,
        seconds_before: float = 0.0,
    ) -> dict[str, Any]:
        """Keep the run, and return what it scored on the benchmark of its training.

        scores           by benchmark, or by a benchmark and how else it was searched
        model, tester    what was trained and how it was tested, which reidlib.load
                         reads from the run; without them no model is kept
        measures         other numbers by benchmark and name; one that is not finite is
                         left out, and recorded among what failed
        seconds_before   of trainings before the one in `history`
        """
        found: dict[str, float] = {}
        with self.after_training("measures"):
            found = self.untrained | flat(measures or {})
        lost = {name: value for name, value in found.items() if not isfinite(value)}
        for name in lost:
            with self.after_training(name):
                raise ValueError(f"{name} is {lost[name]}, which is no measure")
        if model is not None and self.run_dir:
            with self.after_training("model"):
                self._keep_model(model, tester, scores)
        record = save_run(
            self.run_dir,
            paper=self.paper,
            parameters=self.parameters,
            scores=scores,
            history=history,
            measures={n: value for n, value in found.items() if n not in lost},
            failed=self.failed,
            seconds=seconds_before + sum(history.attrs["seconds"]),
            started=self.started,
            seconds_in_all=time.monotonic() - self.began,
        )
        self.watch.close()
        return record["scores"][self.checked["benchmark"]]

    def _keep_model(
        self, model: "nn.Module", tester: "Tester", scores: Mapping[Tested, "Scores"]
    ) -> None:
        folder = Path(self.checked["run_dir"])
        known = {row_name(tested): summary(score) for tested, score in scores.items()}
        facts = model_card.facts(self.paper, self.parameters, known, self.started)
        save_model(folder, model, tester, facts)
        model_card.write(folder)


def start_run(paper: str) -> NotebookRun:
    """Begin a paper's notebook: nothing random and nothing slow has happened before.

    Checks the parameters, seeds everything, picks the device, opens the image cache,
    and sets how figures are stored. Raises ParameterError for unknown parameters and
    wrong types, ValueError for a device that is not there.
    """
    parameters = declared(check_parameters(), READ_AT_START)
    if fault := missing_tensorboard(parameters):
        raise ParameterError(fault)
    started = environment()
    compact_output()
    seed_everything(parameters["seed"])
    device = pick_device(parameters["device"])
    join_others(device, parameters)
    folder = Path(parameters["run_dir"]) if parameters["run_dir"] else None
    kept = folder if processes.is_main() else None
    follow_trainings(kept, live=is_live())
    scratch = None if folder else Path(tempfile.mkdtemp(prefix="reid-"))
    run = NotebookRun(
        paper,
        parameters,
        device,
        ImageCache.at(parameters["image_cache"], parameters["data_root"]),
        (folder or scratch) / "checkpoint.pt",
        Watch(kept, scratch, events=_events(paper, parameters), live=is_live()),
        started,
    )
    if scratch:
        weakref.finalize(run, shutil.rmtree, scratch, ignore_errors=True)
    return run


def _events(paper: str, parameters: Mapping[str, Any]) -> Path | None:
    """Where TensorBoard finds a run: below the folder as below the outputs."""
    if not (parameters["tensorboard"] and processes.is_main()):
        return None
    named = {name: parameters[name] for name in ("benchmark", "variant", "seed")}
    return run_folder(Path(parameters["tensorboard"]), paper=paper, **named)


def open_study(parameters: Mapping[str, Any], scale: str | None = None) -> Study:
    """Open the runs of an ablation; those that are missing are made if it is asked for.

    parameters   ablation, benchmarks, seeds, variants, outputs and data_root, which
                 `sweep.plan` takes; run_missing; how many `jobs` at a time; others
    scale        of params/scales; where it is None, each benchmark's usual one
    """
    compact_output()
    declared(parameters, READ_AT_OPENING)
    asked = {name: parameters[name] for name in OF_PLANS} | {"scale": scale}
    places = {name: Path(parameters[name]) for name in ("outputs", "data_root")}
    ablation = read_ablation(ROOT / "params", parameters["ablation"])
    plans, failures = sweep.plan(**asked, **places, rows=ablation.variants), []
    if parameters["run_missing"]:
        failures = sweep.run(plans, parameters["jobs"])
    missing = len(sweep.missing(plans))
    said = f"{len(plans)} runs, {missing} missing, {len(failures)} failed"
    display(Markdown(said))
    study = gather(ablation, plans)
    if study.left_out:
        display(as_list(["damaged and left out:", *study.left_out]))
    return replace(study, siblings=tuple(_siblings(**asked, **places)))


def _siblings(*, ablation: str, variants: list[str], **asked: Any) -> Iterator[Study]:
    """The other ablations of a paper that claim something, with the rows they name."""
    for other in ablations_of(ROOT / "params", ablation.partition("_")[0]):
        read = read_ablation(ROOT / "params", other)
        if read.claims and other != ablation:
            wanted = {"ablation": other, "variants": read.compared, **asked}
            yield gather(read, sweep.plan(**wanted, rows=read.variants))


def show_source(*parts: Callable | type) -> Code:
    """Show functions and classes as they are written, one after the other."""
    sources = (dedent(inspect.getsource(part)) for part in parts)
    return Code("\n\n".join(sources).rstrip(), language="python")
