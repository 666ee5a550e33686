"""FLaN-Net's prompts: an image as pseudo-words, in a sentence for CLIP's text tower.

*Categorical Attention: Fine-grained Language-guided Noise Filtering Network for
Occluded Person Re-Identification*.
Sections   3.1 the prompt, Eq. 1 -> spell, SubjectNetwork
           3.1 detail tokens, Eq. 2-5 -> DetailBlock, DetailNetwork
           3.2 Eq. 6 -> PromptEncoder; 4.3, Table 4 -> PROMPTS
Readings   Eq. 2-4 have one head and no norm, and add H but not the queries: `literal`.
           By default the attention has heads and, like the feed-forward network, a
           LayerNorm before it; what is added stays as printed (FLN-7).
Shapes     B images, P patches, D joint width, W text width, m queries, S pseudo-words,
           L text positions
"""

import re

import torch
from torch import Tensor, nn

from reidlib.backbones.clip import TextTower
from reidlib.models.layers import CrossAttention, PlainAttention
from reidlib.recipes import recorded

WORDS = {"[S*]": "subject", "[A*]": "attributes", "[O*]": "context"}  # a token each
PROMPTS = (  # Table 4; the last is the default
    "A photo of a person.",
    "A photo of a [S*] person.",
    "A photo of a [S*] person with [A*].",
    "A photo of a [S*] person with [A*] partially occluded by [O*].",
)


def spell(prompt: str) -> str:
    """Write a prompt with a plain word in the place of each pseudo-word.

    Each word is one token, whose place in the prompt its pseudo-word will take. Raises
    ValueError for brackets that hold no pseudo-word, and for a prompt that has one of
    the plain words itself.
    """
    for place, word in WORDS.items():
        if re.search(rf"\b{word}\b", prompt, re.IGNORECASE):
            raise ValueError(f"{word!r} stands for {place} in {prompt!r}: write that")
        prompt = prompt.replace(place, word)
    if left := re.search(r"\[[^\]]*\]?", prompt):
        raise ValueError(f"{left[0]} is no pseudo-word: choose from {tuple(WORDS)}")
    return prompt


def mapping(width: int, out: int) -> nn.Sequential:
    """Three fully-connected layers with a ReLU between: phi of Eq. 1 and 5."""
    return nn.Sequential(
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, out),
    )


