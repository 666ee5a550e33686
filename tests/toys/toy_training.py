"""A problem small enough to train in milliseconds, and a run that kills itself."""

import os
import signal
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, Dataset

from reidlib.training.loop import fit
from reidlib.training.optim import parameter_groups, warmup_multistep
from reidlib.training.seeding import seed_everything
from reidlib.training.state import Checkpoint
from reidlib.training.step import Step

NUM_LABELS, PER_LABEL, BATCH_SIZE = 3, 8, 6
FINGERPRINT = {"lr": 0.05, "momentum": 0.9, "milestones": [3]}


class ToyBatch(NamedTuple):
    images: Tensor
    labels: Tensor
    camids: Tensor
    paths: tuple[Path, ...]

    def to(self, device):
        return ToyBatch(*(part.to(device) for part in self[:3]), self.paths)


class ToyTestBatch(NamedTuple):
    images: Tensor
    pids: Tensor
    camids: Tensor
    paths: tuple[Path, ...]

    def to(self, device):
        return ToyTestBatch(*(part.to(device) for part in self[:3]), self.paths)


class ToyImages(Dataset):
    """One fixed pattern per label, and noise from the global generator."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.patterns = torch.randn(NUM_LABELS, 3, 4, 2, generator=generator)

    def __len__(self):
        return NUM_LABELS * PER_LABEL

    def __getitem__(self, index):
        label = index % NUM_LABELS
        image = self.patterns[label] + 0.3 * torch.randn(3, 4, 2)
        return image, label, index % 2, Path(f"{index:04d}.jpg")


class ToySampler:
    def __init__(self):
        self.set_epoch(0)

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return NUM_LABELS * PER_LABEL // BATCH_SIZE

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        order = torch.randperm(NUM_LABELS * PER_LABEL, generator=generator)
        return iter(order.view(-1, BATCH_SIZE).tolist())


def collate(items, kind=ToyBatch):
    images, labels, camids, paths = zip(*items, strict=True)
    return kind(torch.stack(images), torch.tensor(labels), torch.tensor(camids), paths)


def toy_loader(**settings):
    sampler = ToySampler()
    return DataLoader(
        ToyImages(), batch_sampler=sampler, collate_fn=collate, **settings
    )


def ordered_loader():
    collate_fn = partial(collate, kind=ToyTestBatch)
    return DataLoader(ToyImages(), batch_size=5, collate_fn=collate_fn)


class ToyOutput(NamedTuple):
    embedding: Tensor
    logits: Tensor


class ToyModel(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(24, width), nn.Dropout(0.1))
        self.bnneck = nn.BatchNorm1d(width)
        self.classifier = nn.Linear(width, NUM_LABELS, bias=False)

    def embed(self, images):
        return self.bnneck(self.trunk(images))

    def forward(self, images):
        embedding = self.embed(images)
        return ToyOutput(embedding, self.classifier(embedding))


WEIGHTS = {"identity": 1.0, "size": 0.01}


def objective(output, batch):
    return {
        "identity": functional.cross_entropy(output.logits, batch.labels),
        "size": output.embedding.pow(2).mean(),
    }


def toy_parts(width=8):
    """Return a fresh model, its two optimisers and their schedules, all seeded."""
    seed_everything(0)
    model = ToyModel(width)
    groups = parameter_groups(
        model,
        lr=FINGERPRINT["lr"],
        weight_decay=1e-4,
        lr_multipliers={"trunk": 0.5},
        leave_out=["classifier"],
    )
    body = SGD(groups, momentum=FINGERPRINT["momentum"])
    head = Adam(model.classifier.parameters(), lr=0.01)
    schedule = warmup_multistep(
        body,
        warmup_epochs=2,
        warmup_factor=0.1,
        milestones=FINGERPRINT["milestones"],
    )
    return model, [body, head], [schedule]


def toy_fit(model, optimizers, schedulers, **changes):
    """Train for 5 epochs; changes are of Step, of `fit` and of what is kept where."""
    checkpoint = Checkpoint(
        changes.pop("checkpoint", None),
        changes.pop("fingerprint", FINGERPRINT),
        changes.pop("checkpoint_every", 1),
        changes.pop("checkpoint_minutes", 0.0),
    )
    step = {"objective": objective, "weights": WEIGHTS, "device": "cpu"}
    names = {field.name for field in fields(Step)}
    step |= {name: changes.pop(name) for name in names & changes.keys()}
    loop = {"loader": toy_loader(), "epochs": 5, "seed": 7, **changes}
    step = Step(model, optimizers=optimizers, **step)
    return fit(step, schedulers=schedulers, checkpoint=checkpoint, **loop)


def toy_run(width=8, **changes):
    """Return (model, history) of a run from fresh parts."""
    model, optimizers, schedulers = toy_parts(width)
    return model, toy_fit(model, optimizers, schedulers, **changes)


def same_weights(model, other):
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class KilledAt:
    """An objective that sends its process a signal at a step, never at others."""

    def __init__(self, step, number=signal.SIGKILL):
        self.steps_left, self.number = step, number

    def __call__(self, output, batch):
        self.steps_left -= 1
        if self.steps_left == 0:
            os.kill(os.getpid(), self.number)
        return objective(output, batch)
