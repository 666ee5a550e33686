"""Attention against true parts, weights and nearest words, on hand-made looks."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from open_clip.tokenizer import tokenize
from PIL import Image
from toys.small_clip import small_clip
from toys.small_drawn import drawn
from toys.small_flannet import TABLE_5, tiny

from reidlib import evaluation
from reidlib.analysis import flannet as looking
from reidlib.analysis import snapshots as kept
from reidlib.analysis.flannet import Looks
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.pedestrians import Part

PATHS = tuple(Path(f"query/{i}.jpg") for i in range(3))
ROWS = [[0, 1, 2, 3], [0, 1, 2, 5], [0, 0, 2, 3]]  # parts of 4 x 1 cells


def looks(maps=None, words=None, weights=None, rows=ROWS) -> Looks:
    """Three images of 4 x 1 cells that show the given parts in their rows.

    maps   by symbol, for each query what each of the three images has in its cells
    """
    true = torch.tensor(rows)[..., None]  # (3, 4, 1)
    parts = torch.nn.functional.one_hot(true, len(Part)).movedim(-1, 1).float()
    maps = {symbol: torch.tensor(several) for symbol, several in (maps or {}).items()}
    maps = {symbol: m.transpose(0, 1)[..., None] for symbol, m in maps.items()}
    return Looks(PATHS, maps, words or {}, weights, parts)


def at(cell: int) -> list[list[float]]:
    """A map of all three images that looks at one cell."""
    return [[float(place == cell) for place in range(4)]] * 3


def test_attention_is_shared_among_the_true_parts():
    table = looking.shares(looks({"A*": [at(3)], "O*": [[[3.0, 1.0, 0.0, 0.0]] * 3]}))
    assert table.loc["A*"].to_dict() == pytest.approx(
        dict.fromkeys(table.columns, 0.0) | {"lower body": 2 / 3, "occluder": 1 / 3}
    )
    first = table.loc["O*"]
    assert first["background"] == pytest.approx(0.75 * 2 / 3 + 1 / 3)
    assert first["head"] == pytest.approx(0.25 * 2 / 3)
    area = table.loc["everywhere"]
    assert area["background"] == pytest.approx(4 / 12)
    assert table.sum(axis=1).tolist() == pytest.approx([1.0] * 3)
    assert looking.shares(looks({"A*": [at(0)]})._replace(parts=None)).empty


def test_a_map_without_attention_in_one_image_is_left_out_there():
    nothing = [[0.0] * 4, [0.0, 0.0, 0.0, 2.0], [0.0] * 4]
    table = looking.shares(looks({"A*": [nothing]}))
    assert table.loc["A*", "occluder"] == 1


def test_trust_tells_occluded_images_from_clean_ones():
    weights = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.4, 0.3, 0.3]])
    table = looking.trust(looks(weights=weights))
    assert table["occluded"].tolist() == pytest.approx([0.6, 0.3, 0.1, 1])
    assert table["clean"].tolist() == pytest.approx([0.3, 0.3, 0.4, 2])
    assert list(table.index) == ["λ v_g", "λ t_p", "λ s_att", "images"]
    clean = looking.trust(looks(weights=weights, rows=[ROWS[0]] * 3))
    assert list(clean) == ["clean"]
    unknown = looking.trust(looks(weights=weights)._replace(parts=None))
    assert unknown["all"].tolist() == pytest.approx([0.4, 0.3, 0.3, 3])
    assert looking.trust(looks()).empty


def test_quality_names_what_a_run_keeps():
    words = {"A*": torch.eye(3), "O*": -torch.eye(3)}
    maps = {"A*": [at(1), at(3)], "O*": [at(3)], "s_att": [at(2)]}
    found = looking.quality(looks(maps, words, torch.full((3, 3), 1 / 3)))
    assert found["A* on person"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found["A* on occluder"] == pytest.approx((0 + 1 / 3) / 2)
    assert found["O* on occluder"] == pytest.approx(1 / 3)
    assert found["s_att on person"] == 1
    assert found["everywhere on person"] == pytest.approx(7 / 12)
    assert found["λ v_g, clean"] == pytest.approx(1 / 3)
    assert found["A* like O*"] == -1
    assert found["A* alike"] == 0  # three words at right angles
    assert found["A* queries alike"] == 0 and "O* queries alike" not in found
    halves = [[1.0, 1.0, 0.0, 0.0]] * 3
    same = looks({"O*": [at(1), halves, at(1)]})
    assert list(looking.shares(same).index) == ["O* 1", "O* 2", "O* 3", "everywhere"]
    alike = looking.quality(same)["O* queries alike"]
    assert alike == pytest.approx((0.5 + 1 + 0.5) / 3)
    bare = looking.quality(looks({"A*": [at(1)]}, rows=[ROWS[0]] * 3))
    assert list(bare.index) == ["A* on person", "everywhere on person"]
    assert looking.quality(looks()._replace(parts=None)).empty


def test_a_word_is_as_alike_as_its_cosines_between_images():
    words = torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, -2.0]])
    cosines = [0.5**0.5, 0.0, -(0.5**0.5)]
    found = looking.quality(looks(words={"S*": words}))
    assert found["S* alike"] == pytest.approx(sum(cosines) / 3)
    constant = looking.quality(looks(words={"S*": words[:1].expand(3, -1)}))
    assert constant["S* alike"] == pytest.approx(1)


def test_the_nearest_words_of_an_embedding_are_its_own():
    _, clip = small_clip()
    ids = tokenize(["jacket tree person"])[0, 1:4]
    embeddings = clip.text.embed_tokens(ids).detach()
    clip.text.token_rows = torch.cat([ids, tokenize(["."])[0, :3]])
    found = looking.nearest_words(
        looks(words={"S*": embeddings, "A*": -embeddings}), clip.text, images=2, count=2
    )
    assert found.index.tolist() == [1, 2]
    assert [words.split()[0] for words in found["S*"]] == ["jacket", "person"]
    assert all(words.split()[1].startswith("1.00") for words in found["S*"])
    assert all("." not in words.replace("0.", "") for words in found["A*"])


@pytest.mark.parametrize("row", TABLE_5)
def test_looking_at_drawn_people(tmp_path, row):
    samples = [drawn(tmp_path, camid) for camid in range(3)]
    transform = plain_transform(80, 32, normalisation="half")
    model = tiny(**TABLE_5[row])
    found = looking.look(
        model, samples, evaluation.Tester(transform, "cpu", batch_size=2)
    )
    details = ["A*", "O*"] if row in ("f", "average", "full") else []
    sentence = ["s_att"] * (row not in ("none", "f"))
    assert list(found.maps) == [*details, *sentence, "class token"]
    titles = [f"{symbol} {i}" for symbol in details for i in (1, 2, 3)]
    maps = looking.titled(found.maps)
    assert list(maps) == [*titles, *sentence, "class token"]
    assert list(found.words) == (["S*", "A*", "O*"] if details else [])
    assert all(values.shape == (3, 5, 2) for values in maps.values())
    assert all(values.shape == (3, 16) for values in found.words.values())
    assert found.parts.shape == (3, len(Part), 5, 2)
    if row == "none":
        assert found.weights is None, "one feature is not weighed"
    else:
        torch.testing.assert_close(found.weights.sum(1), torch.ones(3))
    assert model.training, "the mode is what it was"
    measures = looking.quality(found)
    assert {"class token on person", "everywhere on person"} <= set(measures.index)
    assert 0 < measures["class token on person"] < 1


def test_a_look_is_the_models_own(tmp_path):
    sample, model = drawn(tmp_path), tiny(queries=1)
    transform = plain_transform(80, 32, normalisation="half")
    found = looking.look(
        model, [sample], evaluation.Tester(transform, "cpu", batch_size=2)
    )
    images = transform(Image.open(sample.path).convert("RGB"))[None]
    model.eval()
    maps, tokens = model.attend(images), model.image_tower(images).joint
    torch.testing.assert_close(found.maps["A*"], maps["attributes"])
    torch.testing.assert_close(found.maps["s_att"], maps["prompt"])
    words = model.prompts.pseudo_words(tokens)
    torch.testing.assert_close(found.words["O*"], words[:, 2])
    torch.testing.assert_close(found.weights, model(images).weights)


def test_maps_of_several_runs_are_kept_and_read_side_by_side(tmp_path):
    run, other, bare = (tmp_path / name for name in ("a", "b", "c"))
    seen = looks({"s_att": [at(1)]})
    looking.keep({"smoke": seen, "market1501": seen}, str(run), 2)
    looking.keep({"smoke": looks({"s_att": [at(2)]})}, str(other), 2)
    looking.keep({"smoke": looks()}, str(bare), 2)
    assert kept.read(run, "looks", "market1501") == {}
    arrays = kept.read(run, "looks", "smoke")
    assert arrays["names"].tolist() == ["query/0.jpg", "query/2.jpg"]
    folders = {"ours": run, "bare": bare, "theirs": other}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "pictures", lambda benchmark, names: list(names))
        pictures, maps = looking.kept_maps(folders, "smoke", "s_att")
    assert pictures == ["query/0.jpg", "query/2.jpg"]
    assert list(maps) == ["ours", "theirs", "true person", "true occluder"]
    assert maps["ours"].argmax(1).flatten().tolist() == [1, 1]
    assert maps["theirs"].argmax(1).flatten().tolist() == [2, 2]
    assert maps["true person"][0].flatten().tolist() == [0, 1, 1, 1]
    assert looking.kept_maps({"bare": bare}, "smoke", "s_att") == ([], {})


def test_some_images_end_with_the_truth():
    paths, maps = looking.some(looks({"A*": [at(0)]}), 2)
    assert paths == [PATHS[0], PATHS[2]]
    assert list(maps) == ["A*", "true person", "true occluder"]
    assert isinstance(looking.shares(looks()), pd.DataFrame)
