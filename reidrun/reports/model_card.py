"""What is said of a trained model: the facts in model.json, and its card, model.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidlib.benchmarks import PICTURES, TERMS, USE, pictures_of, title_of
from reidlib.files import write_text
from reidlib.reading import read_json
from reidrun.reports.published import HEADLINES
from reidrun.runs.errors import RunError
from reidrun.runs.folder import benchmark_of
from reidrun.runs.names import read_row_name

CARD, SETTINGS = "model.md", "model.json"
MADE_HERE = (
    "MIT, as the repository: no person was photographed for what it was trained on."
)
PHOTOGRAPHS = (
    "None is given here: the model was trained on photographs of people, stays with"
    " whoever trained it, and may be used as the terms of its data allow."
)


def facts(
    paper: str,
    parameters: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
    started: Mapping[str, Any],
) -> dict[str, Any]:
    """What model.json says of a run beside how its model is built.

    scores    by the name of their row, as a record has them
    started   the environment that the run began in
    """
    benchmark, root = parameters["benchmark"], parameters.get("data_root")
    kind = pictures_of(benchmark, root)
    tested = dict.fromkeys(benchmark_of(read_row_name(name)) for name in scores)
    return {
        "paper": paper,
        "variant": parameters["variant"],
        "seed": parameters["seed"],
        "commit": started["commit"],
        "backbone": {
            name: Path(parameters[name]).name  # of a file its name, not where it lies
            for name in ("backbone", "pretrained")
            if name in parameters
        },
        "data": {
            "trained_on": benchmark,
            "tested_on": list(tested),
            "kind": kind,
            "pictures": PICTURES[kind],
            "terms": TERMS[benchmark.partition(":")[0]],
        },
        "scores": {name: dict(score) for name, score in scores.items()},
        "licence": PHOTOGRAPHS if kind == "photographs" else MADE_HERE,
        "use": list(USE),
    }


def write(folder: Path) -> None:
    """Write model.md beside the model of a folder."""
    settings = read_json(folder / SETTINGS, "run the paper again", raises=RunError)
    write_text(folder / CARD, card(settings))


def card(settings: Mapping[str, Any]) -> str:
    """A model's card in Markdown, of what its model.json says."""
    data, pictures = settings["data"], settings["pictures"]
    weights, paper = settings["weights"], settings["paper"]
    title = HEADLINES[paper].paper if paper in HEADLINES else paper
    trained = title_of(data["trained_on"])
    backbone = ", ".join(f"{k} `{v}`" for k, v in settings["backbone"].items() if v)
    size = f"{pictures['height']} by {pictures['width']} pixels"
    compared = settings["distances"]["call"]
    captions = ", and reads two captions of each" if settings["captions"] else ""
    bits = ", weights in 8 bits" if weights.get("bits") == 8 else ""
    rows = [
        f"| {name} | {100 * score['mAP']:.1f} | {100 * score['rank1']:.1f} |"
        for name, score in settings["scores"].items()
    ]
    parts = [
        f"# {title}, variant `{settings['variant']}`, seed {settings['seed']}",
        f"Trained on {trained}, {settings['classes']} identities;"
        f" {backbone}. {weights['parameters']:,} parameters,"
        f" {weights['bytes'] / 1e6:.1f} MB{bits}, commit `{settings['commit'][:12]}`.",
        f"It sees pictures of one person, resized to {size} and normalised by"
        f" `{pictures['normalisation']}`{captions}. Embeddings are compared by"
        f" `{compared}`.",
        "```python\nimport reidlib\n\n"
        'embedder = reidlib.load("<this folder>")\n'
        f"found = embedder.embed({_example(settings)})\n"
        "distances = embedder.distances(found, found)\n```",
        "## What it scored",
        f"On {data['pictures']}, in percent."
        + f" A score on {data['pictures']} is none on photographs of people."
        * (data["kind"] != "photographs"),
        "\n".join(["| tested on | mAP | rank-1 |", "|---|---|---|", *rows]),
        "## Licence, and use",
        f"{settings['licence']} Data: {data['terms']}",
        "\n\n".join(settings["use"]),
        "It finds whom it has learned to tell apart in pictures like those it was"
        " trained on. On other pictures it was not measured, and a small distance is no"
        " evidence that two pictures show one person.",
    ]
    return "\n\n".join(parts) + "\n"


def _example(settings: Mapping[str, Any]) -> str:
    pictures = '["a.jpg", "b.jpg"]'
    if not settings["captions"]:
        return pictures
    pair = '("a man in red", "a street")'
    return f"{pictures}, captions=[{pair}, {pair}]"
