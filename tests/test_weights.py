import os
import pickle
import random
import resource
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from toys.toy_training import ToyModel

from reidlib.weights import (
    fitted,
    load_weights,
    read_checkpoint,
    read_tensors,
    read_weights,
    write_checkpoint,
    write_tensors,
)


class Malicious:
    """Loading it by pickle makes the file `marker`."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("writer", ["torch.save", "torch.save legacy", "pickle"])
def test_pickle_with_code_is_refused_and_not_run(tmp_path, writer):
    path, marker = tmp_path / "weights.pt", tmp_path / "code_ran"
    contents = {"weight": torch.ones(2), "extra": Malicious(marker)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(contents))
    else:
        torch.save(
            contents, path, _use_new_zipfile_serialization=writer == "torch.save"
        )
    with pytest.raises(ValueError, match="refused.*safetensors") as refusal:
        read_checkpoint(path)
    assert str(path) in str(refusal.value)
    if writer == "torch.save":
        assert "mkdir" in str(refusal.value)
    assert not marker.exists()
    torch.load(path, weights_only=False) if writer != "pickle" else pickle.loads(
        path.read_bytes()
    )
    assert marker.exists()  # the file was dangerous indeed


def test_whole_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="refused.*Linear"):
        read_checkpoint(tmp_path / "model.pt")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pt"):
        read_checkpoint(tmp_path / "nowhere.pt")
    path = tmp_path / "weights.pt"
    write_checkpoint({"weight": torch.randn(1000)}, path)
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(ValueError, match="weights.pt.*damaged"):
        read_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="weights.pt.*damaged"):
        read_checkpoint(path)
    torch.save(torch.ones(2), path)
    with pytest.raises(ValueError, match="holds a Tensor"):
        read_checkpoint(path)


def test_round_trip_and_safetensors(tmp_path):
    path = tmp_path / "folder" / "checkpoint.pt"
    write_checkpoint({"weight": torch.arange(3), "epoch": 2}, path)
    contents = read_checkpoint(path)
    assert contents["epoch"] == 2
    assert contents["weight"].tolist() == [0, 1, 2]
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.pt"]
    save_file({"weight": torch.ones(2)}, tmp_path / "w.safetensors")
    assert read_checkpoint(tmp_path / "w.safetensors")["weight"].tolist() == [1, 1]


def test_no_flipped_bit_of_our_safetensors_changes_a_tensor(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(3)}
    tensors |= {"c": torch.ones(2, dtype=torch.bfloat16), "d": torch.zeros(0, 2)}
    write_tensors(tensors, path, notes={"names": "[]"})
    content = path.read_bytes()
    assert read_tensors(path)[1] == {"names": "[]"}
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(path)
        except ValueError as error:
            assert "w.safetensors cannot be read" in str(error)
        else:
            assert found.keys() == tensors.keys(), place
            assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    write_checkpoint({"epoch": 1}, path)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        write_checkpoint({"epoch": 2, "bad": lambda: None}, path)
    assert read_checkpoint(path) == {"epoch": 1}

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint({"epoch": 3}, path)
    assert read_checkpoint(path) == {"epoch": 1}


def test_load_weights_reports_every_difference():
    model, other = ToyModel(width=8), ToyModel(width=5)
    state = other.state_dict()
    state["prompts"] = torch.zeros(4, 2)
    del state["bnneck.running_var"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="another architecture than ToyModel") as error:
        load_weights(model, state, "old.pt")
    message = str(error.value)
    assert message.startswith("old.pt")
    assert "trunk.1.weight: (5, 24) in the file, (8, 24) in the model" in message
    assert "bnneck.running_var: (8,)" in message.split("missing in the file (1)")[1]
    assert "prompts: (4, 2)" in message.split("unexpected in the file (1)")[1]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_long_reports_are_cut():
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(10)))
    with pytest.raises(ValueError, match=r"missing in the file \(20\)") as error:
        load_weights(model, {}, "empty.pt")
    assert "and 12 more" in str(error.value)


def test_load_weights_copies_and_widens():
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    load_weights(model, other.half().state_dict(), "half.pt")
    assert model.weight.dtype == torch.float32
    assert torch.equal(model.weight, other.weight.float())


def test_no_flipped_bit_of_a_checkpoint_changes_a_tensor(tmp_path):
    path, draw = tmp_path / "checkpoint.pt", random.Random(0)
    tensors = {f"w{i}": torch.randn(64, 64) for i in range(8)}
    write_checkpoint({"model": tensors, "epoch": 2}, path)
    good, refused = path.read_bytes(), 0
    for _ in range(60):
        damaged = bytearray(good)
        damaged[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            found = read_checkpoint(path)["model"]
        except ValueError as error:
            assert "checkpoint.pt cannot be read" in str(error)
            refused += 1
        else:
            assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert refused > 50
    damaged = bytearray(good)
    damaged[good.index(tensors["w3"].numpy().tobytes()) + 7] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match=r"the checksum of \S+/data/3 is wrong"):
        read_checkpoint(path)


NET = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 4, 1), bn1=nn.BatchNorm2d(4)))
STATE = NET.state_dict()
OPTIMIZER = torch.optim.SGD(NET.parameters(), lr=0.1)


def under(prefix, state=STATE):
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"model": STATE, "iteration": 3},
        {"state_dict": under("module."), "epoch": 3, "arch": "resnet50"},
        {"model": {"state_dict": STATE}, "optimizer": OPTIMIZER.state_dict()},
        under("module."),
        under("_orig_mod.module."),
        under("base.") | {"classifier.weight": torch.ones(2, 4)},
        under("module.backbone.") | {"module.heads.bottleneck.0.bias": torch.ones(4)},
        {name: t for name, t in STATE.items() if "num_batches" not in name},
    ],
    ids=lambda content: next(iter(content)),
)
def test_weights_are_taken_out_of_what_others_wrap_around_them(tmp_path, content):
    torch.save(content, path := tmp_path / "weights.pth")
    found = fitted(read_weights(path), NET, "toy")
    assert found.keys() == STATE.keys()
    for name, value in found.items():
        assert torch.equal(value, STATE[name]), name
    load_weights(NET, found, "weights.pth")


def test_what_is_left_out_of_a_larger_network_is_said(caplog):
    state = under("base.") | {"head.weight": torch.ones(2), "neck.bias": torch.ones(2)}
    fitted(state, NET, "resnet50")
    (record,) = caplog.records
    said = "resnet50: the weights of `base` are taken; left out: head, neck"
    assert record.getMessage() == said


PAGE = b"\n<!DOCTYPE html><html><head><title>Sign in</title>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PAGE, "is a web page, not the file it offers: fetch that again"),
        (POINTER, r"is a pointer of git-lfs, .*: fetch that with `git lfs pull`"),
        (b'{"error": "Access denied"}', r"is a text \('{\"error\": .*, no weights"),
        (b"\x1f\x8b\x08" + bytes(range(90)), r"cannot be read .*\): it is damaged or"),
        (b"\x80\x05" + bytes(range(90)), r"cannot be read .*\): it is damaged or"),
        ({}, "holds no tensors by name, but nothing"),
        (
            {"epoch": 3, "arch": "resnet50"},
            "holds no tensors by name, but epoch, arc",
        ),
        (
            OPTIMIZER.state_dict(),
            "is the state of an optimizer, not of a network",
        ),
        (
            {"model": STATE, "net": STATE},
            r"holds several networks \(model, net\)",
        ),
    ],
    ids=["page", "pointer", "text", "gzip", "cut pickle", "empty"]
    + ["no tensors", "optimizer", "two networks"],
)
def test_what_holds_no_weights_is_named_for_what_it_is(tmp_path, content, said, suffix):
    path = tmp_path / f"weights{suffix}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif suffix == ".safetensors":
        pytest.skip("a safetensors file holds tensors by name alone")
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=rf"weights\{suffix} {said}"):
        read_weights(path)


def test_a_disk_that_fills_up_is_what_is_said_not_what_torch_makes_of_it(tmp_path):
    path = tmp_path / "checkpoint.pt"
    write_checkpoint({"kept": 1}, path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            write_checkpoint({"model": torch.ones(1_000_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.filename == str(path)
    assert read_checkpoint(path) == {"kept": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["checkpoint.pt"]
