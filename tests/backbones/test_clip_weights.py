"""CLIP weights: found, read, fitted, written; every failure says what to do."""

import json
import os

import open_clip
import pytest
import torch
from open_clip.tokenizer import tokenize
from safetensors.torch import load_file
from toys.small_clip import SETTINGS, small_clip

from reidlib.backbones import clip_weights
from reidlib.backbones.clip_weights import load_clip, save_tiny_clip

WORDS = tokenize(["a person in a red coat", "a bag"])
USED = sorted({0, *WORDS.flatten().tolist()})


@pytest.fixture
def saved(tmp_path):
    """A small model on disk, as the tiny weights are."""
    _, clip = small_clip()
    path = tmp_path / "assets" / "small.safetensors"
    save_tiny_clip(clip, path, WORDS.flatten())
    return clip, path


def test_saved_weights_come_back_as_fp16(saved):
    clip, path = saved
    again = load_clip(path, image_size=(64, 64))
    for name, value in clip.state_dict().items():
        if name != "text.token_embedding.weight":
            assert torch.equal(again.state_dict()[name], value.half().float()), name
    table = again.text.token_embedding.weight
    assert table.dtype == torch.float32
    assert table.shape == (49408, 16)
    assert torch.equal(table[USED], clip.text.embed_tokens(torch.tensor(USED)).half())
    torch.testing.assert_close(
        again.text(WORDS).sentence, clip.text(WORDS).sentence, atol=2e-2, rtol=0
    )


def test_only_used_rows_are_stored_and_others_give_their_mean(saved):
    _, path = saved
    stored = load_file(path)
    assert stored["token_rows"].tolist() == USED
    assert {value.dtype for value in stored.values()} == {torch.float16, torch.int32}
    assert path.stat().st_size < 200_000  # the whole table alone has 1.6 MB
    text = load_clip(path, image_size=(64, 64)).text
    assert text.known_tokens().tolist() == USED
    unused = torch.tensor([[1, 2, 49405]])
    mean = stored["token_embedding.weight"].float().mean(0)
    torch.testing.assert_close(text.embed_tokens(unused)[0], mean.expand(3, -1))


def test_saving_what_was_loaded_writes_the_same_file(saved, tmp_path):
    _, path = saved
    again = load_clip(path, image_size=(64, 64))
    save_tiny_clip(again, tmp_path / "again.safetensors", again.text.known_tokens())
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert (tmp_path / "again.json").read_text() == (
        path.with_suffix(".json").read_text()
    )
    assert sorted(path.parent.iterdir()) == [path.with_suffix(".json"), path]


def test_size_and_stride_are_saved_and_can_be_changed_on_loading(tmp_path):
    config = tmp_path / "config.json"
    vision = SETTINGS["vision_cfg"] | {"image_size": [64, 32]}
    config.write_text(json.dumps(SETTINGS | {"vision_cfg": vision}))
    clip = load_clip("random", image_size=(64, 32), stride=8, config=config)
    path = tmp_path / "small.safetensors"
    save_tiny_clip(clip, path, [5])
    written = json.loads(path.with_suffix(".json").read_text())
    assert written["stride"] == 8
    assert written["vision_cfg"]["image_size"] == [64, 32]
    again = load_clip(path, image_size=(64, 32), stride=8)
    assert again.text.known_tokens().tolist() == [0, 5, 49406, 49407]
    kept = again.image
    wider = load_clip(path, image_size=(64, 64), stride=16).image
    assert (kept.grid, wider.grid) == ((7, 3), (4, 4))
    positions = clip.image.visual.positional_embedding
    assert torch.equal(kept.visual.positional_embedding, positions.half().float())
    assert wider(torch.zeros(1, 3, 64, 64)).last.shape == (1, 17, 32)


def test_tiny_is_the_file_in_assets(saved, tmp_path, monkeypatch):
    _, path = saved
    monkeypatch.setitem(clip_weights.TINY, "tiny", path)
    assert load_clip("tiny", image_size=(64, 64)).image.width == 32
    monkeypatch.setitem(clip_weights.TINY, "tiny", tmp_path / "absent.safetensors")
    with pytest.raises(FileNotFoundError, match=r"absent.*pretrain_clip\.ipynb"):
        load_clip("tiny", image_size=(64, 64))


def test_openai_is_fetched_by_name(saved, monkeypatch):
    clip, path = saved
    asked = []

    def hub(origin):
        asked.append(origin["hf_hub"])
        return str(path)

    monkeypatch.setattr("open_clip.download_pretrained", hub)
    found = load_clip("openai", image_size=(64, 64))
    assert asked == ["timm/vit_base_patch16_clip_224.openai/"]
    assert torch.equal(found.logit_scale, clip.logit_scale.half().float())


