"""Stage 0 of RGANet: labels of cells, prompts that are learned, kept and read back."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from toys.small_clip import small_clip
from toys.small_drawn import drawn, painted
from toys.small_rganet import tiny

from reidlib import data
from reidlib.data.image_cache import ImageCache
from reidlib.data.loaders import Batch
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.models.rganet_prompts import BODY, REGIONS
from reidlib.pedestrians import Part
from reidlib.prepare.region_prompts import (
    learn_prompts,
    load_prompts,
    region_labels,
    save_prompts,
    start_memory,
    with_regions,
)
from reidlib.weights import write_tensors

GRID = (4, 2)


def rows_of(root: Path, names, rows=(0, 1, 5, 4)) -> list[int]:
    sample = painted(root, list(rows))
    labels = region_labels([sample], names, GRID)[sample.path]
    assert (labels[:, 0] == labels[:, 1]).all()
    return labels[:, 0].tolist()


def test_cells_are_labelled_by_the_order_of_the_names(tmp_path):
    assert rows_of(tmp_path, BODY) == [0, 1, -1, 4], "an occluder is not known"
    assert rows_of(tmp_path, BODY[::-1]) == [0, 4, -1, 1]


def test_parts_without_a_name_and_names_without_a_part_label_nothing(tmp_path):
    assert rows_of(tmp_path, REGIONS[2]) == [0, -1, -1, -1]
    assert rows_of(tmp_path, REGIONS[5]) == [0, 1, -1, 4]
    assert rows_of(tmp_path, ("bags",)) == [0, -1, -1, -1]


def test_bags_are_a_region_of_their_own_where_they_are_named(tmp_path):
    rows = (0, Part.BAGS, 2, 4)
    assert rows_of(tmp_path, REGIONS[5], rows) == [0, 5, 2, 4]
    assert rows_of(tmp_path, BODY, rows) == [0, 2, 2, 4], "else of the upper body"
    assert rows_of(tmp_path, BODY[2:], rows) == [0, -1, -1, 2]


def test_an_image_without_a_mask_is_refused(tmp_path):
    sample = drawn(tmp_path)
    (tmp_path / "masks/query" / f"{sample.path.stem}.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"png.*prepare/masks.*a \[CLASS\] part"
    ):
        region_labels([sample], BODY, GRID)


def test_the_objective_of_stage_0_sees_the_labels_of_its_images():
    labels = {Path("a"): torch.zeros(4, 2), Path("b"): torch.ones(4, 2)}
    taught = with_regions(lambda output, batch: {"sum": batch.regions.sum()}, labels)
    empty = torch.zeros(2)
    batch = Batch(torch.zeros(2, 3, 8, 4), empty, empty, (Path("b"), Path("a")))
    assert taught(None, batch)["sum"] == 8
    assert taught(None, batch._replace(paths=(Path("a"), Path("a"))))["sum"] == 0


def test_prompts_are_written_and_read_back(tmp_path):
    path, prototypes = tmp_path / "run" / "prompts.safetensors", torch.randn(4, 24)
    history = pd.DataFrame({"epoch": [1, 2], "segmentation": [1.5, 0.5]})
    given = nn.Parameter(prototypes), torch.randn(8, 16), BODY, history
    save_prompts(path, *given)
    assert load_prompts(path, BODY, 24).equal(prototypes)
    kept = {"prompts.csv", "prompts.safetensors"}
    assert {file.name for file in path.parent.iterdir()} == kept
    pd.testing.assert_frame_equal(pd.read_csv(path.with_suffix(".csv")), history)
    with pytest.raises(ValueError, match="of head, upper body, lower body, foot;"):
        load_prompts(path, REGIONS[2], 24)
    with pytest.raises(ValueError, match=r"\(4, 64\) of head"):
        load_prompts(path, BODY, 64)
    with pytest.raises(FileNotFoundError, match="check prompt_path, or leave it"):
        load_prompts(tmp_path / "absent", BODY, 24)


@pytest.mark.parametrize("content", ["text", "none", "names", "cut"])
def test_prompts_that_cannot_be_read_are_named_with_what_to_do(tmp_path, content):
    path = tmp_path / "prompts.safetensors"
    tensors = {} if content == "none" else {"prototypes": torch.zeros(4, 24)}
    write_tensors(tensors, path, notes={"names": "[" if content == "names" else "[]"})
    if content in ("text", "cut"):
        path.write_bytes(b"<html>" if content == "text" else path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"prompts\.safetensors cannot .*stage 0"):
        load_prompts(path, BODY, 24)


STAGE_0 = {"context_vectors": 2, "background": False, "learning_rate": 0.01}
STAGE_0 |= {"epochs": 2, "seed": 0, "device": "cpu"}


def stage_0(samples, model, prompt_path="", run_dir="") -> pd.DataFrame:
    loader = data.train_loader(
        samples,
        plain_transform(80, 32, normalisation="half"),
        num_identities_per_batch=1,
        images_per_identity=3,
        seed=0,
    )
    text, paths = small_clip()[1].text, {"prompt_path": prompt_path, "run_dir": run_dir}
    return learn_prompts(model, text, BODY, loader, **paths, **STAGE_0)


def test_stage_0_learns_once_and_is_read_afterwards(tmp_path):
    samples = [drawn(tmp_path, camid) for camid in range(3)]
    model, run_dir = tiny(), str(tmp_path / "run")
    words = model.prototypes.clone()
    history = stage_0(samples, model, run_dir=run_dir)
    assert list(history["epoch"]) == [1, 2] and len(history.attrs["seconds"]) == 2
    assert history["segmentation"].iloc[1] < history["segmentation"].iloc[0]
    assert not model.prototypes.equal(words)
    file = tmp_path / "run" / "prompts.safetensors"
    for paths in ({"run_dir": run_dir}, {"prompt_path": str(file)}):
        again = tiny()
        nothing = stage_0(samples, again, **paths)
        assert again.prototypes.equal(model.prototypes)
        assert nothing.empty and nothing.attrs["seconds"] == []
        assert list(nothing) == ["epoch", "segmentation"]
    unkept = tiny()
    stage_0(samples, unkept)
    assert unkept.prototypes.equal(model.prototypes), "with one seed, the same"


def test_the_memory_starts_with_the_mean_stripes_of_all_images(tmp_path):
    samples = [drawn(tmp_path, camid) for camid in range(3)]
    model, transform = tiny(), plain_transform(80, 32, normalisation="half")
    start_memory(model, samples, transform, device="cpu", batch_size=2)
    images = [transform(Image.open(s.path).convert("RGB")) for s in samples]
    expected = model.eval().stripes(torch.stack(images)).mean(0)
    torch.testing.assert_close(model.memory.centers, expected)
    cache = ImageCache.at(str(tmp_path / "kept"), str(tmp_path))
    start_memory(model, samples, transform, device="cpu", cache=cache)
    torch.testing.assert_close(model.memory.centers, expected)
    start_memory(tiny(assessment="dai"), samples, transform, device="cpu")
