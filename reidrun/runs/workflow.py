"""Batches: what workflow/Snakefile runs, and `reid sweep` through it.

Snakemake (the extra `batch`) queues runs here or on a cluster, as a folder of profiles/
says. The plans are those of `sweeps`; each run is a command `reid run`.
"""

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reidlib.checks import unknown
from reidrun.runs import execute, params, sweep
from reidrun.runs import folder as runs
from reidrun.runs.plans import (
    Plan,
    make_plan,
    refuse_missing_files,
    refuse_other_parameters,
)
from reidrun.runs.schema import ParameterError

REID = (sys.executable, "-m", "reidrun.cli.main")
NO_PROFILE, DEFAULT_PROFILE = "none", "default"  # no Snakemake; it, on this machine
NAMES = ("runs", "benchmarks", "variants", "seeds")
NAMES += ("scale", "parameters", "outputs", "data")
LOG = Path(".snakemake", "sweep.log")
PAUSE_SECONDS = 0.5  # between two looks at what has ended
PATIENCE_SECONDS = 60  # for a queue that was told to stop


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
    """Plan what workflow/config.yaml or `snakemake --config` asks for.

    config   the names of workflow/config.yaml; a word stands for a list of one
    Raises ParameterError and RunError as `sweeps.plan` does. Weights and data are not
    looked for: who queues runs need not see them, each `reid run` asks where it runs.
    """
    for name in config:
        if name not in NAMES:
            raise ParameterError(unknown("name in the config", name, NAMES))
    several = {name: _words(config.get(name)) for name in NAMES[:4]}
    places = {name: (root / str(config[name])).resolve() for name in NAMES[6:]}
    scale, parameters = config.get("scale") or None, config.get("parameters") or {}
    asked = {
        "root": root,
        "benchmarks": several["benchmarks"],
        "seeds": [int(seed) for seed in several["seeds"]],
        "variants": several["variants"],
        "outputs": places["outputs"],
        "data_root": places["data"],
    }
    values = {"scale": scale, "overrides": parameters}
    plans, pages = {}, {}
    for name in several["runs"]:
        made = _plan(name, **asked, **values)
        plans |= {_seen(plan.folder, root): plan for plan in made}
        page = None
        if _is_ablation(name, root) and not (scale or parameters):
            page = sweep.plan_page(**asked, ablation=name)
        if page:
            needs = [_metrics(plan, root) for plan in made]
            order = PageOrder(needs, _sweep_command(name, several, places))
            pages[_seen(page.output, root)] = order
    commands = {
        folder: _run_command(plan, places, scale, parameters)
        for folder, plan in plans.items()
        if not runs.is_complete(plan.folder)
    }
    targets = [_metrics(plan, root) for plan in plans.values()]
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


def _plan(name: str, *, root: Path, **asked: Any) -> list[Plan]:
    """The runs of an ablation, or of a paper."""
    if _is_ablation(name, root):
        return sweep.plan(root=root, ablation=name, **asked)
    seeds, benchmarks = asked.pop("seeds"), asked.pop("benchmarks")
    variants = asked.pop("variants") or [params.FULL]
    made = [
        make_plan(root, name, benchmark=benchmark, seed=seed, variant=variant, **asked)
        for seed in seeds
        for benchmark in benchmarks
        for variant in variants
    ]
    for plan in made:
        refuse_other_parameters(plan)
    return made


def _run_command(
    plan: Plan,
    places: Mapping[str, Path],
    scale: str | None,
    parameters: Mapping[str, Any],
) -> str:
    words = [*REID, "run", plan.notebook.stem, "--on", plan.parameters["benchmark"]]
    words += ["--variant", plan.variant, "--seed", plan.parameters["seed"]]
    words += [word for name in places for word in (f"--{name}", places[name])]
    words += ["--scale", scale] if scale else []
    for name, value in parameters.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["-p", name, text]
    return shlex.join(map(str, words))


def _sweep_command(
    ablation: str, several: Mapping[str, list[str]], places: Mapping[str, Path]
) -> str:
    """Of a sweep whose runs are finished only the page is left to make."""
    words = [*REID, "sweep", ablation, "--on", *several["benchmarks"]]
    words += ["--seeds", *several["seeds"], "--profile", NO_PROFILE]
    words += ["--variants", *several["variants"]] if several["variants"] else []
    words += [word for name in places for word in (f"--{name}", places[name])]
    return shlex.join(map(str, words))


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
    config: Mapping[str, Any],
    *,
    profile: str,
    jobs: int | None,
    root: Path,
    report: Callable[[str], object] = print,
) -> list[sweep.Failure]:
    """Run what is missing through Snakemake; return what failed, as `sweeps.run` does.

    config    what `read` gets, and makes the same plans of
    jobs      side by side; the profile's number where it is None
    With the default profile, which is of this machine, raises ParameterError where
    weights or data of a run are not here.
    """
    if jobs is not None:
        sweep.check_jobs(jobs)
    waiting, total = sweep.missing(plans), len(plans)
    report(f"{total} runs, {total - len(waiting)} already there")
    if not waiting:
        return []
    if profile == DEFAULT_PROFILE:
        refuse_missing_files(waiting)  # elsewhere runs ask where they run
    for plan in waiting:
        (plan.folder / execute.ERROR_LOG).unlink(missing_ok=True)
    command = _snakemake(waiting, config, profile=profile, jobs=jobs, root=root)
    (root / LOG).parent.mkdir(exist_ok=True)
    with (root / LOG).open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=root, start_new_session=True
        )
    try:
        ended = False
        while waiting and not ended:
            ended = process.poll() is not None
            for plan in [one for one in waiting if runs.is_complete(one.folder)]:
                waiting.remove(plan)
                count = total - len(waiting)
                outcome = sweep.describe(plan.folder, _seconds(plan.folder))
                report(f"[{count:{len(str(total))}}/{total}] {plan.title}: {outcome}")
            time.sleep(0 if ended else PAUSE_SECONDS)
        process.wait()
    finally:
        _stop(process)
    for count, plan in enumerate(waiting, total - len(waiting) + 1):
        report(f"[{count:{len(str(total))}}/{total}] {plan.title}: FAILED")
    return [sweep.Failure(plan, _reason(plan)) for plan in waiting]


def _seconds(folder: Path) -> float:
    """From a run's first file to its last, by the clock of the files."""
    first, last = folder / "params.yaml", folder / "metrics.json"
    return last.stat().st_mtime - first.stat().st_mtime


def _snakemake(
    waiting: Sequence[Plan],
    config: Mapping[str, Any],
    *,
    profile: str,
    jobs: int | None,
    root: Path,
) -> list[str]:
    words = [sys.executable, "-m", "snakemake", "--nolock"]  # as two sweeps may run
    words += ["--snakefile", str(root / "workflow" / "Snakefile")]
    words += ["--workflow-profile", str(root / "profiles" / profile)]
    if profile == DEFAULT_PROFILE:
        jobs = jobs or 1
        threads = sweep.threads(jobs)
        words += ["--cores", str(jobs * threads), "--set-threads", f"run={threads}"]
    elif jobs:
        words += ["--jobs", str(jobs)]
    words += ["--config", *(f"{name}={json.dumps(config[name])}" for name in config)]
    return [*words, "--", *(_metrics(plan, root) for plan in waiting)]


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


def _reason(plan: Plan) -> str:
    path = plan.folder / execute.ERROR_LOG
    text = path.read_text("utf-8").strip() if path.is_file() else ""
    return text.splitlines()[-1] if text else f"no error.log; see {LOG.as_posix()}"
