"""OpenAI's CLIP files: read without running them, equal to a plain forward pass."""

import json
import os
import pickle
import zipfile

import pytest
import torch
from open_clip import get_model_config
from open_clip.tokenizer import tokenize
from safetensors.torch import save_file
from toys.openai_format import (
    image_tokens,
    openai_state,
    text_features,
    write_torchscript,
)
from toys.small_clip import SETTINGS

from reidlib.backbones.clip_weights import NOT_WEIGHTS, load_clip
from reidlib.backbones.torchscript import is_torchscript, read_torchscript

VISION = SETTINGS["vision_cfg"] | {"image_size": 224}  # heads of 16, two of text
SMALL = SETTINGS | {"vision_cfg": VISION}
STATE = openai_state(SMALL)
WORDS = tokenize(["a person in a red coat", "a bag"])
WRITERS = {
    "script.pt": write_torchscript,
    "plain.pt": torch.save,
    "wrapped.pt": lambda state, path: torch.save({"state_dict": state}, path),
    "open_clip.safetensors": lambda state, path: save_file(weights(state), path),
}


def weights(state):
    return {name: value for name, value in state.items() if name not in NOT_WEIGHTS}


def write(folder, name="script.pt", state=STATE, settings=SMALL):
    path = folder / name
    WRITERS[name](state, path)
    path.with_suffix(".json").write_text(json.dumps(settings))
    return path


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("image_size", "stride", "grid"),
    [
        ((256, 128), 16, (16, 8)),
        ((256, 128), 12, (21, 10)),
        ((384, 128), 16, (24, 8)),
        ((384, 128), 12, (31, 10)),
    ],
)
def test_openais_weights_give_the_features_of_a_plain_forward_pass(
    tmp_path, name, image_size, stride, grid
):
    clip = load_clip(write(tmp_path, name), image_size=image_size, stride=stride).eval()
    images = torch.randn(2, 3, *image_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, sentence = clip.image(images).joint, clip.text(WORDS).sentence
    expected = image_tokens(STATE, images, stride=stride, heads=2)
    assert clip.image.grid == grid
    assert {p.dtype for p in clip.parameters()} == {torch.float32}
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    expected = text_features(STATE, WORDS, heads=2)
    torch.testing.assert_close(sentence, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.full_size
def test_full_size(tmp_path):
    path = tmp_path / "ViT-B-16.pt"
    state = openai_state(get_model_config("ViT-B-16-quickgelu"))
    write_torchscript(state, path)
    images = torch.randn(1, 3, 256, 128)
    for stride in (16, 12):
        clip = load_clip(path, image_size=(256, 128), stride=stride)
        with torch.no_grad():
            found = clip.eval().image(images).joint
        expected = image_tokens(state, images, stride=stride, heads=12)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_an_archive_gives_the_bits_that_were_written(tmp_path):
    path = write(tmp_path)
    found = read_torchscript(path)
    assert is_torchscript(path) and found.keys() == STATE.keys()
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name
    assert not is_torchscript(write(tmp_path, "plain.pt"))
    assert not is_torchscript(write(tmp_path, "open_clip.safetensors"))


class Code:
    """A pickle of it would make a folder when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def archive_of(path, content: bytes, name="some/data.pkl"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
        archive.writestr("some/constants.pkl", b"")
        archive.writestr("some/code/__torch__.py", "raise SystemExit")
    return path


def test_an_archive_that_names_code_is_refused_and_not_run(tmp_path):
    content = pickle.dumps({"logit_scale": Code(str(tmp_path / "made"))}, protocol=2)
    path = archive_of(tmp_path / "code.pt", content)
    with pytest.raises(ValueError, match=r"code\.pt was refused.*posix\.mkdir"):
        load_clip(path, image_size=(256, 128))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("word", ["builtins\neval", "torch\nload", "torch.jit\nload"])
def test_only_names_of_tensors_and_modules_are_known(tmp_path, word):
    path = archive_of(tmp_path / "code.pt", f"c{word}\n.".encode())
    with pytest.raises(ValueError, match="refused.*" + word.replace("\n", r"\.")):
        read_torchscript(path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(STATE["visual.proj"].numpy().tobytes())] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"script\.pt cannot be read as a file of tensors.*damaged"),
        (flip, r"script\.pt cannot be read as a TorchScript archive.*CRC.*fetch it"),
        (lambda path: path.write_bytes(b""), r"script\.pt cannot be read.*damaged"),
        (
            lambda path: path.write_text("<!DOCTYPE html>"),
            r"script\.pt is a web page, not the file it offers",
        ),
        (lambda path: archive_of(path, b"N."), "TorchScript archive.*of another kind"),
        (lambda path: archive_of(path, b"", "a"), "TorchScript archive.*another kind"),
        (lambda path: torch.save([1], path), "holds a list, but a dict"),
        (lambda path: torch.save({"a": 1}, path), "no tensors by name, but a:"),
        (lambda path: torch.save({1: 2}, path), "no tensors by name, but 1:"),
        (
            lambda path: torch.save({"state_dict": 1}, path),
            "no tensors by name, but st",
        ),
    ],
)
def test_damaged_and_foreign_files_are_named(tmp_path, damage, message):
    path = write(tmp_path)
    damage(path)
    with pytest.raises(ValueError, match=message):
        load_clip(path, image_size=(256, 128))


def test_an_archive_of_another_architecture_is_named_with_shapes(tmp_path):
    deeper = SMALL | {"vision_cfg": VISION | {"layers": 4}}
    path = write(tmp_path, settings=deeper)
    message = r"missing in the file(.|\n)*visual\.transformer\.resblocks\.3\.attn"
    with pytest.raises(ValueError, match=message):
        load_clip(path, image_size=(256, 128))
    write(tmp_path, state=openai_state(deeper))
    with pytest.raises(ValueError, match=r"unexpected in the file(.|\n)*resblocks\.3"):
        load_clip(path, image_size=(256, 128))


def test_what_to_fetch_is_named_where_there_is_no_file(tmp_path):
    message = r"absent\.pt.*open_clip_model\.safetensors of timm/\S+, with its .*, or"
    with pytest.raises(FileNotFoundError, match=message):
        load_clip(tmp_path / "absent.pt", image_size=(256, 128))


def test_modules_that_share_modules_without_end_are_refused_in_time(tmp_path):
    """Thirty modules, each twice in the one above it: a billion names."""
    path = tmp_path / "shared.pt"
    pickled = b"\x80\x02" + b"c__torch__.M\nM\n)\x81}b" + b"q\x00"
    for number in range(30):
        below = bytes([ord("h"), number])
        items = b"(X\x01\0\0\0a" + below + b"X\x01\0\0\0b" + below + b"u"
        pickled += b"c__torch__.M\nM\n)\x81}" + items + b"b"
        pickled += bytes([ord("q"), number + 1])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("shared/data.pkl", pickled + b".")
        archive.writestr("shared/constants.pkl", b"")
    with pytest.raises(ValueError, match=r"shared\.pt .*more than 100,000 modules"):
        read_torchscript(path)


def test_parts_that_were_compressed_are_refused(tmp_path):
    path, packed = write(tmp_path), tmp_path / "packed.pt"
    with (
        zipfile.ZipFile(path) as parts,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for part in parts.namelist():
            archive.writestr(part, parts.read(part))
    with pytest.raises(ValueError, match=r"packed\.pt .*data\.pkl is compressed"):
        read_torchscript(packed)
