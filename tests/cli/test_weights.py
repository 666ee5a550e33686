"""Weights that others have published: listed, fetched beforehand, found and checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys.small_hub import small_hub

from reidlib import published_weights
from reidlib.published_weights import PUBLISHED, sha256_of
from reidrun.cli import main as cli
from reidrun.runs.environment import ROOT

RESNET = b"not quite a ResNet" * 1000
HUB = {
    "resnet50.pth": RESNET,
    "timm/vit_base_patch16_clip_224.openai/open_clip_model.safetensors": b"CLIP" * 99,
    "llava-hf/llava-1.5-7b-hf/config.json": b"{}",
    "llava-hf/llava-1.5-7b-hf/model-1.safetensors": b"LLaVA" * 99,
    "llava-hf/llava-1.5-7b-hf/picture.png": b"not needed",
}
COMMAND = """
import hashlib, sys
from pathlib import Path
from reidlib import published_weights
from reidrun.cli import main as cli

content = b"not quite a ResNet" * 1000
known = published_weights.PUBLISHED
known["imagenet"] = known["imagenet"]._replace(
    origin=sys.argv[1] + "/resnet50.pth", size=len(content),
    sha256=hashlib.sha256(content).hexdigest(),
)
sys.exit(cli.main(["weights", *sys.argv[2:]], Path()))
"""


@pytest.fixture
def reid_weights(tmp_path):
    """The command in a process of its own: the clients read their settings once."""

    def run(address: str, *words: str) -> tuple[int, str, str]:
        env = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf")}
        env |= {"TORCH_HOME": str(tmp_path / "torch"), "PYTHONPATH": str(ROOT)}
        env |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, address, *words],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_what_is_fetched_is_found_by_name_without_a_network(reid_weights, tmp_path):
    with small_hub(HUB) as address:
        code, out, err = reid_weights(
            address, "fetch", "imagenet", "openai", "captioner"
        )
    assert code == 0, err
    assert "imagenet: 1 files, 0.0 MiB, as they should be" in out
    assert "captioner: 2 files" in out, "what is no part of the weights stays there"
    code, out, err = reid_weights(address, "check")
    assert code == 1
    assert out.count("as they should be") == 3
    (line,) = err.splitlines()
    assert line.startswith("reid: parser: mattmdjaga/segformer_b2_clothes (SegFormer")
    assert f"is not in {tmp_path}/hf/hub/models--mattmdjaga--segformer_b2" in line
    assert "`reid weights fetch parser`" in line

    (clip,) = (tmp_path / "hf").rglob("open_clip_model.safetensors")
    clip.resolve().write_bytes(b"CLOP" + b"CLIP" * 98)
    resnet = tmp_path / "torch/hub/checkpoints/resnet50-0676ba61.pth"
    resnet.write_bytes(RESNET[:-1])
    (clip.resolve().parent / "abc.incomplete").touch()
    code, out, err = reid_weights(address, "check", "imagenet", "openai")
    assert (code, out) == (1, "")
    assert f"{resnet} has 17999 bytes, not 18000" in err
    assert "open_clip_model.safetensors has the sha256 " in err
    assert "abc.incomplete was not fetched to its end: fetch openai again" in err


def test_what_cannot_be_fetched_is_a_line(reid_weights):
    with small_hub({"resnet50.pth": b"of another day"}) as address:
        code, out, err = reid_weights(address, "fetch", "imagenet", "parser")
    assert code == 1
    resnet, parser, *more = err.splitlines()
    assert resnet.startswith("reid: imagenet: cannot be fetched (invalid hash value")
    assert parser.startswith("reid: parser: cannot be fetched (") and not more


def test_unknown_names_are_refused(capsys):
    for words, said in (
        (["fetch", "imagnet"], "unknown weights 'imagnet'; did you mean imagenet?"),
        (["fetch"], "name what to fetch: imagenet, openai, captioner, parser"),
    ):
        assert cli.main(["weights", *words], ROOT) == 2
        assert said in capsys.readouterr().err


def test_the_list_says_what_is_known_and_what_is_not(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(published_weights, "_torch_hub", lambda: tmp_path)
    assert cli.main(["weights", "list", "imagenet", "openai"], ROOT) == 0
    out = capsys.readouterr().out
    assert "IMAGENET1K_V1; 98 MiB" in out and f"not here {tmp_path}" in out
    assert "size not known before it is here" in out
    assert "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a" in out
    assert out.count("licence") == 2


def test_the_table_agrees_with_the_libraries():
    import open_clip
    from torchvision.models import ResNet50_Weights

    resnet, clip = PUBLISHED["imagenet"], PUBLISHED["openai"]
    assert resnet.origin == ResNet50_Weights.IMAGENET1K_V1.url
    assert resnet.file == resnet.origin.rpartition("/")[2]
    assert resnet.file == f"resnet50-{resnet.sha256[:8]}.pth"
    megabytes = ResNet50_Weights.IMAGENET1K_V1.meta["_file_size"]
    assert abs(resnet.size / 2**20 - megabytes) < 0.001
    config = open_clip.get_pretrained_cfg("ViT-B-16", "openai")
    assert config["hf_hub"] == f"{clip.origin}/"


@pytest.mark.parametrize(
    ("paper", "name", "weights"),
    [("fanet", "pretrained", "imagenet"), ("fba", "backbone", "openai")],
)
def test_a_run_says_first_what_is_missing_and_where_it_looks(
    paper, name, weights, tmp_path, monkeypatch, capsys
):
    place = tmp_path / "cache"
    monkeypatch.setattr(published_weights, "_torch_hub", lambda: place)
    monkeypatch.setattr(published_weights, "HF_HUB_CACHE", str(place))
    monkeypatch.setattr(published_weights, "try_to_load_from_cache", lambda *_: None)
    words = ["run", paper, "--on", "market1501", "--data", str(tmp_path)]
    assert cli.main([*words, "--outputs", str(tmp_path / "out")], ROOT) == 2
    err = capsys.readouterr().err
    file = PUBLISHED[weights].file
    assert f"{name}: {weights}: {file} (" in err and f"is not in {place}" in err
    assert f"`reid weights fetch {weights}`" in err
    assert not (tmp_path / "out").exists()


def test_a_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256_of(path).startswith("ba7816bf8f01cfea")
    assert isinstance(PUBLISHED["openai"].place, Path)
