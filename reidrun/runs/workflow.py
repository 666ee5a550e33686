"""Snakemake, for machines with several GPUs and for clusters: its plans, its start.

workflow/Snakefile reads here which runs a configuration asks for; `reid sweep` writes
such a configuration and starts Snakemake, which queues the runs as a folder of
profiles/ says. Each run is a command `reid run`.
"""

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from reidlib.checks import unknown
from reidlib.files import write_text
from reidrun.runs import execute, params, sweep
from reidrun.runs.errors import ParameterError
from reidrun.runs.folder import is_complete
from reidrun.runs.locks import maker_of
from reidrun.runs.missing import refuse_missing_files
from reidrun.runs.plans import (
    Plan,
    make_plans,
    papers,
    refuse_other_parameters,
)
from reidrun.runs.stopping import Stopped

REID = (sys.executable, "-m", "reidrun.cli.main")
NO_PROFILE, DEFAULT_PROFILE = "none", "default"  # without Snakemake; on this machine
PATIENCE_SECONDS = 60  # for a queue that was told to stop


class Request(NamedTuple):
    """What a configuration asks for, under the names of workflow/config.yaml."""

    runs: list[str]  # papers, and ablations; all papers if none is named
    benchmarks: list[str]
    variants: list[str]
    seeds: list[int]
    scale: str | None
    parameters: dict[str, Any]
    outputs: Path
    data: Path

    @classmethod
    def read(cls, config: Mapping[str, Any], root: Path) -> Self:
        """Read a configuration, in which a word stands for a list of one.

        Raises ParameterError for a name that is none of these.
        """
        for name in config:
            if name not in cls._fields:
                raise ParameterError(unknown("name in the config", name, cls._fields))
        return cls(
            runs=_words(config.get("runs")) or sorted(papers(root)),
            benchmarks=_words(config.get("benchmarks")),
            variants=_words(config.get("variants")),
            seeds=[int(seed) for seed in _words(config.get("seeds"))],
            scale=config.get("scale") or None,
            parameters=config.get("parameters") or {},
            outputs=(root / str(config["outputs"])).resolve(),
            data=(root / str(config["data"])).resolve(),
        )

    def plans(self, name: str, root: Path) -> list[Plan]:
        """The runs of a paper, or of an ablation."""
        if _is_ablation(name, root):
            return self.ablation(name, root)
        names = self.variants or [params.FULL]
        variants = params.choose_variants(root / "params", name, names)
        made = make_plans(root, name, variants=variants, **self._settings())
        for plan in made:
            refuse_other_parameters(plan)
        return made

    def ablation(self, name: str, root: Path) -> list[Plan]:
        """The runs of an ablation."""
        more = {"variants": self.variants, "root": root}
        return sweep.plan(ablation=name, **more, **self._settings())

    def _settings(self) -> dict[str, Any]:
        return {
            "benchmarks": self.benchmarks,
            "seeds": self.seeds,
            "outputs": self.outputs,
            "data_root": self.data,
            "scale": self.scale,
            "overrides": self.parameters,
        }

    def page(self, name: str, root: Path) -> sweep.Page | None:
        """The page of an ablation, which shows no runs of other parameters."""
        if not _is_ablation(name, root) or self.scale or self.parameters:
            return None
        return sweep.plan_page(
            ablation=name,
            benchmarks=self.benchmarks,
            seeds=self.seeds,
            variants=self.variants,
            outputs=self.outputs,
            data_root=self.data,
            root=root,
        )

    def places(self) -> list[Any]:
        """Where data and runs lie, as options of a command."""
        return ["--outputs", self.outputs, "--data", self.data]


class PageOrder(NamedTuple):
    """How the page of an ablation is made, and from which metrics.json."""

    needs: list[str]
    command: str


class Batch(NamedTuple):
    """What rules are made of; places as seen from the root, absolute outside of it."""

    targets: list[str]  # all that is there at the end
    runs: dict[str, str]  # folder -> command, of what is not finished
    pages: dict[str, PageOrder]


def read(config: Mapping[str, Any], root: Path) -> Batch:
    """Plan what a configuration asks for.

    Raises ParameterError and RunError as `sweep.plan` does. Weights and data are not
    looked for: a queue need not see them, and each `reid run` asks where it runs.
    """
    asked = Request.read(config, root)
    targets, commands, pages = {}, {}, {}
    for name in asked.runs:
        plans = asked.plans(name, root)
        needs = [_metrics(plan, root) for plan in plans]
        targets |= dict.fromkeys(needs)
        commands |= {
            _seen(plan.folder, root): _run_command(plan, asked)
            for plan in plans
            if not is_complete(plan.folder)
        }
        if page := asked.page(name, root):
            order = PageOrder(needs, _sweep_command(name, asked))
            pages[_seen(page.output, root)] = order
    return Batch([*targets, *pages], commands, pages)


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(part) for part in value]
    return [] if value is None else str(value).split()


