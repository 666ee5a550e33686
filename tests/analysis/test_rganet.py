"""What RGANet's regions and confidences are worth, on masks made by hand and drawn."""

from pathlib import Path

import pytest
import torch
from toys.small_drawn import drawn, painted
from toys.small_rganet import tiny

from reidlib import evaluation
from reidlib.analysis import rganet as parts
from reidlib.analysis import snapshots as kept
from reidlib.analysis.rganet import Looks, quality
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.models.rganet_prompts import BODY, REGIONS
from reidlib.pedestrians import Part, benchmark, draw_again


def looks(masks: torch.Tensor | None, rows: list[list[int]], **scores) -> Looks:
    """Images of 4 x 1 cells that show the given parts in their rows."""
    true = torch.tensor(rows)[..., None]  # (n, 4, 1)
    shares = torch.nn.functional.one_hot(true, len(Part)).movedim(-1, 1).float()
    paths = tuple(Path(f"query/{i}.jpg") for i in range(len(rows)))
    scores = {"w": torch.ones(len(rows), 4)} | scores
    return Looks(paths, BODY, masks, scores, shares)


ALL, NO_FEET = [1, 2, 3, 4], [1, 2, 3, 5]


def test_regions_that_are_the_parts_overlap_wholly():
    masks = torch.eye(5)[torch.tensor([ALL])].movedim(-1, 1)[..., None]  # (1, 5, 4, 1)
    found = quality(looks(masks, [ALL]))
    assert found[["mean IoU", *(f"IoU {name}" for name in BODY)]].tolist() == [1.0] * 5
    shifted = quality(looks(masks.roll(1, 1), [ALL]))
    assert shifted["mean IoU"] == 0


def test_a_confidence_that_falls_where_a_part_is_hidden_has_an_auc_of_one():
    w = torch.tensor([[0.2, 0.2, 0.2, 0.4], [0.3, 0.3, 0.3, 0.1]])
    found = quality(looks(None, [ALL, NO_FEET], w=w))
    assert found["AUC of w"] == 1.0
    assert quality(looks(None, [ALL, NO_FEET], w=-w))["AUC of w"] == 0.0
    assert "AUC of w" not in quality(looks(None, [ALL, NO_FEET])), "w is the same"


def test_where_nothing_is_hidden_nothing_is_judged():
    seen = looks(None, [ALL, ALL], w=torch.rand(2, 4))
    for known in (seen, seen._replace(parts=None)):
        assert set(quality(known).index) == {"mean w", "w off even", "global share"}


def test_how_much_is_trusted():
    w = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    found = quality(looks(None, [ALL, ALL], w=w, β=w / 2))
    assert found["mean w"] == 0.25 and found["mean β"] == 0.125
    assert found["global share"] == pytest.approx((0.5 + 1 + 1 + 0.5) / 4)


@pytest.mark.parametrize("regions", ["text", "stripe"])
def test_looking_at_drawn_people(tmp_path, regions):
    samples = [drawn(tmp_path, camid) for camid in range(3)]
    model, transform = (
        tiny(regions=regions),
        plain_transform(80, 32, normalisation="half"),
    )
    tester = evaluation.Tester(transform, "cpu", batch_size=2)
    found = parts.look(model, samples, tester, names=BODY)
    assert found.scores.keys() == {"α", "β", "w"}
    assert found.parts.shape == (3, len(Part), *model.grid)
    torch.testing.assert_close(found.parts.sum(1), torch.ones(3, *model.grid))
    assert (found.masks is None) == (regions == "stripe")


def test_masks_and_scores_of_some_images_are_kept(tmp_path):
    masks = torch.rand(3, 5, 4, 1)
    found = looks(masks, [ALL, NO_FEET, ALL], w=torch.rand(3, 4))
    parts.keep({"smoke": found, "market1501": found}, str(tmp_path), 2)
    arrays = kept.read(tmp_path, "looks", "smoke")
    assert arrays["names"].tolist() == ["query/0.jpg", "query/2.jpg"]
    torch.testing.assert_close(
        torch.from_numpy(arrays["masks"]).float(), masks[[0, 2]], atol=1e-3, rtol=0
    )
    assert kept.read(tmp_path, "looks", "market1501") == {}


def test_kept_regions_are_shown_as_those_of_the_run(tmp_path):
    first = benchmark.entries(benchmark.RECIPES["smoke"])
    places = [entry.name for entry in first if entry.name.startswith("query/")][:3]
    masks, w = torch.rand(3, 5, 4, 1), torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 3)
    found = looks(masks, [ALL] * 3, w=w)
    found = found._replace(paths=tuple(tmp_path / place for place in places))
    parts.keep({"smoke": found}, str(tmp_path), 2)
    pictures, maps, notes = parts.kept_regions(tmp_path, "smoke", BODY)
    again = [draw_again("smoke", places[i]) for i in (0, 2)]
    assert [p.tobytes() for p in pictures] == [p.tobytes() for p in again]
    assert list(maps) == list(notes) == list(BODY)
    torch.testing.assert_close(maps["foot"], masks[[0, 2], 4], atol=1e-3, rtol=0)
    assert notes["head"] == ["w 0.10"] * 2 and notes["foot"] == ["w 0.40"] * 2
    assert parts.kept_regions(tmp_path, "plaza", BODY) == ([], {}, {})


def test_a_run_with_stripes_shows_no_regions(tmp_path):
    parts.keep({"smoke": looks(None, [ALL])}, str(tmp_path), 1)
    assert parts.kept_regions(tmp_path, "smoke", BODY) == ([], {}, {})


def test_some_images_carry_their_scores_as_words():
    found = looks(torch.rand(3, 5, 4, 1), [ALL] * 3, w=torch.full((3, 4), 0.25))
    paths, maps, notes = parts.some(found, 2)
    assert len(paths) == 2 and list(maps) == list(BODY)
    assert maps["head"].equal(found.masks[[0, 2], 1])
    assert notes["foot"] == ["w 0.25", "w 0.25"]


@pytest.mark.parametrize("names", [BODY, REGIONS[5]])
def test_true_bags_belong_to_the_upper_body_unless_they_are_named(tmp_path, names):
    sample = painted(tmp_path, [0, Part.BAGS, 2, 4])
    model = tiny(image_size=(64, 32), names=list(names)).eval()  # 4 x 2 patches
    transform = plain_transform(64, 32, normalisation="half")
    tester = evaluation.Tester(transform, "cpu", batch_size=2)
    found = parts.look(model, [sample], tester, names=names)
    cells = found.parts[0].sum((1, 2)).tolist()
    own = 2.0 if "bags" in names else 0.0
    assert cells[Part.BAGS] == own and cells[Part.UPPER_BODY] == 4.0 - own
    assert sum(cells) == 8.0
