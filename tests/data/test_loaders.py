"""What is done to an image, what a loader yields, what is known beside an image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from reidlib import data
from reidlib.data import transforms
from reidlib.data.captions import read_captions
from reidlib.data.masks import read_mask
from reidlib.data.samples import Sample, labels_of
from reidlib.pedestrians import Part


def picture(width=32, height=64) -> Image.Image:
    """Smooth, so that resizing loses nothing; left is darker than right."""
    columns = np.broadcast_to(np.linspace(20, 230, width), (height, width))
    rows = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    pixels = np.stack([columns, rows, np.full((height, width), 128.0)], axis=-1)
    return Image.fromarray(pixels.round().astype(np.uint8))


@pytest.mark.parametrize("name", ["half", "imagenet"])
def test_normalisation_is_pixels_minus_mean_over_deviation(name):
    tensor = transforms.test_transform(64, 32, normalisation=name)(picture())
    mean, std = (np.array(numbers) for numbers in transforms.NORMALISATIONS[name])
    expected = (np.asarray(picture()) / 255 - mean) / std
    assert tensor.shape == (3, 64, 32) and tensor.dtype == torch.float32
    assert np.allclose(tensor.permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_normalisations_are_the_usual_ones():
    assert transforms.NORMALISATIONS["half"] == ((0.5,) * 3, (0.5,) * 3)
    assert transforms.NORMALISATIONS["imagenet"][0] == (0.485, 0.456, 0.406)
    assert transforms.NORMALISATIONS["imagenet"][1] == (0.229, 0.224, 0.225)
    for transform in (transforms.test_transform, transforms.train_transform):
        with pytest.raises(ValueError, match="'clip': choose from half, imagenet"):
            transform(64, 32, normalisation="clip")


def test_images_are_resized_to_height_by_width_bicubically():
    image = picture()
    tensor = transforms.test_transform(128, 48, normalisation="half")(image)
    expected = np.asarray(image.resize((48, 128), Image.Resampling.BICUBIC)) / 255
    assert tensor.shape == (3, 128, 48)
    assert np.allclose(tensor.permute(1, 2, 0) * 0.5 + 0.5, expected, atol=1e-5)


def test_the_test_transform_draws_nothing():
    transform = transforms.test_transform(64, 32, normalisation="half")
    assert (transform(picture()) == transform(picture())).all()


PLAIN = {"flip_probability": 0.0, "pad": 0, "erasing_probability": 0.0}


def trained_on(height=64, width=32, **changes) -> torch.Tensor:
    options = PLAIN | changes
    transform = transforms.train_transform(
        height, width, normalisation="half", **options
    )
    return transform(picture())


def test_training_without_augmentation_is_the_test_transform():
    expected = transforms.test_transform(64, 32, normalisation="half")(picture())
    for _ in range(5):
        assert (trained_on() == expected).all()


def test_a_flip_turns_left_and_right():
    assert (trained_on(flip_probability=1.0) == trained_on().flip(-1)).all()


def test_padding_shifts_the_picture_by_at_most_pad_and_fills_with_black():
    plain, shifts = trained_on(), set()
    padded = torch.nn.functional.pad(plain, (2, 2, 2, 2), value=-1.0)
    for _ in range(60):
        image = trained_on(pad=2)
        found = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(image, padded[:, y : y + 64, x : x + 32])
        ]
        assert image.shape == plain.shape and len(found) == 1
        shifts.update(found)
    assert {y for y, _ in shifts} == {x for _, x in shifts} == {0, 1, 2, 3, 4}


def test_erasing_replaces_one_box_by_noise():
    plain = trained_on()
    erased = trained_on(erasing_probability=1.0)
    changed = (erased != plain).all(dim=0)
    rows, columns = changed.any(dim=1).nonzero(), changed.any(dim=0).nonzero()
    box = changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert box.float().mean() > 0.99, "one whole box"
    assert 0.01 < changed.float().mean() < 0.5
    assert erased[:, changed].std() > 0.5, "of noise"


@pytest.mark.parametrize(("fill", "largest"), [("noise", 0.33), ("colour", 0.4)])
def test_an_erased_box_is_at_most_as_large_as_its_recipe_has_it(fill, largest):
    plain, shares = trained_on(), []
    for _ in range(80):
        erased = trained_on(erasing_probability=1.0, erasing_fill=fill)
        shares.append((erased != plain).any(dim=0).float().mean().item())
    assert max(shares) < largest + 0.03 and min(shares) < 0.1 < 0.25 < max(shares)


def test_the_strong_baselines_eraser_fills_one_colour_behind_the_normalisation():
    plain = trained_on()
    erased = trained_on(erasing_probability=1.0, erasing_fill="colour")
    changed = (erased != plain).any(dim=0)
    colours = erased[:, changed].unique(dim=1).flatten().tolist()
    assert colours == pytest.approx([0.485, 0.456, 0.406])
    with pytest.raises(ValueError, match="erasing_fill is 'black': choose from noise"):
        trained_on(erasing_fill="black")


def test_labels_count_the_sorted_pids():
    samples = [Sample(Path(), pid, 0) for pid in (50, 3, 50, 12, 3)]
    assert labels_of(samples) == {3: 0, 12: 1, 50: 2}
    assert list(labels_of(reversed(samples))) == [3, 12, 50]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> list[Sample]:
    root = tmp_path_factory.mktemp("images")
    samples = []
    for who, pid in enumerate((5, 9, 2)):
        for camid in range(4):
            path = root / f"{pid}_{camid}.png"
            pixels = np.full((8, 4, 3), 60 * who + camid, dtype=np.uint8)
            mode = Image.fromarray(pixels).convert("L" if camid == 3 else "RGB")
            mode.save(path)
            samples.append(Sample(path, pid, camid))
    return samples


def grey_of(image: torch.Tensor) -> int:
    return round(float((image.mean() * 0.5 + 0.5) * 255))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork, 3.12
@pytest.mark.parametrize("workers", [0, 1])
def test_a_training_batch_knows_its_images(folder, workers):
    loader = data.train_loader(
        folder,
        transforms.train_transform(16, 8, normalisation="half", **PLAIN),
        num_identities_per_batch=2,
        images_per_identity=2,
        seed=0,
        workers=workers,
    )
    batches = list(loader)
    assert len(loader) == len(batches) > 1
    for images, labels, camids, paths in batches:
        assert images.shape == (4, 3, 16, 8) and images.dtype == torch.float32
        assert labels.dtype == camids.dtype == torch.int64
        for image, label, camid, path in zip(
            images, labels.tolist(), camids.tolist(), paths, strict=True
        ):
            pid, name_camid = map(int, path.stem.split("_"))
            assert label == {2: 0, 5: 1, 9: 2}[pid] and camid == name_camid
            assert grey_of(image) == 60 * (5, 9, 2).index(pid) + camid


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork, 3.12
def test_workers_stay_and_draw_as_new_ones_would(folder):
    def made():
        return data.train_loader(
            folder,
            transforms.train_transform(16, 8, normalisation="half"),
            num_identities_per_batch=2,
            images_per_identity=2,
            seed=0,
            workers=2,
        )

    def epoch(loader, number):
        torch.manual_seed(number)
        loader.batch_sampler.set_epoch(number)
        images = torch.stack([batch.images for batch in loader])
        return images, torch.rand(1)  # what is drawn beside the loader, too

    new = [epoch(made(), number) for number in range(3)]
    loader = made()
    next(iter(loader))  # a look at a batch, and workers with others under way
    workers = [worker.pid for worker in loader._iterator._workers]
    for number, expected in enumerate(new):
        assert all(map(torch.equal, epoch(loader, number), expected))
    assert [worker.pid for worker in loader._iterator._workers] == workers
    assert not torch.equal(new[0][0], new[1][0])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork, 3.12
def test_a_worker_draws_as_torch_would_have_seeded_it(folder):
    transform = transforms.train_transform(16, 8, normalisation="half")
    options = {"num_identities_per_batch": 2, "images_per_identity": 2, "seed": 0}
    ours = data.train_loader(folder, transform, workers=1, **options)
    usual = data.train_loader(folder, transform, **options)
    usual = DataLoader(
        usual.dataset,
        batch_sampler=usual.batch_sampler,
        collate_fn=usual.collate_fn,
        num_workers=1,
    )
    drawn = []
    for loader in (ours, usual):
        torch.manual_seed(3)
        drawn.append(torch.stack([batch.images for batch in loader]))
    assert torch.equal(*drawn)


def test_epochs_of_a_loader_differ_and_return(folder):
    loader = data.train_loader(
        folder,
        transforms.test_transform(8, 4, normalisation="half"),
        num_identities_per_batch=3,
        images_per_identity=4,
        seed=0,
        spread_cameras=True,
    )
    seen = []
    for epoch in (0, 1, 0):
        loader.batch_sampler.set_epoch(epoch)
        seen.append([path for batch in loader for path in batch.paths])
    assert seen[0] == seen[2] != seen[1]


def test_a_test_loader_keeps_order_and_pids(folder):
    transform = transforms.test_transform(8, 4, normalisation="half")
    batches = list(data.test_loader(folder, transform, batch_size=5))
    assert [len(batch.images) for batch in batches] == [5, 5, 2]
    paths = [path for batch in batches for path in batch.paths]
    assert paths == [sample.path for sample in folder]
    assert torch.cat([b.pids for b in batches]).tolist() == [s.pid for s in folder]
    assert torch.cat([b.camids for b in batches]).tolist() == [s.camid for s in folder]


def test_a_batch_moves_with_its_paths(folder):
    transform = transforms.test_transform(8, 4, normalisation="half")
    batch = next(iter(data.test_loader(folder, transform, batch_size=3)))
    moved = batch.to("meta")
    assert isinstance(moved, data.TestBatch) and moved.paths == batch.paths
    assert {tensor.device.type for tensor in moved[:3]} == {"meta"}
    assert batch.images.device.type == "cpu"


def test_masks_and_captions_are_found_by_image_path(tmp_path):
    root = tmp_path / "set"
    (root / "masks" / "query").mkdir(parents=True)
    labels = np.arange(8, dtype=np.uint8).reshape(4, 2) % len(Part)
    Image.fromarray(labels).save(root / "masks" / "query" / "0001_c1s1_0.png")
    line = '{"image": "query/0001_c1s1_0.jpg", "person": "A", "background": "B"}\n'
    (root / "captions.jsonl").write_text(line)
    path = root / "query" / "0001_c1s1_0.jpg"
    mask = read_mask(path)
    assert mask.dtype == torch.int64 and (mask.numpy() == labels).all()
    assert read_captions(root) == {path: data.Captions(person="A", background="B")}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"image": "a.jpg", "person": "A"}', "no background, where image, person"),
        ("{", "Expecting property name"),
        ("[]", "a JSON list, where an object is wanted"),
        ("[" * 100_000, "nested too deep"),
        *[
            (f'{{"image": "a.jpg", "person": {value}, "background": "B"}}', said)
            for value, said in [
                ("null", "person is null"),
                ("NaN", "person is NaN"),
                ("3.5", "person is 3.5"),
                ('["a man", "in red"]', 'person is \\["a man", "in red"\\]'),
                ('{"text": "a man"}', 'person is {"text": "a man"}'),
                (r'"\ud800"', "surrogates not allowed"),
            ]
        ],
        ('{"image": 3, "person": "A", "background": "B"}', "image is 3, where"),
    ],
)
def test_a_line_of_captions_that_is_no_text_is_named_and_none_is_lost(
    tmp_path, line, said
):
    good = '{"image": "a.jpg", "person": "A", "background": "B"}'
    (tmp_path / "captions.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(
        ValueError, match=rf"captions\.jsonl, line 2 .*{said}"
    ) as caught:
        read_captions(tmp_path)
    assert "correct it, and keep the other lines" in str(caught.value)
    assert "delete" not in str(caught.value)


def test_captions_written_on_windows_are_read_and_other_encodings_named(tmp_path):
    line = '{"image": "a.jpg", "person": "ein Mützenträger", "background": "B"}\r\n'
    path = tmp_path / "captions.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + line.encode())
    expected = data.Captions(person="ein Mützenträger", background="B")
    assert read_captions(tmp_path) == {tmp_path / "a.jpg": expected}
    path.write_bytes(f"\n{line}".encode("latin1"))
    with pytest.raises(ValueError, match=r"captions\.jsonl, line 2 .*not UTF-8; if"):
        read_captions(tmp_path)
    path.write_bytes(line.encode("utf-16"))
    with pytest.raises(ValueError, match=r"captions\.jsonl, line 1 .*UTF-16: save"):
        read_captions(tmp_path)


def test_missing_side_information_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"masks.query.0001_c1\.png"):
        read_mask(tmp_path / "query" / "0001_c1.jpg")
    with pytest.raises(FileNotFoundError, match=r"captions\.jsonl"):
        read_captions(tmp_path)
