import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from toys.toy_training import ToyModel

from reidlib.weights import load_weights, read_checkpoint, write_checkpoint


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
