"""The explorer of a search: lists, maps of each paper, and a choice of queries."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from toys import small_combined, small_fanet, small_fba, small_flannet, small_rganet

import reidlib
from reidlib import explorer
from reidlib.data.pictures import read_picture
from reidlib.data.samples import Benchmark, Sample
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.embedder import Embedder
from reidlib.evaluation import cosine_distances
from reidlib.pedestrians import Shot, draw

SIZES = {"fanet": (64, 32), "combined": (128, 32)}
TOYS = {"fanet": small_fanet, "rganet": small_rganet, "flannet": small_flannet}
TOYS |= {"fba": small_fba, "combined": small_combined}
MAPS = {  # some of those that a paper has
    "fanet": {"Z", "|F|"},
    "rganet": {"head", "upper body", "lower body", "foot"},
    "flannet": {"A* 1", "A* 2", "A* 3", "O* 1"},
    "fba": {"foreground", "background"},
    "combined": {"head", "upper body", "lower body", "foot", "1 - S_0"},
}


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = []
    for n in range(3):
        drawing = draw(Shot("plaza", "query", 300 + n, n, 0))
        drawing.image.save(folder / f"{n}.png")
        lines.append(
            pd.Series(
                {
                    "image": f"{n}.png",
                    "person": drawing.person,
                    "background": drawing.background,
                }
            ).to_json()
        )
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return sorted(folder.glob("*.png"))


def embedder_of(paper: str, **parts) -> Embedder:
    height, width = SIZES.get(paper, (80, 32))
    pictures = {"height": height, "width": width, "normalisation": "half"}
    settings = {
        "model": {"call": f"models.{paper}.Model"},
        "pictures": pictures,
        "captions": paper == "fba",
        "flip_average": False,
        "batch_size": 8,
    }
    fields = (plain_transform(**pictures), cosine_distances, torch.device("cpu"))
    return Embedder(TOYS[paper].tiny(**parts).eval(), *fields, settings)


@pytest.mark.parametrize("paper", TOYS)
def test_a_paper_shows_where_it_looks(paper, paths):
    maps = explorer.maps_of(embedder_of(paper), paths)
    assert maps.keys() >= MAPS[paper]
    assert all(values.ndim == 3 and len(values) == 3 for values in maps.values())
    figure = explorer.overlays(embedder_of(paper), paths[:1])
    assert figure is not None
    plt.close("all")


def test_rganets_regions_say_what_they_are_worth(paths):
    embedder = embedder_of("rganet")
    maps, notes = explorer.seen_in(embedder, paths)
    assert list(maps) == list(notes) == ["head", "upper body", "lower body", "foot"]
    with torch.no_grad():
        images = torch.stack([embedder.transform(read_picture(path)) for path in paths])
        output = embedder.model(images)
    for region, name in enumerate(notes):
        for image, words in enumerate(notes[name]):
            scores = output.alpha, output.beta, output.embedding.weights
            values = [f"{x[image, region]:.2f}" for x in scores]
            assert words == "α {}  β {}  w {}".format(*values)


def test_matches_are_those_of_the_search(paths):
    pairs = zip(paths, [7, 8, 7], strict=True)
    samples = [Sample(path, pid, 0) for path, pid in pairs]
    query = (samples[0], samples[1])
    gallery = (*samples, samples[2]._replace(camid=1), samples[1]._replace(camid=1))
    embedder = embedder_of("fanet")
    figure = explorer.matches(embedder, Benchmark("toy", (), query, gallery), count=3)
    found = (
        embedder.embed([s.path for s in query]),
        embedder.embed([s.path for s in gallery]),
    )
    wanted = []
    for asked, distances in zip(query, embedder.distances(*found), strict=True):
        near = [gallery[i] for i in distances.argsort(stable=True).tolist()]
        near = [s for s in near if s[1:] != asked[1:]]
        marks = ["✓" if s.pid == asked.pid else "✗" for s in near[:3]]
        wanted += [f"{rank} {mark}" for rank, mark in enumerate(marks, 1)]
    titles = [ax.get_title("left").split("\n")[0] for ax in figure.axes]
    assert [title for title in titles if title[:1].isdigit()] == wanted
    assert titles.count("query") == 2
    plt.close("all")


def test_few_queries_are_spread_and_the_same_for_all(paths):
    samples = tuple(Sample(paths[0], pid, 0) for pid in range(10))
    few = explorer.few_queries(Benchmark("toy", (), samples, samples), 4)
    assert [sample.pid for sample in few.query] == [0, 3, 6, 9]
    assert few.gallery == samples
    assert len(explorer.few_queries(few, 9).query) == 4


def test_a_variant_without_maps_and_a_plain_model_show_none(paths):
    assert explorer.maps_of(embedder_of("rganet", regions="stripe"), paths) == {}
    plain = embedder_of("combined", regions=False, stripes="image")
    assert explorer.maps_of(plain, paths) == {}
    assert explorer.overlays(reidlib.pretrained(), paths) is None


def ranking_of(paths: list[Path]) -> pd.DataFrame:
    rows = [
        (query, rank, path, 0.25 * rank)
        for query in paths
        for rank, path in enumerate([p for p in paths if p != query], 1)
    ]
    return pd.DataFrame(rows, columns=["query", "rank", "gallery", "distance"])


def test_a_list_has_the_query_and_distances(paths):
    figure = explorer.ranked_list(ranking_of(paths), paths[1])
    titles = [ax.get_title("left") for ax in figure.axes if ax.get_visible()]
    assert titles == ["query", "1 · 0.250", "2 · 0.500"]
    plt.close("all")


def test_a_chosen_query_is_shown(paths, monkeypatch):
    pytest.importorskip("ipywidgets")
    shown = []
    monkeypatch.setattr(explorer, "display", shown.append)
    box = explorer.explore(embedder_of("fanet"), ranking_of(paths))
    choice, _ = box.children
    assert [name for name, _ in choice.options] == ["0.png", "1.png", "2.png"]
    before = len(shown)
    choice.value = 2
    assert before and len(shown) == 2 * before, "a list and maps of each"
    plt.close("all")


def test_without_widgets_it_is_said_how_to_get_them(paths, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(explorer.importlib, "import_module", absent)
    said = explorer.explore(embedder_of("fanet"), ranking_of(paths))
    assert "[explore]" in said
