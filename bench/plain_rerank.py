"""k-reciprocal re-ranking as its paper tells it, in plain NumPy: whole matrices, loops.

Zhong et al., CVPR 2017. Written to be measured against: it holds the distances of all
pairs and V as matrices of (Q + G)², and goes through the images one by one, as the
usual implementations do.
"""

import numpy as np


def plain_rerank(
    query: np.ndarray,
    gallery: np.ndarray,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
) -> np.ndarray:
    """Re-ranked distances (Q, G) of embeddings (Q, D) and (G, D)."""
    images = np.concatenate([query, gallery]).astype(np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    distances = np.maximum(2 - 2 * images @ images.T, 0)  # (N, N)
    distances /= distances.max(axis=1, keepdims=True)
    kept = np.arange(max(k1 + 1, k2))
    nearest = np.argpartition(distances, kept, axis=1)[:, kept]
    vectors = np.zeros_like(distances)  # V
    for image in range(len(images)):
        members = expanded(nearest, image, k1)
        weights = np.exp(-distances[image, members])
        vectors[image, members] = weights / weights.sum()
    distances = distances[: len(query)]
    vectors = np.stack([vectors[near].mean(axis=0) for near in nearest[:, :k2]])
    jaccard = jaccard_distances(vectors, len(query))
    final = (1 - lambda_value) * jaccard + lambda_value * distances
    return final[:, len(query) :]


def reciprocal(nearest: np.ndarray, image: int, k: int) -> np.ndarray:
    """R(p, k): those of the k + 1 nearest that have the image among theirs."""
    forward = nearest[image, : k + 1]
    return forward[(nearest[forward, : k + 1] == image).any(axis=1)]


def expanded(nearest: np.ndarray, image: int, k1: int) -> np.ndarray:
    """R*(p): R(p, k1) and what its members add to it."""
    own = reciprocal(nearest, image, k1)
    members = own
    for candidate in own:
        offered = reciprocal(nearest, candidate, round(k1 / 2))
        if len(np.intersect1d(offered, own)) > 2 / 3 * len(offered):
            members = np.append(members, offered)
    return np.unique(members)


def jaccard_distances(vectors: np.ndarray, num_queries: int) -> np.ndarray:
    """d_J of queries (Q) to all images (N), over those that share an entry: (Q, N)."""
    holders = [np.flatnonzero(column) for column in vectors.T]
    result = np.empty((num_queries, len(vectors)), np.float32)
    for image in range(num_queries):
        overlap = np.zeros(len(vectors), np.float32)
        for column in np.flatnonzero(vectors[image]):
            others = holders[column]
            smaller = np.minimum(vectors[image, column], vectors[others, column])
            overlap[others] += smaller
        result[image] = 1 - overlap / (2 - overlap)
    return result
