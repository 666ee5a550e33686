"""What processes do side by side in tests, and the same in one process."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset
from toys import small_fanet, small_rganet
from toys.toy_training import (
    ToyBatch,
    ToyImages,
    ToySampler,
    ToyTestBatch,
    collate,
    objective,
    toy_fit,
    toy_parts,
)

from reidlib import collectives, models, processes
from reidlib.backbones.resnet import load_resnet
from reidlib.data.sampler import DealtBatches
from reidlib.evaluation.extraction import extract
from reidlib.training.step import Step

PAPERS = ("baseline", "fanet", "rganet", "spare")


class Case(NamedTuple):
    """A model and how it is trained."""

    model: nn.Module
    objective: Callable
    after_step: Callable | None
    images: Tensor


class SpareOutput(NamedTuple):
    used: Tensor
    shown: Tensor  # no loss reads it


class Spare(nn.Module):
    """A part that nothing calls, and one whose output is only for figures."""

    def __init__(self):
        super().__init__()
        self.used = nn.Linear(24, 3)
        self.shown = nn.Linear(24, 3)
        self.left_out = nn.Linear(24, 3)

    def forward(self, images):
        flat = images[:, :, :4, :2].flatten(1)
        return SpareOutput(self.used(flat), self.shown(flat))


def case(paper: str) -> Case:
    """A small model of a paper, as every process draws it."""
    torch.manual_seed(3)
    if paper == "spare":
        terms = lambda output, batch: {"size": output.used.square().mean()}  # noqa: E731
        return Case(Spare(), terms, None, small_fanet.images())
    if paper == "fanet":
        model = small_fanet.tiny()
        return Case(model, models.fanet.objective, None, small_fanet.images())
    if paper == "rganet":
        model = small_rganet.tiny(threshold=0.5)
        update = model.memory.update
        return Case(model, models.rganet.objective, update, small_rganet.images())
    model = models.baseline.ResNetBaseline(
        load_resnet("tiny-resnet"), num_identities=3, centred=True
    )
    terms = partial(models.baseline.objective, centres=model.centres)
    return Case(model, terms, model.centres.update, small_fanet.images())


def batch_of(images: Tensor, number: int) -> ToyBatch:
    """The batch of a process: other images and, of two people, other labels."""
    generator = torch.Generator().manual_seed(number)
    noise = torch.randn(images.shape, generator=generator)
    labels = torch.tensor([[0, 0, 1, 1, 2, 2], [1, 1, 1, 0, 0, 0]][number])
    return ToyBatch(images + noise, labels, labels % 2, (Path(),) * 6)


def first_step(paper: str) -> dict[str, Any]:
    """Gradients and buffers after a first step in evaluation mode, and its loss."""
    model, terms, after_step, images = case(paper)
    model.eval()
    if processes.number():  # what is not the main one's does not count
        nn.init.ones_(next(model.parameters()))
    batch = batch_of(images, processes.number())
    weights = dict.fromkeys(terms(model(images), batch), 1)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizers = [SGD(trained, lr=0.1)]
    options = {"weights": weights, "device": "cpu", "after_step": after_step}
    step = Step(model, terms, optimizers=optimizers, **options)
    step.prepare()
    loss = step(batch, "the first step")["loss"]
    step_again = step(batch, "the second step")["loss"]
    return {"losses": (loss, step_again), "state": plain(model.state_dict())}


def plain(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """As numpy arrays, which a queue passes on without files."""
    return {name: value.numpy().copy() for name, value in tensors.items()}


def expected_steps(paper: str, count: int = 2) -> dict[str, Any]:
    """The same two steps in one process, whose loss is the mean over all batches."""
    model, terms, after_step, images = case(paper)
    model.eval()
    batches = [batch_of(images, number) for number in range(count)]
    optimizer = SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(2):
        outputs = [model(batch.images) for batch in batches]
        pairs = zip(outputs, batches, strict=True)
        loss = sum(sum(terms(*pair).values()) for pair in pairs) / count
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if after_step:
            with torch.no_grad():
                after_step(_joined(outputs), _joined(batches))
    return {"losses": tuple(losses), "state": plain(model.state_dict())}


def _joined(values: list) -> Any:
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat(values)
    if isinstance(first, tuple) and not (first and isinstance(first[0], Path)):
        parts = [_joined(list(some)) for some in zip(*values, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return first


class FewBatches(ToySampler):
    """So many of the toy's batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def __len__(self):
        return self.batches

    def __iter__(self):
        return islice(super().__iter__(), self.batches)


