"""Samples to batches. Names are imported when first used: paths need no torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "caption_noise": ["as_captioned"],
        "captions": [
            "CaptionIds",
            "Captions",
            "captions_of",
            "read_captions",
            "words_of",
        ],
        "image_cache": ["ImageCache"],
        "loaders": [
            "Batch",
            "ImageDataset",
            "TestBatch",
            "test_loader",
            "train_loader",
        ],
        "masks": ["cell_labels", "cell_shares", "read_labels", "read_mask"],
        "pictures": ["PictureError", "read_picture"],
        "sampler": ["DealtBatches", "IdentitySampler"],
        "samples": ["Benchmark", "Sample", "camera_count", "labels_of", "mask_path"],
        "transforms": ["NORMALISATIONS", "test_transform", "train_transform"],
    },
)
