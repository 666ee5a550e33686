"""ResNets: sizes, strides, parameter counts, weights from files and from the hub."""

import os
from urllib.error import URLError

import pytest
import torch
from timm.models.resnet import BasicBlock, ResNet
from torch import nn
from torchvision.models import ResNet50_Weights, resnet50

from reidlib.backbones import resnet
from reidlib.backbones.resnet import load_resnet, save_resnet


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def reference_tiny() -> ResNet:
    """The network of the tiny scale with timm's own strides, and with a classifier."""
    return ResNet(
        BasicBlock,
        (1, 1, 1, 1),
        num_classes=7,
        stem_type="deep",
        stem_width=16,
        channels=(32, 64, 96, 128),
    )


def test_resnet50_counts_and_map_sizes():
    with torch.device("meta"):
        stages = load_resnet("resnet50")
        low_level = stages.trunk(torch.empty(2, 3, 384, 128))
        assert low_level.shape == (2, 512, 48, 16)
        assert stages.branch(low_level).shape == (2, 2048, 24, 8)
    assert count(stages.trunk) == 1_444_928
    assert count(stages.branch) == 22_063_104
    assert stages.width == 2048


def test_resnet50_differs_from_torchvision_in_two_strides_only():
    with torch.device("meta"):
        stages, reference = load_resnet("resnet50"), resnet50()
    ours = dict([*stages.trunk.named_modules(), *stages.branch.named_modules()])
    strides = {
        name: (module.stride, ours[name].stride)
        for name, module in reference.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != ours[name].stride
    }
    edited = ["layer4.0.conv2", "layer4.0.downsample.0"]
    assert strides == dict.fromkeys(edited, ((2, 2), (1, 1)))


@pytest.mark.parametrize(("name", "rows"), [("resnet50", 8), ("tiny-resnet", 8)])
def test_a_last_stride_of_2_halves_the_map_and_keeps_every_weight(name, rows):
    size = (256, 128) if name == "resnet50" else (128, 64)
    with torch.device("meta"):
        plain, halved = (load_resnet(name, last_stride=each) for each in (1, 2))
        images = torch.empty(2, 3, *size)
        assert halved.branch(halved.trunk(images)).shape[2:] == (rows, rows // 2)
        assert plain.branch(plain.trunk(images)).shape[2:] == (2 * rows, rows)
    assert count(plain.branch) == count(halved.branch)


def test_tiny_resnet_map_size_and_width():
    stages = load_resnet("tiny-resnet")
    low_level = stages.trunk(torch.randn(2, 3, 128, 64))
    assert low_level.shape == (2, 64, 16, 8)
    assert stages.branch(low_level).shape == (2, stages.width, 16, 8)
    assert stages.width == 128
    assert load_resnet("tiny-resnet").branch is not stages.branch


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_of_a_file_with_a_classifier(tmp_path, wrapped):
    network = reference_tiny()
    path = tmp_path / "weights.pth"
    state = network.state_dict()
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, path)
    stages = load_resnet("tiny-resnet", pretrained=path)
    for stage in (network.layer3[0], network.layer4[0]):
        stage.conv1.stride = (1, 1)
        if stage.downsample is not None:
            stage.downsample[0].stride = (1, 1)
    images = torch.randn(2, 3, 64, 32, dtype=torch.double)
    found = stages.branch.double()(stages.trunk.double()(images))
    torch.testing.assert_close(found, network.double().forward_features(images))


def test_random_weights_are_new_each_time():
    first, second = (load_resnet("tiny-resnet").branch.layer3[0] for _ in range(2))
    assert not torch.equal(first.conv1.weight, second.conv1.weight)


def test_weights_of_another_architecture_are_named_with_shapes(tmp_path):
    state = reference_tiny().state_dict()
    state["layer4.0.conv1.weight"] = torch.zeros(5, 3)
    del state["bn1.weight"]
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="another architecture") as caught:
        load_resnet("tiny-resnet", pretrained=tmp_path / "other.pth")
    for part in ("layer4.0.conv1.weight", "(5, 3)", "bn1.weight", "tiny-resnet"):
        assert part in str(caught.value)


def test_wrong_names_say_what_there_is(tmp_path):
    with pytest.raises(ValueError, match=r"'resnet18'.*resnet50.*tiny-resnet"):
        load_resnet("resnet18")
    with pytest.raises(ValueError, match="tiny-resnet has no ImageNet weights"):
        load_resnet("tiny-resnet", pretrained="imagenet")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet50", r"imagenet, or fetch torchvision's resnet50-\w+\.pth"),
        ("tiny-resnet", r"drawn, or make them by notebooks/baseline\.ipynb"),
    ],
)
def test_what_to_fetch_is_named_where_there_is_no_file(tmp_path, name, words):
    with pytest.raises(FileNotFoundError, match=rf"absent\.pth: give {words}"):
        load_resnet(name, pretrained=tmp_path / "absent.pth")


