"""CLIP's two towers through open_clip, at any image size and patch stride.

Radford et al. 2021; overlapping patches as in TransReID (He et al. 2021).
Shapes     B images, N patches, W tower width, J joint width, L text positions
"""

from collections.abc import Iterable
from typing import NamedTuple

import open_clip
import torch
from open_clip.tokenizer import tokenize as tokenize
from open_clip.transformer import text_global_pool
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from reidlib.checks import patch_grid


class ImageTokens(NamedTuple):
    """Tokens of one image tower; index 0 is the class token, then patches by row."""

    penultimate: Tensor  # (B, 1+N, W) after the last block but one, not normalised
    last: Tensor  # (B, 1+N, W) after the last block and ln_post
    joint: Tensor  # (B, 1+N, J) last, projected to the width shared with text


class TextFeatures(NamedTuple):
    """A text tower's features of B texts of L positions."""

    tokens: Tensor  # (B, L, J) every position after ln_final and the projection
    sentence: Tensor  # (B, J) the end-of-text position; open_clip's encode_text


class ImageTower(nn.Module):
    """The image side of a CLIP model, every token kept.

    Attributes: image_size (height, width) in pixels, grid (rows, columns) of patches
    with rows * columns = N, stride in pixels, width W, joint_width J.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        self.image_size = tuple(visual.image_size)
        self.grid = tuple(visual.grid_size)
        self.stride = visual.conv1.stride[0]
        self.width, self.joint_width = visual.proj.shape

    def forward(self, images: Tensor) -> ImageTokens:
        """Encode images (B, 3, H, W); raises ValueError for another size."""
        if tuple(images.shape[-2:]) != self.image_size:
            raise ValueError(
                f"images are {_size(images.shape[-2:])} pixels, but the tower was "
                f"loaded for {_size(self.image_size)}: load it with this image_size"
            )
        depth = len(self.visual.transformer.resblocks)
        found = self.visual.forward_intermediates(
            images,
            indices=[depth - 2, depth - 1],
            intermediates_only=True,
            output_fmt="NLC",
            output_extra_tokens=True,
        )
        patches = found["image_intermediates"]  # two of (B, N, W)
        classes = found["image_intermediates_prefix"]  # two of (B, 1, W)
        penultimate = torch.cat([classes[0], patches[0]], dim=1)  # (B, 1+N, W)
        last = self.visual.ln_post(torch.cat([classes[1], patches[1]], dim=1))
        return ImageTokens(penultimate, last, last @ self.visual.proj)

    def attend(self, tokens: ImageTokens) -> Tensor:
        """Return where the class token looks in the last block, (B, N): heads' mean.

        tokens   as `forward` returns them
        What each patch gets; with what the class token keeps for itself it sums to one.
        """
        block = self.visual.transformer.resblocks[-1]
        seen = block.ln_1(tokens.penultimate)
        _, weights = block.attn(seen[:, :1], seen, seen, need_weights=True)
        return weights[:, 0, 1:]  # of (B, 1, 1+N)


class TextTower(nn.Module):
    """The text side of a CLIP model, for token ids or for given embeddings.

    `text.requires_grad_(False)` freezes it; gradients still pass through it to learned
    embeddings, as nothing here is wrapped in no_grad.
    Attributes: width W, joint_width J, context_length the largest L.
    """

    def __init__(self, model: open_clip.CLIP, token_rows: Tensor) -> None:
        super().__init__()
        self.token_embedding = model.token_embedding
        self.positional_embedding = model.positional_embedding
        self.transformer = model.transformer
        self.ln_final = model.ln_final
        self.text_projection = model.text_projection
        self.register_buffer("attn_mask", model.attn_mask, persistent=False)
        self.register_buffer("token_rows", token_rows, persistent=False)
        self.pool_type = model.text_pool_type
        self.eos_id = model.text_eos_id
        self.context_length = model.context_length
        self.width, self.joint_width = model.text_projection.shape

    def known_tokens(self) -> Tensor:
        """Return the sorted ids that have an embedding of their own.

        The tiny weights hold only the rows of the captions and prompts they were
        trained on; any other id of the 49,408 has the mean of those rows.
        """
        return self.token_rows

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Return the word embeddings (B, L, W) of ids (B, L), without positions."""
        return self.token_embedding(ids)

    def forward(self, ids: Tensor) -> TextFeatures:
        """Encode token ids (B, L), L <= context_length, the end of text among them."""
        return self.encode(self.embed_tokens(ids), ids)

    def encode(self, embeddings: Tensor, ids: Tensor) -> TextFeatures:
        """Encode word embeddings (B, L, W); ids (B, L) only say where a text ends.

        Raises ValueError for texts that are longer than the context.
        """
        length = ids.shape[1]
        if length > self.context_length:
            raise ValueError(
                f"texts have {length} tokens, but the tower knows "
                f"{self.context_length} positions: truncate them, end of text last"
            )
        x = embeddings + self.positional_embedding[:length]  # (B, L, W)
        x = self.transformer(x, attn_mask=self.attn_mask[:length, :length])
        x = self.ln_final(x)
        end = text_global_pool(x, ids, self.pool_type, eos_token_id=self.eos_id)
        return TextFeatures(x @ self.text_projection, end @ self.text_projection)


class Clip(nn.Module):
    """Both towers and the logarithm of the contrastive scale."""

    def __init__(
        self, model: open_clip.CLIP, settings: dict, token_rows: Tensor
    ) -> None:
        super().__init__()
        self.image = ImageTower(model.visual)
        self.text = TextTower(model, token_rows)
        self.logit_scale = model.logit_scale
        self.settings = settings  # open_clip's model configuration, and the stride


def set_grid(visual: nn.Module, image_size: tuple[int, int], stride: int) -> None:
    grid = patch_grid(image_size, visual.patch_size[0], stride)
    embedding = resample_abs_pos_embed(
        visual.positional_embedding.detach()[None],
        new_size=list(grid),
        old_size=list(visual.grid_size),
        interpolation="bilinear",
        antialias=False,
    )[0]
    visual.positional_embedding = nn.Parameter(embedding)  # (1+N, W)
    visual.conv1.stride = (stride, stride)
    visual.image_size, visual.grid_size = image_size, grid


def _size(image_size: Iterable[int]) -> str:
    return "x".join(map(str, image_size))
