"""Every data set that a paper reports on has a command: parameters, and a reader."""

import pandas as pd
import pytest

from reidlib import benchmarks as readers
from reidrun.reports.published import HEADLINES, PAPER_RESULTS
from reidrun.runs import params
from reidrun.runs.environment import ROOT
from reidrun.runs.plans import make_plan

BENCHMARKS = {  # as the papers print the sets
    "CUHK03-NP(detected)": "cuhk03np_detected",
    "CUHK03-NP(labeled)": "cuhk03np_labeled",
    "DukeMTMC-reID": "dukemtmcreid",
    "MSMT17": "msmt17",
    "Market-1501": "market1501",
    "Occluded-Duke": "occluded_duke",
    "Occluded-REID": "occluded_reid",
    "Partial-REID": "partial_reid",
    "Partial-iLIDS": "partial_ilids",
}
PAPERS = {"FA-Net": "fanet", "FBA": "fba", "FLaN-Net": "flannet", "RGANet": "rganet"}
PAPERS |= {"BoT": "baseline"}
THERE = params.owners(ROOT / "params" / "papers")


def reported() -> list[tuple[str, str, str]]:
    """Paper, what it trains on (nothing named: anything) and what it tests on."""
    numbers = pd.read_csv(PAPER_RESULTS)
    own = numbers[numbers["own"] == 1][["paper", "dataset"]].drop_duplicates()
    found = []
    for paper, data_set in own.itertuples(index=False):
        source, _, target = data_set.rpartition("->")
        name, tested = PAPERS[paper], BENCHMARKS[target]
        if name in HEADLINES:
            tested = HEADLINES[name].benchmarks.get(target, tested)
        found.append((name, BENCHMARKS.get(source, ""), tested))
    return [row for row in found if row[0] in THERE]


@pytest.mark.parametrize(("paper", "trained", "tested"), reported())
def test_what_a_paper_reports_is_one_command(tmp_path, paper, trained, tested):
    def plan(benchmark: str) -> dict:
        places = {"outputs": tmp_path, "data_root": tmp_path}
        return make_plan(ROOT, paper, benchmark=benchmark, seed=0, **places).parameters

    if not trained and tested not in readers.TRAINED_ON:
        found = plan(tested)
        assert (found["benchmark"], found["precision"]) == (tested, "bf16")
        return
    sources = [trained] if trained else readers.TRAINED_ON[tested]
    assert any(tested in plan(source)["also_on"] for source in sources)
