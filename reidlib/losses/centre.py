"""The centre loss (Wen et al. 2016), with the centres that it keeps."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

RATE = 0.5  # alpha, Wen et al. 2016


class Centres(nn.Module):
    """A centre (N, D) of the embeddings of each identity, which moves after every step.

    They begin at 0. A batch moves the centres of its identities only.
    """

    def __init__(self, num_identities: int, width: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(num_identities, width))

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Centre loss. Wen et al. 2016, Eq. 2, as a mean.

            L = 1/2 mean over images i of  |f_i - c_y(i)|^2

        f  embeddings (B, D)      y  labels (B,)      c  centres; returns a scalar
        """
        return (embeddings - self.centres[labels]).square().sum(1).mean() / 2

    @torch.no_grad()
    def update(self, output: NamedTuple, batch: NamedTuple) -> None:
        """Move each centre towards its images. Wen et al. 2016, Eq. 4.

            c_j <- c_j - a sum over i of j (c_j - f_i) / (1 + number of i of j)

        output has triplet_embedding (B, D), which is f; batch has labels (B,)
        """
        embeddings, labels = output.triplet_embedding, batch.labels
        pulls = torch.zeros_like(self.centres)
        pulls.index_add_(0, labels, self.centres[labels] - embeddings)
        counts = torch.bincount(labels, minlength=len(self.centres))
        self.centres -= RATE * pulls / (1 + counts)[:, None]
