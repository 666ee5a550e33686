"""Embeddings to evidence. Names are imported when they are first used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "extraction": ["Embedded", "evaluating", "extract", "images_of", "observe"],
        "metrics": [
            "Scores",
            "cosine_distances",
            "evaluate",
            "evaluate_distances",
            "rank_gallery",
        ],
        "rerank": ["evaluate_reranked"],
        "search": [
            "Search",
            "Tester",
            "compared",
            "examples",
            "ranking",
            "reranked_scores",
            "spread",
        ],
    },
)