def test_an_unreachable_hub_names_the_file_to_fetch(monkeypatch):
    def unreachable(origin):
        raise OSError("no route")

    monkeypatch.setattr("open_clip.download_pretrained", unreachable)
    message = r"no route.*open_clip_model\.safetensors of timm/\S+openai, .*its path"
    with pytest.raises(FileNotFoundError, match=message):
        load_clip("openai", image_size=(224, 224))


def test_a_source_that_is_nothing_lists_the_choices(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"opena1.*tiny, openai, random"):
        load_clip("opena1", image_size=(64, 64))
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        load_clip("random", image_size=(64, 64), config=tmp_path / "absent.json")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_training_checkpoint_of_open_clip_is_read(tmp_path, prefix):
    model, _ = small_clip()
    state = {prefix + name: value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "small.pt")
    (tmp_path / "small.json").write_text(json.dumps(SETTINGS))
    clip = load_clip(tmp_path / "small.pt", image_size=(64, 64))
    assert torch.equal(clip.text(WORDS).sentence, model.encode_text(WORDS))
    assert len(clip.text.known_tokens()) == 49408


def test_weights_of_another_architecture_are_named_with_shapes(saved, tmp_path):
    _, path = saved
    wider = SETTINGS | {"embed_dim": 40}
    (tmp_path / "wider.json").write_text(json.dumps(wider))
    with pytest.raises(ValueError, match="another architecture") as caught:
        load_clip(path, image_size=(64, 64), config=tmp_path / "wider.json")
    for part in ("visual.proj", "(32, 24)", "(32, 40)", "text_projection"):
        assert part in str(caught.value)


def test_values_beyond_fp16_are_not_written(tmp_path):
    _, clip = small_clip()
    with torch.no_grad():
        clip.image.visual.ln_post.bias[3] = 1e6
    with pytest.raises(ValueError, match=r"visual\.ln_post\.bias.*fp16"):
        save_tiny_clip(clip, tmp_path / "small.safetensors", [])
    assert not list(tmp_path.iterdir())


class Code:
    """A pickle of it would make a folder when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_files_with_code_are_refused(tmp_path):
    torch.save({"logit_scale": Code(str(tmp_path / "made"))}, tmp_path / "code.pt")
    with pytest.raises(ValueError, match="refused"):
        load_clip(tmp_path / "code.pt", image_size=(64, 64))
    assert not (tmp_path / "made").exists()


def test_a_truncated_file_is_named(saved):
    _, path = saved
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"small\.safetensors.*damaged"):
        load_clip(path, image_size=(64, 64))


def small_state(path):
    model, _ = small_clip()
    torch.save(model.state_dict(), path)
    return model


def test_weights_that_do_not_say_their_activation_are_not_guessed(tmp_path):
    """GELU and QuickGELU: the same names, other features."""
    path = tmp_path / "open_clip_pytorch_model.bin"
    small_state(path)
    message = r"bin does not say whether .*QuickGELU.*Lay the open_clip_config\.json"
    with pytest.raises(ValueError, match=message):
        load_clip(path, image_size=(64, 64))


@pytest.mark.parametrize("name", ["weights.json", "open_clip_config.json"])
@pytest.mark.parametrize("quick", [True, False])
def test_the_configuration_that_open_clip_publishes_is_read(tmp_path, name, quick):
    settings = SETTINGS | {"quick_gelu": quick}
    torch.manual_seed(0)
    model = open_clip.CLIP(**settings).eval()
    torch.save(model.state_dict(), tmp_path / "weights.bin")
    published = {"model_cfg": settings, "preprocess_cfg": {"mean": [0.5]}}
    (tmp_path / name).write_text(json.dumps(published))
    clip = load_clip(tmp_path / "weights.bin", image_size=(64, 64)).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found, expected = clip.image(images).joint[:, 0], model.encode_image(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"lr": 0.1}', "no vision_cfg: it is no configuration of open_clip"),
        ('{"model_cfg": {"vision_cfg": {}}}', "no text_cfg"),
        ('{"model_cfg": [1]}', "model_cfg"),
        ("[1]", "a JSON list, where an object is wanted"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "nested too deep"),
        (json.dumps(SETTINGS | {"widht": 3}), "widht"),
        (json.dumps(SETTINGS | {"vision_cfg": {"layers": "x"}}), ""),
        (
            json.dumps(SETTINGS | {"text_cfg": {"hf_model_name": "roberta"}}),
            "hf_model_name in text_cfg: only CLIP's own towers fit",
        ),
    ],
)
def test_other_json_beside_the_weights_is_named(tmp_path, text, said):
    path = tmp_path / "w.bin"
    small_state(path)
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(ValueError, match=r"w\.json cannot be read \(") as caught:
        load_clip(path, image_size=(64, 64))
    assert said in str(caught.value)
    assert "lay the open_clip_config.json" in str(caught.value)


def test_names_of_the_transformers_library_are_recognised(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"vision_model.embeddings.class_embedding": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=r"names of the transformers library: take"):
        load_clip(path, image_size=(64, 64))
