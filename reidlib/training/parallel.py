"""One model in several processes: equal weights, and the mean of their gradients."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from reidlib import processes


def in_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """What a step calls in the model's place: where there is one process, the model.

    Of several, all get the main one's weights, and gradients are means over processes.
    Batch norms are of all their images on a GPU, and on a CPU, where torch has no such
    norms, of each process's own.
    """
    if processes.count() == 1:
        return model
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # in place, same parameters
    # a variant of a paper may leave parts out, and some outputs only figures read
    return DistributedDataParallel(model, find_unused_parameters=True)
