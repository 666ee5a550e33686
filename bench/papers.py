"""Each paper's model whole, and a batch of noise, at its own size or at a small one.

Weights are random at full size, where they cost the same and none need be there.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from open_clip.tokenizer import tokenize
from torch import Tensor, nn
from torch.optim import SGD, Adam

from reidlib.backbones.clip import Clip
from reidlib.backbones.clip_weights import load_clip
from reidlib.backbones.resnet import load_resnet
from reidlib.data.loaders import Batch
from reidlib.evaluation.extraction import images_of
from reidlib.models import baseline, fanet, fba, flannet, rganet
from reidlib.models.flannet_prompts import WORDS, PromptEncoder, spell
from reidlib.training.optim import parameter_groups
from reidlib.training.step import Step
from reidrun.runs.environment import ROOT
from reidrun.runs.params import FULL, choose_variants, read_layers, resolve
from reidrun.runs.schema import notebook_schema

BENCHMARKS = {  # whose settings are taken
    "tiny": "plaza",
    "study": "concourse",
    "full": "market1501",
}
IDENTITIES, CAMERAS = 751, 6  # Market-1501
CAPTION = "a pedestrian with " + 80 * "a bag and "  # longer than CLIP reads


class Work(NamedTuple):
    """A paper's model, and what a step of its training needs."""

    model: nn.Module
    objective: Callable[..., dict[str, Tensor]]
    weights: dict[str, float]
    after_step: Callable[..., object] | None = None
    inputs: Callable[[Batch], tuple] = images_of
    left_out: tuple[str, ...] = ()  # parameters with an SGD of their own


def parameters_of(paper: str, scale: str = "full") -> dict:
    """The paper's own setting, or that of its runs on drawn or rendered people."""
    benchmark = BENCHMARKS[scale]
    schema = notebook_schema(ROOT / "notebooks" / f"{paper}.ipynb")
    given = {"benchmark": benchmark, "data_root": "", "run_dir": "", "seed": 0}
    setting = {"paper": paper, "benchmark": benchmark, "scale": scale}
    layers = read_layers(schema, ROOT / "params", **setting)
    (full,) = choose_variants(ROOT / "params", paper, [FULL])
    return resolve(schema, layers, full, paper=paper, scale=scale, given=given)


def build_baseline(settings: dict) -> Work:
    """The ResNet of Luo et al. with random weights."""
    stages = load_resnet(settings["backbone"])
    model = baseline.ResNetBaseline(stages, num_identities=IDENTITIES)
    weights = {name: settings[f"{name}_weight"] for name in ("identity", "triplet")}
    return Work(model, baseline.objective, weights)


def build_fanet(settings: dict) -> Work:
    """FA-Net with random weights."""
    model = fanet.FANet(
        load_resnet(settings["backbone"]),
        num_identities=IDENTITIES,
        num_cameras=CAMERAS,
        attention_maps=settings["attention_maps"],
        stripe_width=settings["stripe_width"],
    )
    terms = ("identity", "camera", "target_attention")
    return Work(model, fanet.objective, {t: settings[f"{t}_weight"] for t in terms})


def build_rganet(settings: dict) -> Work:
    """RGANet with random weights, prototypes and memory."""
    tower = random_clip(settings).image
    prototypes = torch.randn(settings["num_regions"], tower.joint_width)
    model = rganet.RGANet(tower, prototypes, num_identities=IDENTITIES)
    model.memory.start(torch.randn(1, *prototypes.shape))
    terms = ("identity", "triplet", "region_identity", "region_triplet")
    return Work(model, rganet.objective, dict.fromkeys(terms, 1), model.memory.update)


def build_flannet(settings: dict) -> Work:
    """FLaN-Net with random weights, whole."""
    clip = random_clip(settings)
    ids = tokenize([spell(settings["prompt"]), *WORDS.values()])
    prompts = PromptEncoder(
        clip.text,
        ids[0],
        ids[1:, 1],
        queries=settings["queries"],
        blocks=settings["blocks"],
        heads=settings["attention_heads"],
        literal=settings["literal"],
    )
    model = flannet.FLaNNet(
        clip.image,
        prompts,
        num_identities=IDENTITIES,
        cross_attention=settings["cross_attention"],
        fusion=settings["fusion"],
        fusion_of=settings["fusion_of"],
        detach=settings["detach"],
        heads=settings["attention_heads"],
        literal=settings["literal"],
    )
    weights = dict.fromkeys(("triplet", "identity", "arcface"), 1)
    weights["align"] = settings["align_weight"]
    return Work(model, flannet.objective, weights, left_out=("arcface",))


def build_fba(settings: dict, identities: int = IDENTITIES) -> Work:
    """FBA with random weights, whole, and captions of full length."""
    clip = random_clip(settings)
    model = fba.FBA(
        clip.image,
        clip.text,
        num_identities=identities,
        heads=settings["heads"],
        mask=settings["mask"],
        pairing=settings["pairing"],
        detach_mask=settings["detach_mask"],
        depth=settings["blocks"],
        residual=settings["residual"],
    )
    weights = dict.fromkeys(("identity", "triplet"), 1)
    weights |= {f"crossed_{name}": weight for name, weight in weights.items()}
    weights |= dict.fromkeys(("tri_div", "consistency"), settings["diversity_weight"])
    captions = tokenize([CAPTION, CAPTION])

    def inputs(batch: Batch) -> tuple[Tensor, Tensor]:
        ids = captions.to(batch.images.device)
        return batch.images, ids.expand(len(batch.images), -1, -1)

    return Work(model, fba.objective, weights, inputs=inputs)


def random_clip(settings: dict) -> Clip:
    """CLIP's towers; at full scale with random weights, which cost the same."""
    size = settings["image_height"], settings["image_width"]
    is_small = settings["backbone"].startswith("tiny")
    backbone = settings["backbone"] if is_small else "random"
    return load_clip(backbone, image_size=size, stride=settings["stride"])


BUILDERS = {
    "baseline": build_baseline,
    "fanet": build_fanet,
    "fba": build_fba,
    "flannet": build_flannet,
    "rganet": build_rganet,
}


def step_of(work: Work, settings: dict, precision: str, device: torch.device) -> Step:
    """One step of the paper's training, as training.fit makes it."""
    decay, lr = settings["weight_decay"], settings["learning_rate"]
    model = work.model.to(device)
    groups = parameter_groups(model, lr=lr, weight_decay=decay, leave_out=work.left_out)
    with_momentum = settings.get("optimizer_name") == "sgd"
    kind = partial(SGD, momentum=settings["momentum"]) if with_momentum else Adam
    optimizers = [kind(groups)]
    for name in work.left_out:
        own = SGD(
            [model.get_parameter(name)],
            lr=settings[f"{name}_learning_rate"],
            momentum=settings[f"{name}_momentum"],
        )
        optimizers.append(own)
    step = Step(
        model,
        work.objective,
        weights=work.weights,
        optimizers=optimizers,
        device=device,
        precision=precision,
        inputs=work.inputs,
        after_step=work.after_step,
    )
    step.prepare()
    return step


def batch_of(settings: dict, device: torch.device) -> Batch:
    """A batch of noise, of the paper's size."""
    people, each = settings["num_identities_per_batch"], settings["images_per_identity"]
    size = settings["image_height"], settings["image_width"]
    images = torch.randn(people * each, 3, *size, device=device)
    labels = torch.arange(people, device=device).repeat_interleave(each)
    return Batch(images, labels, torch.arange(len(labels), device=device) % CAMERAS, ())
