"""The gallery: which notebook has a card, what is on it, and in which order."""

import re
from base64 import b64decode
from io import BytesIO

import pytest
from PIL import Image
from toys.small_runs import image, write_notebook, write_record

from reidrun.reports import gallery
from reidrun.reports.records import collect
from reidrun.runs.errors import RunError


@pytest.fixture
def cards(tmp_path):
    (tmp_path / "params/ablations").mkdir(parents=True)
    rows = "variants: [{name: full}, {name: baseline, overrides: {}}]\n"
    (tmp_path / "params/ablations/fba_parts.yaml").write_text(rows)

    def made():
        outputs = tmp_path / "outputs"
        return gallery.cards(outputs, collect(outputs), tmp_path)

    return made


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


def opened(picture: gallery.Picture) -> Image.Image:
    return Image.open(BytesIO(b64decode(picture.uri.partition(",")[2]))).convert("RGB")


def test_a_card_says_what_the_run_and_its_notebook_say(cards, outputs):
    folder = write_record(outputs, paper="fba", variant="full+epochs=1", plaza=0.25)
    write_notebook(folder / "run.ipynb", image(color="red"), image(color="lime"))
    (card,) = cards()
    assert card[:5] == (
        "FBA",
        "A toy",
        "It is small.",
        "plaza/fba/full+epochs=1-s0/run.ipynb",
        "drawn pedestrians",
    )
    run = {"benchmark": "plaza", "variant": "full+epochs=1", "seed": "0"}
    assert card.facts == run | {"mAP": "25.0 %", "rank-1": "62.5 %"}
    assert card.picture.says == "Figure 1 is dark."
    red, green, _ = opened(card.picture).getpixel((5, 5))
    assert green > 200 > red, "the last figure of a run"


def test_an_ablation_shows_its_first_figure_and_counts_its_runs(cards, outputs):
    for seed in (0, 1, 2):
        write_record(outputs, paper="fba", seed=seed)
    write_record(outputs, "station", "fba", "baseline")
    write_record(outputs, "station", "fba", "other")
    values = 'ablation: str = "fba_parts"\nbenchmarks = ["plaza", "station"]\n'
    values += "seeds = [0, 1]\nvariants = []"
    figures = image(color="red"), image(color="lime")
    write_notebook(outputs / "plaza/fba/anything.ipynb", *figures, parameters=values)
    (card,) = cards()
    assert card.facts == {"trained on": "plaza, station", "seeds": "0, 1", "runs": "3"}
    assert card.pictures == "drawn pedestrians"
    assert card.picture.says == "Figure 0 is dark."
    assert opened(card.picture).getpixel((5, 5))[0] > 200


def test_notebooks_without_runs_figures_or_titles_have_a_card_too(cards, outputs):
    write_notebook(outputs / "plaza/fba/cost.ipynb", title="Nothing more")
    write_notebook(
        outputs / "plaza/new_paper/table.ipynb", title="# Of a paper to come"
    )
    values = 'weights_path = "../reidlib/assets/a.safetensors"'
    write_notebook(outputs / "pretrain_a/run.ipynb", parameters=values)
    found = cards()
    assert [card.section for card in found] == [
        "FBA",
        "New_paper",
        gallery.WEIGHTS_TITLE,
    ]
    assert [card.title for card in found][:2] == ["Nothing more", "Of a paper to come"]
    assert found[0][2:] == ("", "plaza/fba/cost.ipynb", "", {}, None)
    assert found[2].facts == {"file": "a.safetensors"}


def test_what_is_no_finished_run_has_no_card(cards, outputs):
    folder = write_record(outputs)
    write_notebook(folder / "run.ipynb")
    (folder / "metrics.json").unlink()
    write_record(outputs, seed=1)
    assert cards() == []
    write_notebook(outputs / "plaza/toy/table.ipynb")
    (outputs / "plaza/toy/table.ipynb").write_text("{")
    with pytest.raises(RunError, match=r"toy/table\.ipynb: no notebook"):
        cards()


def test_papers_come_as_in_the_readme_runs_before_ablations(cards, outputs):
    for paper in ("zoo", "fba", "fanet"):
        write_notebook(write_record(outputs, paper=paper) / "run.ipynb")
        write_notebook(outputs / f"plaza/{paper}/a_table.ipynb")
    links = [card.link.removeprefix("plaza/") for card in cards()]
    assert links == [
        f"{paper}/{place}"
        for paper in ("fanet", "fba", "zoo")
        for place in ("full-s0/run.ipynb", "a_table.ipynb")
    ]


@pytest.mark.parametrize(
    ("size", "small"),
    [((90, 60), (90, 60)), ((1920, 400), (640, 133)), ((900, 3000), (640, 360))],
)
def test_figures_are_made_small_of_tall_ones_the_top_is_kept(size, small):
    picture = gallery._small(image(size), "")
    assert (picture.width, picture.height) == opened(picture).size == small


def test_the_page_runs_nothing_fetches_nothing_and_escapes_what_it_quotes(
    outputs, cards
):
    folder = write_record(outputs, variant="full+epochs=1")
    title = '# <b>A</b> & "B"\n\nIs $S_1 \\dots S_N$ over `\\alpha`? Yes.'
    write_notebook(folder / "run.ipynb", image(), title=title)
    page = gallery.page(outputs, collect(outputs), outputs.parent)
    assert "&lt;b&gt;A&lt;/b&gt; &amp; &#34;B&#34;" in page
    assert "Is S_1 … S_N over α?" in page
    assert 'href="plaza/toy/full%2Bepochs%3D1-s0/run.ipynb"' in page
    assert "<script" not in page and not re.search(r"(src|href)=\"?(http|//)", page)
    assert str(outputs) not in page
    assert re.search(r'<img [^>]*alt="[^"]+"', page)


def test_pages_of_no_notebook_at_all(outputs, cards):
    outputs.mkdir()
    page = gallery.page(outputs, collect(outputs), outputs.parent)
    assert "<main>" in page and "<article>" not in page


def test_formulas_of_a_text_become_plain_signs():
    text = r"Of $\mathcal F$ and $\mathcal{C}$, of $S^*$ and [$\gamma$](x.ipynb), `b`"
    assert gallery._plain(text) == "Of F and C, of S∗ and γ, b"