def _seen(path: Path, root: Path) -> str:
    root = root.resolve()
    inside = path.is_relative_to(root)
    return (path.relative_to(root) if inside else path).as_posix()


def _metrics(plan: Plan, root: Path) -> str:
    return _seen(plan.folder / "metrics.json", root)


def _is_ablation(name: str, root: Path) -> bool:
    return (root / "params" / "ablations" / f"{name}.yaml").is_file()


def _run_command(plan: Plan, asked: Request) -> str:
    words = [*REID, "run", plan.notebook.stem, "--on", plan.parameters["benchmark"]]
    words += ["--variant", plan.variant, "--seed", plan.parameters["seed"]]
    words += asked.places()
    words += ["--scale", asked.scale] if asked.scale else []
    for name, value in asked.parameters.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["-p", name, text]
    return shlex.join(map(str, words))


def _sweep_command(ablation: str, asked: Request) -> str:
    """Of a sweep whose runs are finished only the page is left to make."""
    words = [*REID, "sweep", ablation, "--on", *asked.benchmarks]
    words += ["--seeds", *asked.seeds, "--profile", NO_PROFILE]
    words += ["--variants", *asked.variants] if asked.variants else []
    return shlex.join(map(str, [*words, *asked.places()]))


def choose_profile(asked: str | None, root: Path) -> str:
    """Name the profile of a sweep: what was asked for, else `default` or NO_PROFILE.

    Raises ParameterError where there is no such profile, or no Snakemake.
    """
    snakefile = root / "workflow" / "Snakefile"
    installed = importlib.util.find_spec("snakemake") is not None
    if asked is None:
        return DEFAULT_PROFILE if installed and snakefile.is_file() else NO_PROFILE
    known = {path.parent.name for path in root.glob("profiles/*/config.yaml")}
    if asked not in known | {NO_PROFILE}:
        raise ParameterError(unknown("profile", asked, known | {NO_PROFILE}))
    if asked != NO_PROFILE and not installed:
        remedy = "pip install -e '.[batch]' brings it"
        raise ParameterError(f"profile {asked}: Snakemake is not installed; {remedy}")
    return asked


def run(
    plans: Sequence[Plan],
    asked: Request,
    *,
    profile: str,
    jobs: int | None,
    root: Path,
) -> list[sweep.Failure]:
    """Let Snakemake run what is missing of the plans; return what failed.

    asked   what the plans were made of
    jobs    side by side; the profile's number where it is None
    What Snakemake says is seen as it comes. With the default profile, which is of this
    machine, raises ParameterError where weights or data of a run are not here.
    """
    if jobs is not None:
        sweep.check_jobs(jobs)
    waiting = sweep.missing(plans)
    if not waiting:
        return []
    if profile == DEFAULT_PROFILE:
        refuse_missing_files(waiting)  # elsewhere each run asks where it runs
    for plan in waiting:
        (plan.folder / execute.ERROR_LOG).unlink(missing_ok=True)
    place = root / ".snakemake"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sweep-", dir=place) as folder:
        config = Path(folder, "config.json")
        write_text(config, json.dumps(asked._asdict(), default=str))
        command = _snakemake(waiting, config, profile, jobs, root)
        process = subprocess.Popen(command, cwd=root, start_new_session=True)
        try:
            process.wait()
        except Stopped:
            if profile == DEFAULT_PROFILE:  # else its runs are taken back
                _let_end(process, waiting)
            raise
        finally:
            _stop(process)
    return sweep.failures(plans)


def _snakemake(
    waiting: Sequence[Plan], config: Path, profile: str, jobs: int | None, root: Path
) -> list[str]:
    words = [sys.executable, "-m", "snakemake", "--nolock"]  # as two sweeps may run
    words += ["--snakefile", str(root / "workflow" / "Snakefile")]
    words += ["--workflow-profile", str(root / "profiles" / profile)]
    if profile == DEFAULT_PROFILE:
        threads = sweep.threads(jobs or 1)
        words += ["--cores", str((jobs or 1) * threads)]
        words += ["--set-threads", f"run={threads}"]
    elif jobs:
        words += ["--jobs", str(jobs)]
    words += ["--configfile", str(config)]
    return [*words, "--", *(_metrics(plan, root) for plan in waiting)]


def _let_end(process: subprocess.Popen, plans: Sequence[Plan]) -> None:
    """Tell runs of this machine to end their step and keep it, and wait for that.

    Snakemake starts no further ones, and waits for those that it has started.
    """
    process.terminate()
    told, ending = set(), time.monotonic() + sweep.STEP_SECONDS
    while process.poll() is None and time.monotonic() < ending:
        makers = {maker_of(plan.folder) for plan in plans} - told - {None}
        for maker in makers:
            if maker.is_here and not maker.is_dead:
                os.kill(maker.process, signal.SIGTERM)
        told |= makers
        time.sleep(sweep.PAUSE_SECONDS)


def _stop(process: subprocess.Popen) -> None:
    """Tell Snakemake and its runs here to stop; it takes back what it has queued."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
