"""`reid params`: what a run would be given, as a file that papermill takes."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from reidrun.cli.arguments import Whole, add_values
from reidrun.cli.messages import say
from reidrun.runs import params
from reidrun.runs.plans import Plan, make_plan, papers, scale_of
from reidrun.runs.schema import notebook_schema


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid params` its arguments, which are those of one `reid run`."""
    add = command.add_argument
    add("paper", metavar="PAPER", help=f"one of {', '.join(sorted(papers(root)))}")
    add("--on", required=True, metavar="BENCHMARK", help="e.g. plaza")
    text = "a row of an ablation of the paper, e.g. baseline (default: %(default)s)"
    add("--variant", default=params.FULL, help=text)
    add("--seed", action=Whole, default=0, help="of everything random")
    add_values(command, root)
    command.set_defaults(command=show_parameters)


def show_parameters(args: argparse.Namespace, root: Path) -> int:
    """Print a line for each parameter: value, meaning and range, where it comes from.

    What is printed is YAML with the parameters of that run.
    """
    overrides = dict(args.parameter)
    plan = make_plan(
        root,
        args.paper,
        benchmark=args.on,
        seed=args.seed,
        outputs=args.outputs,
        data_root=args.data,
        variant=args.variant,
        scale=args.scale,
        overrides=overrides,
    )
    variants = params.choose_variants(root / "params", args.paper, [args.variant])
    origins = params.sources(
        root / "params",
        variants[0],
        paper=args.paper,
        benchmark=args.on,
        scale=scale_of(root, args.on, args.scale),
        given=overrides,
    )
    say("\n".join([*_head(plan), *_lines(plan, origins)]))
    return 0


def _head(plan: Plan) -> list[str]:
    notebook = f"notebooks/{plan.notebook.name}"
    command = f"papermill --cwd notebooks {notebook} OUT.ipynb -f THIS_FILE"
    return [f"# {plan.title}: {command}", "# name: value  # meaning and range [source]"]


def _lines(plan: Plan, origins: dict[str, str]) -> list[str]:
    schema = notebook_schema(plan.notebook)
    return [
        f"{name}: {_as_yaml(value)}  # {schema[name].meaning} [{origins[name]}]"
        for name, value in plan.parameters.items()
    ]


def _as_yaml(value: Any) -> str:
    """A value as it stands in a line of YAML.

    >>> _as_yaml(5e-6), _as_yaml([40, 80]), _as_yaml("no"), _as_yaml("")
    ('5.0e-06', '[40, 80]', "'no'", "''")
    """
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1e6)
    return text.removesuffix("...\n").strip()
