"""ResNets through torchvision and timm, cut into a trunk and a branch.

FA-Net shares the trunk between its two branches and copies the branch.
"""

from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timm.models.resnet import BasicBlock
from timm.models.resnet import ResNet as TimmResNet
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, resnet50

from reidlib.recipes import called, recorded
from reidlib.weights import fitted, load_weights, read_weights, write_tensors

ASSETS = Path(__file__).parents[1] / "assets"
TINY_RESNET = ASSETS / "tiny_resnet.safetensors"
TINY_RENDERED = ASSETS / "tiny_resnet_rendered.safetensors"
SHIPPED = {"drawn": TINY_RESNET, "rendered": TINY_RENDERED}


class ResNetStages(NamedTuple):
    """A ResNet in two pieces; branch(trunk(images)) is the feature map.

    Before the branch the map has 1/8 of the image's rows and columns. resnet50 halves
    it once more (384x128 -> 24x8), tiny-resnet does not (128x64 -> 16x8).
    """

    trunk: nn.Sequential  # (B, 3, 8h, 8w) -> (B, C', h, w), conv1 to layer2
    branch: nn.Sequential  # (B, C', h, w) -> (B, C, H, W), layer3 and layer4
    width: int  # C
    recipe: Mapping[str, Any] = {}  # how they are built without their weights


def load_resnet(
    name: str, *, pretrained: str | Path = "", last_stride: int = 1
) -> ResNetStages:
    """Build a ResNet whose last stage keeps the resolution, and load its weights.

    name        resnet50 (C = 2048, torchvision) or tiny-resnet (C = 128, timm)
    pretrained  "" random | imagenet, torchvision's first weights of resnet50 | drawn
                or rendered, tiny-resnet's weights in reidlib/assets, taught on such
                people | the path of a state dict, .pth or .safetensors; an fc layer in
                it is left out
    last_stride  1, or 2: the last stage halves the resolution, as it does elsewhere

    Raises ValueError for another name and for weights of another architecture, and
    FileNotFoundError where weights are absent or cannot be fetched.
    Source: the stride edit of Sun et al. 2018 (PCB), followed by FA-Net, Sec. IV-B.
    """
    if name not in _NETWORKS:
        raise ValueError(f"no ResNet named {name!r}: choose from {sorted(_NETWORKS)}")
    network = _NETWORKS[name]()
    if last_stride == 1:
        _keep_resolution(network.layer4)
    if pretrained:
        source = f"{name} from {pretrained}"
        state = fitted(_resnet_state(name, pretrained), network, name)
        state = {key: value for key, value in state.items() if key[:3] != "fc."}
        load_weights(network, state, source)
    network.to(memory_format=torch.channels_last)  # a third faster on CPUs
    children = list(network.named_children())
    names = [child for child, _ in children]
    start, end = names.index("layer3"), names.index("layer4") + 1
    return ResNetStages(
        trunk=nn.Sequential(OrderedDict(children[:start])),
        branch=nn.Sequential(OrderedDict(children[start:end])),
        width=_width(network.layer4),
        recipe=called(resnet_stages, {"name": name, "last_stride": last_stride}),
    )


@recorded
def resnet_stages(name: str, last_stride: int = 1) -> ResNetStages:
    """The same without weights: a model that is read from a file has its own."""
    return load_resnet(name, last_stride=last_stride)


def save_resnet(
    trunk: nn.Module, branch: nn.Module, path: Path, *, gain: float = 1.0
) -> None:
    """Write a ResNet's two pieces as one fp16 file, which load_resnet reads back.

    gain  factor, > 0, by which the written network's feature map is larger. Angles
          between features stay. Behind a batch norm the scale of features is free, but
          a softmax on the features themselves learns at a rate that depends on it.
    """
    branch = branch if gain == 1 else _amplified(branch, gain)
    state = trunk.state_dict() | branch.state_dict()
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in state.items()
    }
    write_tensors(halves, path)


def _amplified(branch: nn.Sequential, gain: float) -> nn.Sequential:
    """A copy whose output is `gain` times as large: ReLU passes positive factors on."""
    branch = deepcopy(branch)
    for norm in _last_norms(branch.layer4[-1]):
        norm.weight.data *= gain
        norm.bias.data *= gain
    return branch


def _last_norms(block: nn.Module) -> list[nn.BatchNorm2d]:
    """The two norms whose outputs a residual block adds: its path's and its shortcut's.

    Raises ValueError for a shortcut without a norm, which passes its input on.
    """
    if block.downsample is None:
        raise ValueError("gain needs a last block whose shortcut has a batch norm")
    path = [module for name, module in block.named_children() if name.startswith("bn")]
    return [path[-1], block.downsample[-1]]


def _resnet50() -> nn.Module:
    network = resnet50()
    network.fc = nn.Identity()
    return network


def _tiny_resnet() -> nn.Module:
    network = TimmResNet(
        BasicBlock,
        (1, 1, 1, 1),
        num_classes=0,
        stem_type="deep",  # three 3x3; timm's single 7x7 is always 64 wide and slower
        stem_width=16,
        channels=(32, 64, 96, 128),
    )
    _keep_resolution(network.layer3)
    return network


_NETWORKS = {"resnet50": _resnet50, "tiny-resnet": _tiny_resnet}
_IMAGENET = ResNet50_Weights.IMAGENET1K_V1
_IMAGENET_FILE = _IMAGENET.url.rsplit("/", 1)[-1]
_TO_FETCH = {
    "resnet50": f"give imagenet, or fetch torchvision's {_IMAGENET_FILE}, ResNet-50 "
    "trained on ImageNet, and give its path",
    "tiny-resnet": "give drawn, or make them by notebooks/baseline.ipynb with "
    "params/baseline@avenue.yaml, rendered ones with params/baseline@boulevard.yaml",
}


def _keep_resolution(stage: nn.Sequential) -> None:
    """Set a stage's stride to 1, in place; weights and their number stay."""
    for module in stage[0].modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)


def _width(stage: nn.Sequential) -> int:
    norms = [m for m in stage[-1].modules() if isinstance(m, nn.BatchNorm2d)]
    return norms[-1].num_features


def _resnet_state(name: str, pretrained: str | Path) -> dict[str, Tensor]:
    if str(pretrained) != "imagenet":
        path = SHIPPED.get(str(pretrained), Path(pretrained))
        if not path.is_file():
            raise FileNotFoundError(f"no weights at {path}: {_TO_FETCH[name]}")
        return read_weights(path)
    if name == "resnet50":
        return _fetch_imagenet()
    raise ValueError(
        f"{name} has no ImageNet weights: use resnet50, or pretrained='' to train from"
        " scratch"
    )


def _fetch_imagenet() -> dict[str, Tensor]:
    try:
        return _IMAGENET.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except Exception as error:  # the hub raises URLError, OSError, RuntimeError, ...
        raise FileNotFoundError(
            f"torchvision cannot fetch resnet50's ImageNet weights ({error}): fetch "
            f"{_IMAGENET_FILE} where there is a network, and give its path as "
            "pretrained"
        ) from error