class SubjectNetwork(nn.Module):
    """The subject token S* = phi_s(v_g). FLaN-Net, Eq. 1."""

    def __init__(self, width: int, text_width: int) -> None:
        super().__init__()
        self.mapping = mapping(width, text_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return S* (B, W) of tokens (B, 1+P, D)."""
        return self.mapping(tokens[:, 0])


class DetailBlock(nn.Module):
    """Queries look at themselves and at the patches. FLaN-Net, Eq. 2-4.

    H = CrossAttn(X, [X, V_l]),   X <- FFN(H + X) + H

    residual adds H + X in place of that last H, as transformers do: as printed, what is
    left of the queries goes through the feed-forward network alone.
    """

    def __init__(self, width: int, heads: int, literal: bool, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        if literal:
            self.attention = PlainAttention(width, projected=True)
        else:
            self.attention = CrossAttention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.Identity() if literal else nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, width),
        )

    def forward(self, queries: Tensor, patches: Tensor) -> Tensor:
        """Return queries (B, m, D) that have seen patches (B, P, D)."""
        found = self.attention(queries, torch.cat([queries, patches], 1))  # H
        seen = found + queries
        return self.feed_forward(seen) + (seen if self.residual else found)

    def attend(self, queries: Tensor, patches: Tensor) -> Tensor:
        """Return the attention (B, m, P) that each query pays to the patches.

        What it pays to the queries is left out, so a row sums to less than 1.
        """
        seen = torch.cat([queries, patches], 1)
        return self.attention.attend(queries, seen)[1][..., queries.shape[1] :]


class DetailNetwork(nn.Module):
    """A detail token, A* or O*: m learned queries through blocks, their mean mapped.

    FLaN-Net, Eq. 2-5.
    """

    def __init__(
        self,
        width: int,
        text_width: int,
        *,
        queries: int,
        blocks: int,
        heads: int,
        literal: bool,
        residual: bool,
    ) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(queries, width))
        self.blocks = nn.ModuleList(
            DetailBlock(width, heads, literal, residual) for _ in range(blocks)
        )
        self.mapping = mapping(width, text_width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the queries from N(0, 1), as in DETR (Carion et al. 2020)."""
        nn.init.normal_(self.queries)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the detail token (B, W) of tokens (B, 1+P, D)."""
        queries = self.refine(tokens[:, 1:], self.blocks)  # (B, m, D)
        return self.mapping(queries.mean(1))

    def refine(self, patches: Tensor, blocks: nn.ModuleList) -> Tensor:
        """Return queries (B, m, D) that went through blocks with patches (B, P, D)."""
        queries = self.queries.expand(len(patches), -1, -1)
        for block in blocks:
            queries = block(queries, patches)
        return queries

    def attend(self, tokens: Tensor) -> Tensor:
        """Return the last block's attention (B, m, P) to the patches of tokens."""
        queries = self.refine(tokens[:, 1:], self.blocks[:-1])
        return self.blocks[-1].attend(queries, tokens[:, 1:])


class PromptEncoder(nn.Module):
    """Puts an image's pseudo-words into the prompt and encodes it. FLaN-Net, Eq. 6.

    text_tower  is frozen here: gradients pass through it, its weights stay
    ids         token ids (L,) of the spelled prompt; what follows its end is cut off
    places      token ids (3,) of WORDS, in the prompt or not
    queries     m, of A* and of O* each
    blocks      that the queries go through
    literal     Eq. 2-4 as printed; heads are not used then
    residual    queries keep themselves, H + X, where Eq. 4 adds H alone (FLN-7)

    `networks` has one for each word that the prompt holds, by word. Raises ValueError
    for a word that it holds twice.
    """

    LOADED = ("text_tower",)

    @recorded
    def __init__(
        self,
        text_tower: TextTower,
        ids: Tensor,
        places: Tensor,
        *,
        queries: int = 3,
        blocks: int = 6,
        heads: int = 8,
        literal: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        ids = ids[: int(ids.argmax()) + 1]  # the end of text has the largest id
        widths = text_tower.joint_width, text_tower.width
        networks, positions = {}, [ids.new_empty(0)]
        for word, place in zip(WORDS.values(), places, strict=True):
            (position,) = (ids == place).nonzero(as_tuple=True)
            if len(position) > 1:
                raise ValueError(f"the prompt has the word {word!r} twice: keep one")
            if len(position) == 0:
                continue
            positions.append(position)
            if word == "subject":
                networks[word] = SubjectNetwork(*widths)
            else:
                networks[word] = DetailNetwork(
                    *widths,
                    queries=queries,
                    blocks=blocks,
                    heads=heads,
                    literal=literal,
                    residual=residual,
                )
        positions = torch.cat(positions)
        self.text_tower = text_tower.requires_grad_(False)
        self.networks = nn.ModuleDict(networks)
        self.register_buffer("ids", ids[None], persistent=False)  # (1, L)
        self.register_buffer("positions", positions, persistent=False)  # (S,)

    def pseudo_words(self, tokens: Tensor) -> Tensor:
        """Return the pseudo-words (B, S, W) of tokens (B, 1+P, D), as `networks`."""
        return torch.stack([network(tokens) for network in self.networks.values()], 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return t_p (B, D), the prompt's feature, of tokens (B, 1+P, D).

        A prompt without a pseudo-word is encoded once for all images.
        """
        embeddings = self.text_tower.embed_tokens(self.ids)  # (1, L, W)
        if self.networks:
            words = self.pseudo_words(tokens).type_as(embeddings)
            embeddings = embeddings.expand(len(tokens), -1, -1)
            embeddings = embeddings.index_copy(1, self.positions, words)  # (B, L, W)
        ids = self.ids.expand(len(embeddings), -1)
        sentence = self.text_tower.encode(embeddings, ids).sentence
        return sentence.expand(len(tokens), -1)

    def attend(self, tokens: Tensor) -> dict[str, Tensor]:
        """Return where each query of A* and O* looks: (B, m, P) by word."""
        return {
            word: network.attend(tokens)
            for word, network in self.networks.items()
            if word != "subject"
        }
