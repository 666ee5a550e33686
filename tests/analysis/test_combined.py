"""What the combination sees, on masks made by hand and of drawn people."""

from pathlib import Path

import pytest
import torch
from toys.small_combined import SIZE, tiny
from toys.small_drawn import drawn

from reidlib import evaluation
from reidlib.analysis import combined, snapshots
from reidlib.analysis.combined import SEEN
from reidlib.analysis.rganet import Looks
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.models.rganet_prompts import BODY
from reidlib.pedestrians import Part

ROWS = torch.tensor([[0, 1, 2, 3, 4, 0]])  # one image of 6 x 1 cells


def looks(masks: torch.Tensor, names=BODY) -> Looks:
    true = torch.nn.functional.one_hot(ROWS[..., None], len(Part)).movedim(-1, 1)
    return Looks((Path("query/0.jpg"),), names, masks, {}, true.float())


def test_masks_that_are_the_parts_see_the_person():
    masks = torch.eye(5)[ROWS].movedim(-1, 1)[..., None]  # (1, 5, 6, 1)
    found = combined.quality(looks(masks))
    assert found[["mean IoU", *(f"IoU {name}" for name in BODY)]].tolist() == [1.0] * 5
    assert found["person IoU"] == found["person AUC"] == 1.0
    assert found["IoU of ones"] == pytest.approx(4 / 6)


def test_the_person_is_what_is_not_background():
    masks = torch.rand(1, 5, 6, 1).softmax(1)
    found = looks(masks)
    torch.testing.assert_close(combined.maps_of(found)[SEEN], 1 - masks[:, 0])
    inverted = masks.clone()
    inverted[:, 0] = (ROWS[..., None] != 0).float()  # sees all but the person
    inverted[:, 1:] = (1 - inverted[:, :1]) / 4
    assert combined.quality(looks(inverted))["person AUC"] == 0.0
    assert combined.quality(found._replace(parts=None)).empty


@pytest.mark.parametrize("regions", [True, False])
def test_looking_at_drawn_people_and_what_is_kept(tmp_path, regions):
    samples = [drawn(tmp_path, camid) for camid in range(3)]
    transform = plain_transform(*SIZE, normalisation="half")
    tester = evaluation.Tester(transform, "cpu", batch_size=2)
    found = combined.look(tiny(regions=regions), samples, tester, names=BODY)
    assert found.masks.shape == (3, 5, 8, 2) and found.parts.shape[2:] == (8, 2)
    paths, maps = combined.some(found, 2)
    assert len(paths) == 2 and list(maps) == [*BODY, SEEN, "true person"]
    combined.keep({"smoke": found, "market1501": found}, str(tmp_path), 2)
    kept = snapshots.read(tmp_path, "looks", "smoke")
    torch.testing.assert_close(
        torch.from_numpy(kept[SEEN]).float(), maps[SEEN], atol=1e-3, rtol=0
    )
    assert snapshots.read(tmp_path, "looks", "market1501") == {}


def test_a_model_that_segments_nothing_has_no_masks(tmp_path):
    tester = evaluation.Tester(plain_transform(*SIZE, normalisation="half"), "cpu", 2)
    model = tiny(regions=False, stripes="image")
    found = combined.look(model, [drawn(tmp_path, 0)], tester, names=BODY)
    assert found.masks is None and found.parts is not None
