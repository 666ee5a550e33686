"""`make bench`: the page and the record of this machine, in outputs/benchmarks/."""

from bench.measuring import FOLDER, machine, say
from reidrun.runs.environment import ROOT
from reidrun.runs.execute import execute_page


def main() -> None:
    """Execute notebooks/benchmarks.ipynb at full size, saying how far it is."""
    notebook, page = ROOT / "notebooks" / "benchmarks.ipynb", FOLDER / machine()
    page = page.with_suffix(".ipynb")
    parameters = {"quick": False, "outputs": "../outputs/benchmarks"}
    say(execute_page(notebook, page, parameters, log=True))
    say(f"{page.relative_to(ROOT)} and {page.with_suffix('.json').name}")


if __name__ == "__main__":
    main()