def dealt_loader(batches: int = 4) -> DataLoader:
    """The toy's loader, with the batches of this process."""
    sampler = FewBatches(batches)
    dealt = DealtBatches(sampler, processes.number(), processes.count())
    return DataLoader(ToyImages(), batch_sampler=dealt, collate_fn=collate)


class Seen:
    """An objective that notes which images it sees, and a draw at each step."""

    def __init__(self) -> None:
        self.steps: list[tuple[list[str], float]] = []

    def __call__(self, output, batch):
        paths = [path.name for path in batch.paths]
        self.steps.append((paths, random.random(), torch.rand(()).item()))
        return objective(output, batch)


def seen_in_epochs(epochs: int) -> list[tuple[list[str], float, float]]:
    seen = Seen()
    toy_fit(*toy_parts(), loader=dealt_loader(), epochs=epochs, objective=seen)
    return seen.steps


class FixedImages(Dataset):
    """Images without noise."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(count, 3, 4, 2, generator=generator)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], index % 3, index % 2, Path(f"{index:04d}.jpg")


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


def embedded(count: int, batch_size: int, *, named: bool = False) -> tuple:
    """Embeddings of so many images, with whom they show and where they lie."""
    model, _, _ = toy_parts()
    kind = partial(collate, kind=ToyTestBatch)
    loader = DataLoader(FixedImages(count), batch_size=batch_size, collate_fn=kind)
    embed = (lambda images: Pair(model.embed(images), images[:, 0])) if named else None
    found = extract(model, loader, device="cpu", embed=embed)
    parts = found.embeddings if named else (found.embeddings,)
    arrays = tuple(part.numpy() for part in parts)
    return *arrays, found.pids.numpy(), found.camids.numpy(), found.paths


def named(count: int, batch_size: int) -> tuple:
    return embedded(count, batch_size, named=True)


def trained(
    folder: Path, epochs: int = 4, pause: float = 0, objective: Callable = objective
) -> dict[str, Any]:
    """Train and test the toy with a checkpoint in a folder, an epoch a pause."""
    model, optimizers, schedulers = toy_parts()
    loader = DataLoader(
        FixedImages(13), batch_size=4, collate_fn=partial(collate, kind=ToyTestBatch)
    )

    def scores() -> dict[str, float]:
        found = extract(model, loader, device="cpu")
        time.sleep(pause)
        return {"size_of_all": found.embeddings.norm().item()}

    options = {"loader": dealt_loader(), "epochs": epochs, "evaluate": scores}
    options |= {"evaluate_every": 1, "checkpoint": folder / "checkpoint.pt"}
    options |= {"objective": objective}
    history = toy_fit(model, optimizers, schedulers, **options)
    return {"rows": history.to_dict("list"), "state": plain(model.state_dict())}


def trained_apart(root: Path) -> dict[str, Any]:
    """The same with a folder for each process, as if they saw other disks."""
    return trained(root / str(processes.number()))


class Fails:
    """An objective that goes wrong in one of the processes, at its third step."""

    def __init__(self, process: int, how: str) -> None:
        self.process, self.how, self.steps = process, how, 0

    def __call__(self, output, batch):
        self.steps += 1
        terms = objective(output, batch)
        if self.steps != 3 or processes.number() != self.process:
            return terms
        if self.how == "raises":
            raise OSError(f"cannot read {batch.paths[0]}")
        return terms | {"size": terms["size"] * torch.nan}


def failing(folder: Path, process: int, how: str) -> None:
    trained(folder, objective=Fails(process, how))


def told() -> dict[str, Any]:
    """What each process comes to know of both."""
    own = torch.tensor(float(processes.number()))
    value = Pair(own.expand(1, 2), (own[None, None], None))
    first, (second, nothing) = collectives.of_all(value)
    return {
        "joined": (first.tolist(), second.tolist(), nothing),
        "mean": collectives.mean_of_all(own).item(),
        "gathered": collectives.gathered(f"process {processes.number()}"),
    }


def alone() -> list[str]:
    """What is gathered where each process is for itself, the second one never there."""
    with processes.apart():
        return collectives.gathered(f"only {processes.number()}")


@contextmanager
def of(number: int, count: int, monkeypatch) -> Iterator[None]:
    """Be one of several processes, as far as the environment says."""
    with monkeypatch.context() as there:
        there.setenv("WORLD_SIZE", str(count))
        there.setenv("RANK", str(number))
        there.setenv("LOCAL_RANK", str(number))
        yield
