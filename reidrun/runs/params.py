"""Parameters of a run: flat YAML layers, merged and checked against the schema.

The last wins: base, papers/<paper>, papers/<paper>@<benchmark>, scales/<scale>,
scales/<scale>@<paper>, the same @<pictures>, which are drawn, rendered or photographs,
the same @<benchmark>, the variant's overrides, the command line. In a notebook,
`check_parameters` of injected.py checks what papermill injected.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from reidlib.benchmarks import pictures_of
from reidlib.checks import unknown
from reidlib.reading import read_text, reading
from reidrun.runs.asked import FULL, Ablation, Variant
from reidrun.runs.errors import ParameterError
from reidrun.runs.schema import Schema, validate

GIVEN = ("benchmark", "data_root", "run_dir", "seed", "variant")  # by the command


class _Loader(yaml.SafeLoader):
    """Plain YAML that refuses a name given twice, where PyYAML takes the last.

    Aliases are refused too: a few lines of them can stand for gigabytes.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            line = event.start_mark.line + 1
            raise ParameterError(f"*{event.anchor}, line {line}: write out the value")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        counts = Counter(map(str, names))
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            line = node.start_mark.line + 1
            raise ParameterError(f"{', '.join(twice)}: given twice, from line {line}")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file; an empty file is an empty mapping."""
    remedy = "write lines `name: value`"
    text = read_text(path, remedy, raises=ParameterError)
    with reading(path, remedy, raises=ParameterError):
        try:
            content = deepcopy(_loaded(text))
        except (ParameterError, yaml.YAMLError) as error:
            raise ParameterError(f"{_short(path)}: {error}") from None
    return {} if content is None else content


@cache  # a study reads the same few files for hundreds of runs
def _loaded(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def read_layer(path: Path) -> dict[str, Any]:
    """Read one flat layer: names to plain values or lists of them."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ParameterError(f"{_short(path)}: lines `name: value` are wanted")
    for name, value in content.items():
        parts = value if isinstance(value, list) else [value]
        if not isinstance(name, str) or any(isinstance(p, dict | list) for p in parts):
            raise ParameterError(
                f"{_short(path)}: {name}: nested, or no name; write flat names"
                " (prefix_name) with plain values"
            )
    return content


def _short(path: Path) -> str:
    start = next((p for p in path.parents if p.name == "params"), path.parent)
    return path.relative_to(start.parent).as_posix()


def owners(folder: Path) -> set[str]:
    """Name what has a layer of its own in a folder: every file without an @."""
    return {path.stem for path in folder.glob("*.yaml") if "@" not in path.stem}


def ablations_of(params: Path, paper: str) -> list[str]:
    """Name the ablations of a paper: files params/ablations/<paper>_<what>.yaml."""
    return sorted(path.stem for path in params.glob(f"ablations/{paper}_*.yaml"))


def layer_files(params: Path, paper: str, benchmark: str, scale: str) -> list[Path]:
    """List the YAML layers of a run, the winning one last.

    Those with an @ are there only where they are needed.
    """
    names = ["base", f"papers/{paper}", f"papers/{paper}@{benchmark}"]
    own = f"scales/{scale}@{paper}"
    narrower = [f"{own}@{where}" for where in (pictures_of(benchmark), benchmark)]
    names += [f"scales/{scale}", own, *narrower]
    files = [params / f"{name}.yaml" for name in names]
    return [file for file in files if "@" not in file.name or file.is_file()]


def read_ablation(params: Path, name: str) -> Ablation:
    """Read one ablation by name, e.g. `fanet_components`; every variant has overrides.

    Raises ParameterError where there is none, or where its claims name no variant.
    """
    path = params / "ablations" / f"{name}.yaml"
    known = {path.stem for path in path.parent.glob("*_*.yaml")}
    if name not in known:
        raise ParameterError(unknown("ablation", name, known))
    ablations = read_ablations(params, name.partition("_")[0])
    meant, full = _meant(ablations), []
    for variant in ablations[path].variants:
        same = meant[variant.name]
        differs = {"overrides": same.overrides, "at": same.at}
        full.append(variant.model_copy(update=differs))
    return ablations[path].model_copy(update={"variants": full})


def read_ablations(params: Path, paper: str) -> dict[Path, Ablation]:
    """Every ablation of a paper by its file, as it stands there."""
    folder = params / "ablations"
    paths = [folder / f"{name}.yaml" for name in ablations_of(params, paper)]
    return {path: _read_ablation(path) for path in paths}


