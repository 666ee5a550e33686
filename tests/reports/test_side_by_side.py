"""Four papers beside each other, over the seeds that two rows share."""

import json

import pytest
from toys.small_runs import write_record

from reidrun.reports import records, side_by_side
from reidrun.reports.side_by_side import Look

NO_BREAK = "\u00a0"


@pytest.fixture
def write(tmp_path):
    """Write a run of rendered people, and what its record has beside the scores."""

    def written(paper, variant, seed, benchmark="concourse", more=None, **scores):
        folder = write_record(
            tmp_path, benchmark, paper, variant, seed, pictures="rendered", **scores
        )
        path = folder / "metrics.json"
        record = json.loads(path.read_text()) | (more or {})
        searched = {name.replace("__", " "): s for name, s in record["scores"].items()}
        path.write_text(json.dumps(record | {"scores": searched}))

    return written


def plain(cell: str) -> str:
    return cell.replace(NO_BREAK, " ")


def test_two_rows_are_compared_over_the_seeds_that_both_have(write, tmp_path):
    for seed, score in enumerate(
        (0.4, 0.5, 0.9)
    ):  # nobody ran the whole method's third
        write("rganet", "baseline", seed, concourse=score)
    for seed, score in enumerate((0.5, 0.62)):
        write("rganet", "full", seed, concourse=score)
    write("rganet", "rgm", 0, concourse=0.1)  # neither of the two
    write("flannet", "full", 0, concourse=0.3)  # without its baseline
    found = records.collect(tmp_path)
    wanted = {("rganet", "concourse"): 3, ("rganet", "arcade"): 9}
    table = side_by_side.scores(found, wanted=wanted)
    key = ("rendered people", "concourse", "concourse", "rganet")
    assert table.index.tolist() == [key]
    assert table.loc[key].map(plain).to_dict() == {
        "baseline": "45.0 ± 7.1",
        "whole method": "56.0 ± 8.5",
        "gain": "+11.0 ± 1.4",
        "seeds": "2 of 3",
    }
    ranks = side_by_side.scores(found, "rank1").loc[key]
    assert (plain(ranks["gain"]), ranks["seeds"]) == ("+5.5 ± 0.7", "2")


def test_a_single_seed_has_no_deviation_and_rendered_people_come_first(tmp_path, write):
    for variant, score in (("baseline", 0.4), ("full", 0.4002)):
        write_record(tmp_path, "plaza", "fba", variant)
        write("fba", variant, 0, concourse=score, concourse__visual=score)
    table = side_by_side.scores(records.collect(tmp_path))
    assert table.index.get_level_values("tested on").tolist() == [
        "concourse",
        "concourse visual",
        "plaza",
    ]
    assert table.iloc[0].tolist() == ["40.0", "40.0", "+0.02", "1"]


def test_captions_alone_stand_beside_what_images_score(write, tmp_path):
    write("fba", "baseline", 0, concourse=0.4, concourse__visual=0.4)
    ways = {"caption__words": 0.6, "visual": 0.41, "wrong__captions": 0.3}
    scores = {f"concourse__{way}": score for way, score in ways.items()}
    write("fba", "full", 0, concourse=0.5, **scores)
    write("fba", "full", 1, concourse=0.9, concourse__caption__words=0.9)
    write("rganet", "baseline", 0)
    write("rganet", "full", 0)
    (row,) = side_by_side.captions(records.collect(tmp_path)).to_dict("records")
    assert row == {
        "baseline, without captions": "40.0",
        "captions as sets of words": "60.0",
        "whole method": "50.0",
        "its image tower alone": "41.0",
        "with captions of others": "30.0",
        "seeds": 1,
    }


def test_a_look_stands_beside_what_looking_everywhere_would_have(write, tmp_path):
    for seed, share in enumerate((0.4, 0.6)):
        known = {"concourse: on person": share, "concourse: area": 0.25}
        write("fba", "full", seed, more={"measures": known})
    write("fba", "baseline", 0, more={"measures": known})
    write("rganet", "full", 0, more={"measures": {"concourse: IoU": 0.1}})
    asked = {"fba": Look("on person", "area"), "rganet": Look("IoU", "IoU, untrained")}
    table = side_by_side.looks(records.collect(tmp_path), tmp_path, asked)
    assert table.index.tolist() == [
        ("rendered people", "concourse", "concourse", "fba", "on person", "area")
    ]
    (row,) = table.to_dict("records")
    assert row == pytest.approx(
        {"value": 0.5, "beside it": 0.25, "times": 2, "seeds": 2}
    )


def test_seconds_are_of_shared_seeds_and_say_the_machine(write, tmp_path):
    def took(seconds, accelerator, memory):
        hardware = {"accelerator": accelerator, "processor": "a processor"}
        peaks = {"accelerator": memory, "host": 900}
        return {"seconds": seconds, "hardware": hardware, "peak_memory_mib": peaks}

    write("fba", "baseline", 0, more=took(10.0, "a card", 100))
    write("fba", "baseline", 1, more=took(99.0, "a card", 100))
    write("fba", "full", 0, more=took(25.0, "a card", 300))
    write("rganet", "baseline", 0, more=took(10.0, "none", 0))
    write("rganet", "full", 0, more=took(10.0, "a card", 0))
    table = side_by_side.seconds(records.collect(tmp_path), tmp_path)
    fba, rganet = table.to_dict("records")
    assert fba == {
        "baseline": 10,
        "whole method": 25,
        "times": 2.5,
        "MiB": 300,
        "seeds": 1,
        "on": "a card",
    }
    assert (rganet["on"], rganet["MiB"]) == ("a card, a processor", 900)


@pytest.mark.parametrize("role", ["baseline", "full"])
def test_one_of_the_two_is_no_row(write, tmp_path, role):
    write("fba", role, 0)
    found = records.collect(tmp_path)
    assert side_by_side.captions(found).empty
    assert side_by_side.scores(found).empty
    assert side_by_side.seconds(found, tmp_path).empty
    assert side_by_side.looks(found, tmp_path, {}).empty
