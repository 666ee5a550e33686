"""`reid new`: the five files of a method, which run as they are.

    reid new mymethod
    reid run mymethod --on smoke

They hold a plain baseline; what the method adds is written into it. Nothing else has to
name the method.
"""

import argparse
import re
from importlib.resources import files
from pathlib import Path

from reidlib.files import write_text
from reidrun.cli.messages import say, short
from reidrun.runs.errors import ParameterError

FILES = {  # of the assets, and where each goes
    "model.py.txt": "reidlib/models/my_paper.py",
    "test_model.py.txt": "tests/models/test_my_paper.py",
    "notebook.ipynb": "notebooks/my_paper.ipynb",
    "paper.yaml": "params/papers/my_paper.yaml",
    "tiny.yaml": "params/scales/tiny@my_paper.yaml",
}
NAME = re.compile(r"[a-z][a-z0-9]*")


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid new` its argument."""
    text = "what files and commands call it: small letters and digits, e.g. mymethod"
    command.add_argument("name", metavar="NAME", help=text)
    command.set_defaults(command=make_files)


def make_files(args: argparse.Namespace, root: Path) -> int:
    """Write the files; where one of them is there, none is written."""
    name = args.name
    if not NAME.fullmatch(name):
        raise ParameterError(f"{name}: write small letters and digits, a letter first")
    places = {file: root / _named(place, name) for file, place in FILES.items()}
    there = [short(path) for path in places.values() if path.exists()]
    if there:
        raise ParameterError(f"{', '.join(there)}: already there; take another name")
    assets = files("reidrun") / "assets" / "new_paper"
    for file, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, _named((assets / file).read_text("utf-8"), name))
        say(short(path))
    say(
        f"\nreid run {name} --on smoke runs it; CONTRIBUTING.md says what belongs where"
    )
    return 0


def _named(text: str, name: str) -> str:
    """The text of a template under a method's name."""
    return text.replace("my_paper", name).replace("MyPaper", name.capitalize())