def test_an_unreachable_hub_names_the_file_to_fetch(monkeypatch):
    def unreachable(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(FileNotFoundError, match=r"resnet50-\w+\.pth") as caught:
        load_resnet("resnet50", pretrained="imagenet")
    assert "no route" in str(caught.value)
    assert "http" not in str(caught.value).replace("no route", "")


def test_imagenet_weights_are_torchvisions_first_and_read_safely(monkeypatch):
    asked = {}

    def hub(url, **options):
        asked.update(options, url=url)
        return reference_tiny().state_dict()

    tiny = resnet._tiny_resnet
    monkeypatch.setitem(resnet._NETWORKS, "resnet50", tiny)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", hub)
    assert load_resnet("resnet50", pretrained="imagenet").width == 128
    assert asked["url"] == ResNet50_Weights.IMAGENET1K_V1.url
    assert asked["weights_only"] and asked["check_hash"]


class Code:
    """A pickle of it would make a folder when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_with_code_is_refused(tmp_path):
    torch.save({"conv1": Code(str(tmp_path / "made"))}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match="refused"):
        load_resnet("tiny-resnet", pretrained=tmp_path / "code.pth")
    assert not (tmp_path / "made").exists()


def test_saved_pieces_load_as_the_same_network_in_half_precision(tmp_path):
    stages = load_resnet("tiny-resnet")
    path = tmp_path / "weights.safetensors"
    save_resnet(stages.trunk, stages.branch, path)
    again = load_resnet("tiny-resnet", pretrained=path)
    images = torch.rand(2, 3, 64, 32)
    for mine, theirs in zip(stages[:2], again[:2], strict=True):
        torch.testing.assert_close(
            mine.eval()(images), theirs.eval()(images), rtol=0.02, atol=0.01
        )
        images = mine(images).detach()
    assert list(tmp_path.iterdir()) == [path]


def test_the_shipped_weights_of_the_tiny_resnet_are_not_random():
    images = torch.rand(2, 3, 128, 64)
    maps = [s.branch.eval()(s.trunk.eval()(images)) for s in map(drawn, range(2))]
    torch.testing.assert_close(*maps, rtol=0, atol=0)


def test_written_weights_answer_in_the_same_direction_at_another_scale(tmp_path):
    stages, path = (
        load_resnet("tiny-resnet", pretrained="drawn"),
        tmp_path / "a.safetensors",
    )
    save_resnet(stages.trunk, stages.branch, path, gain=0.125)
    again = load_resnet("tiny-resnet", pretrained=path)
    low_level = stages.trunk.eval()(torch.rand(2, 3, 64, 32))
    ours, theirs = stages.branch.eval()(low_level), again.branch.eval()(low_level)
    torch.testing.assert_close(theirs, ours / 8, rtol=1e-3, atol=1e-4)
    weight = stages.branch.layer4[-1].bn2.weight
    assert weight.equal(
        load_resnet("tiny-resnet", pretrained="drawn").branch.layer4[-1].bn2.weight
    )


def test_a_scale_needs_a_last_block_that_can_be_scaled(tmp_path):
    stages = load_resnet("resnet50")
    with pytest.raises(ValueError, match="shortcut"):
        save_resnet(stages.trunk, stages.branch, tmp_path / "a.safetensors", gain=2.0)


def drawn(_: int):
    return load_resnet("tiny-resnet", pretrained="drawn")


def test_weights_of_other_trainings_are_taken_out_of_their_wrapping(tmp_path):
    plain = load_resnet("tiny-resnet", pretrained="drawn")
    state = plain.trunk.state_dict() | plain.branch.state_dict()
    bare = {n: t for n, t in state.items() if "num_batches_tracked" not in n}
    head = {"fc.weight": torch.ones(5, 128)}
    for content in (
        {"module." + n: t for n, t in (state | head).items()},
        {"model": {"base." + n: t for n, t in (state | head).items()}},
        bare | head,
    ):
        torch.save(content, tmp_path / "weights.pth")
        found = load_resnet("tiny-resnet", pretrained=tmp_path / "weights.pth")
        images = torch.randn(1, 3, 32, 16)
        expected = plain.branch.eval()(plain.trunk.eval()(images))
        assert torch.equal(found.branch.eval()(found.trunk.eval()(images)), expected)