def _read_ablation(path: Path) -> Ablation:
    try:
        ablation = Ablation.model_validate(read_yaml(path))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise ParameterError(f"{_short(path)}: {place}: {fault['msg']}") from None
    names = {variant.name for variant in ablation.variants}
    sides = [side for c in ablation.claims for side in (c, c.control) if side]
    for name in (name for side in sides for name in (side.ours, side.other)):
        if name and name not in names:
            raise ParameterError(f"{_short(path)}: {unknown('variant', name, names)}")
    for name in (name for claim in ablation.claims for name in claim.needs):
        if name not in ablation.needs:
            said = unknown("need", name, ablation.needs)
            raise ParameterError(f"{_short(path)}: {said}")
    scales = owners(path.parents[1] / "scales")
    for scale in (scale for variant in ablation.variants for scale in variant.at):
        if scale not in scales:
            raise ParameterError(f"{_short(path)}: {unknown('scale', scale, scales)}")
    return ablation


def read_variants(params: Path, paper: str) -> dict[str, Variant]:
    """Read every variant of a paper's ablations; `full` is always there.

    A name that two ablations use must mean the same, for it names one run folder.
    """
    return _meant(read_ablations(params, paper))


def _meant(ablations: Mapping[Path, Ablation]) -> dict[str, Variant]:
    """What each variant of a paper means, by its name."""
    variants, named = {FULL: Variant(name=FULL, overrides={})}, {}
    for path, ablation in ablations.items():
        for variant in ablation.variants:
            named[variant.name] = path
            if variant.overrides is None:
                continue
            known = variants.setdefault(variant.name, variant)
            if (known.overrides, known.at) != (variant.overrides, variant.at):
                raise ParameterError(
                    f"{_short(path)}: {variant.name} has other overrides elsewhere;"
                    " one name, one meaning"
                )
    for name, path in named.items():
        if name not in variants:
            raise ParameterError(
                f"{_short(path)}: {name} has no overrides, here or elsewhere:"
                " write overrides: {...}"
            )
    return variants


def choose_variants(params: Path, paper: str, names: Sequence[str]) -> list[Variant]:
    """Read those variants of a paper that are named; refuse others."""
    known = read_variants(params, paper)
    for name in names:
        if name not in known:
            raise ParameterError(unknown(f"variant of {paper}", name, known))
    return [known[name] for name in names]


def read_layers(
    schema: Schema, params: Path, *, paper: str, benchmark: str, scale: str
) -> dict[str, Any]:
    """Merge the layers of all runs of a paper on a benchmark; each is checked."""
    merged: dict[str, Any] = {}
    for path in layer_files(params, paper, benchmark, scale):
        merged |= validate(read_layer(path), schema, where=_short(path), partial=True)
    return merged


def resolve(
    schema: Schema,
    layers: Mapping[str, Any],
    variant: Variant,
    *,
    paper: str,
    scale: str,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Merge the parameters of a run and check that the schema's are all there.

    layers  what `read_layers` returned
    given   what the command says: the names in GIVEN, and overrides
    """
    differs, where = variant.differs(scale), f"variant {variant.name}"
    given = {"variant": variant.name, **given}
    merged = {
        **layers,
        **validate(differs, schema, where=where, partial=True),
        **validate(given, schema, where="command line", partial=True),
    }
    return validate(merged, schema, where=f"params for {paper}")


def sources(
    params: Path,
    variant: Variant,
    *,
    paper: str,
    benchmark: str,
    scale: str,
    given: Collection[str] = (),
) -> dict[str, str]:
    """Say of each parameter where its value comes from: the layer, and what it says.

    given   names that the command gives
    """
    found: dict[str, str] = {}
    for path in layer_files(params, paper, benchmark, scale):
        comments = _comments(path)
        for name in read_layer(path):
            said = comments.get(name, "")
            found[name] = f"{_short(path)}: {said}" if said else _short(path)
    found |= dict.fromkeys(variant.differs(scale), f"variant {variant.name}")
    return found | dict.fromkeys((*GIVEN, *given), "the command")


def _comments(path: Path) -> dict[str, str]:
    """What stands behind the value on each line of a layer."""
    lines = read_text(path, "write lines", raises=ParameterError).splitlines()
    matches = (re.match(r"(\w+):.*\s#\s+(.*)", line) for line in lines)
    return {match[1]: match[2] for match in matches if match}
