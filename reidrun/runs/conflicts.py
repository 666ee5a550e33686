"""Settings that mean nothing together, whichever paper has them.

Each is fine alone; the interval of a number stands where it is declared.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from reidlib.benchmarks import TITLES
from reidlib.benchmarks.counts import expected
from reidlib.checks import patch_grid


class Tower(NamedTuple):
    """Sizes of a CLIP that is known by name: pixels of a patch, then widths."""

    patch: int
    image: int
    text: int
    joint: int


VIT_B16 = Tower(patch=16, image=768, text=512, joint=512)
TINY = Tower(patch=8, image=128, text=96, joint=64)
TOWERS = {"tiny": TINY, "tiny-rendered": TINY, "openai": VIT_B16, "random": VIT_B16}
ROWS = {"tiny-resnet": 8, "resnet50": 16}  # pixels of the image in a row of the map
STRIPES = 8  # the finest of a pyramid


def conflicts(values: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with a run's parameters, a line each."""
    return [fault for rule in RULES for fault in rule(_Absent(values))]


class _Absent(dict):
    """Parameters, None for one that the paper does not have."""

    def __missing__(self, name: str) -> None:
        return None


def _of_batches(given: Mapping[str, Any]) -> Iterator[str]:
    names = ("num_identities_per_batch", "images_per_identity")
    sizes = [given[name] for name in names]
    if None in sizes:
        return
    if sizes == [1, 1]:
        yield f"{names[0]} and {names[1]} are 1: a batch of one image trains no norm"
    elif given["margin"] is not None and given["triplet_weight"] != 0:
        for name, size in zip(names, sizes, strict=True):
            if size == 1:
                yield f"{name} is 1: the triplet loss has nothing to compare, take 2"


def _of_people(given: Mapping[str, Any]) -> Iterator[str]:
    asked, name = given["num_identities_per_batch"], given["benchmark"]
    people = expected(name, {}).train.identities if name in TITLES else 0
    if asked and 0 < people < asked:
        said = f"num_identities_per_batch is {asked}, but {name} has {people}"
        yield f"{said} identities to train on: lower it"


def _of_losses(given: Mapping[str, Any]) -> Iterator[str]:
    weights = {name: given[name] for name in given if name.endswith("_weight")}
    if "identity_weight" in weights and not any(weights.values()):
        yield f"{', '.join(weights)} are 0: there is nothing to learn"


def _of_heads(given: Mapping[str, Any]) -> Iterator[str]:
    tower = TOWERS.get(given["backbone"])
    if tower is None:
        return
    widths = {"heads": {"image": tower.image} if given["cross_modal"] else {}}
    text = {"text": tower.text} if given["prompt"] else {}
    joint = {"joint": tower.joint} if given["cross_attention"] else {}
    widths["attention_heads"] = {} if given["literal"] else text | joint
    for name, found in widths.items():
        for what, width in found.items():
            if given[name] and width % given[name]:
                of = f"the {what} width of {given['backbone']}"
                yield f"{name} is {given[name]}, which does not divide {width}, {of}"


def _of_images(given: Mapping[str, Any]) -> Iterator[str]:
    height, backbone = given["image_height"], given["backbone"]
    if backbone in TOWERS and given["stride"]:
        size = height, given["image_width"]
        try:
            rows, _ = patch_grid(size, TOWERS[backbone].patch, given["stride"])
        except ValueError as error:
            yield str(error)
        else:
            if given["stripes"] not in (None, "none") and rows % STRIPES:
                said = f"image_height is {height}, {rows} rows of patches"
                yield f"{said}: {STRIPES} stripes want a multiple of {STRIPES}"
    if given["pyramid"] and backbone in ROWS and height % (ROWS[backbone] * STRIPES):
        step = ROWS[backbone] * STRIPES
        yield f"image_height is {height}: {STRIPES} stripes want a multiple of {step}"


def _of_milestones(given: Mapping[str, Any]) -> Iterator[str]:
    milestones = given["milestones"]
    if milestones is not None and milestones != sorted(set(milestones)):
        yield f"milestones are {milestones}, but must rise, each named once"


def _of_weights(given: Mapping[str, Any]) -> Iterator[str]:
    known = {"imagenet": "resnet50", "drawn": "tiny-resnet", "rendered": "tiny-resnet"}
    fitting = known.get(given["pretrained"], given["backbone"])
    if fitting != given["backbone"]:
        said = f"pretrained {given['pretrained']} is for backbone {fitting}"
        yield f"{said}, not {given['backbone']}"


def _of_methods(given: Mapping[str, Any]) -> Iterator[str]:
    if given["interaction"] and not (given["enhancement"] and given["background"]):
        yield "interaction needs enhancement and background: set it to false"
    compared = given["target_attention"] or "none"
    if compared != "none" and not (given["enhancement"] and given["background"]):
        yield "target_attention needs enhancement and background: set it to none"
    if given["diversity"] and not given["cross_modal"]:
        yield "diversity needs cross_modal: set it to false"
    if given["cross_attention"] and given["prompt"] == "":
        yield "cross_attention needs a prompt: set it to false"
    if given["fusion"] == "concat" and given["fusion_of"] == "logit":
        yield "fusion concat lays features end to end: fusion_of logit has no sense"


def _of_prompts(given: Mapping[str, Any]) -> Iterator[str]:
    prompt, learned = given["prompt"], given["prompt_path"]
    if learned is None or prompt == "learnable":
        return
    if "[CLASS]" not in prompt:
        said = f"prompt {prompt!r} has no place for a name"
        yield f"{said}: add [CLASS], or write learnable"
    if learned:
        said = f"prompt_path is of learned prompts, and prompt is {prompt!r}"
        yield f'{said}: set prompt to learnable, or prompt_path to ""'


def _of_towers(given: Mapping[str, Any]) -> Iterator[str]:
    head = given["head_width"]
    for name in ("vision_width", "text_width"):
        if head and given[name] % head:
            yield f"{name} is {given[name]}, no multiple of head_width {head}"
    patch = given["patch_size"]
    for name in ("image_height", "image_width"):
        if patch and given[name] % patch:
            yield f"{name} is {given[name]}, no multiple of patch_size {patch}"


Rule = Callable[[Mapping[str, Any]], Iterator[str]]
RULES: tuple[Rule, ...] = (
    _of_batches,
    _of_losses,
    _of_heads,
    _of_images,
    _of_milestones,
    _of_weights,
    _of_methods,
    _of_people,
    _of_prompts,
    _of_towers,
)
