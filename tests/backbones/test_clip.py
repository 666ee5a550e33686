"""CLIP's towers: the tokens they give are open_clip's, at any size and stride."""

import math

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import tokenize
from torch import nn
from toys.small_clip import small_clip

from reidlib.backbones.clip import set_grid
from reidlib.backbones.clip_weights import load_clip
from reidlib.checks import patch_grid


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("image_size", "stride", "grid", "visual"),
    [
        ((256, 128), 16, (16, 8), 86_140_416),
        ((256, 128), 12, (21, 10), 86_203_392),
        ((256, 128), 11, (22, 11), 86_227_968),
        ((384, 128), 16, (24, 8), 86_189_568),
        ((384, 128), 12, (31, 10), 86_280_192),
        ((224, 224), 16, (14, 14), 86_192_640),
    ],
)
def test_full_size_grid_and_parameter_counts(image_size, stride, grid, visual):
    with torch.device("meta"):
        clip = load_clip("random", image_size=image_size, stride=stride)
        tokens = clip.image(torch.empty(2, 3, *image_size))
        text = clip.text(torch.zeros(2, 77, dtype=torch.long))
    assert clip.image.grid == grid
    assert count(clip.image) == visual
    assert count(clip.text) == 63_428_096
    assert count(clip) == visual + 63_428_096 + 1
    assert count(clip.image.visual.transformer.resblocks[0]) == 7_087_872
    assert count(clip.text.transformer.resblocks[0]) == 3_152_384
    length = 1 + math.prod(grid)
    widths = [768, 768, 512]
    assert [t.shape for t in tokens] == [(2, length, width) for width in widths]
    assert (text.tokens.shape, text.sentence.shape) == ((2, 77, 512), (2, 512))


def test_whole_clip_at_its_own_size():
    with torch.device("meta"):
        clip = load_clip("random", image_size=(224, 224))
    assert count(clip) == 149_620_737


def test_image_tokens_are_open_clips():
    model, clip = small_clip()
    images = torch.randn(2, 3, 64, 64)
    seen = []
    hook = model.visual.transformer.resblocks[-2].register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    found = clip.image(images)
    hook.remove()
    model.visual.output_tokens = True
    pooled, patches = model.visual(images)
    torch.testing.assert_close(found.penultimate, seen[0])
    torch.testing.assert_close(found.last[:, 1:], patches)
    torch.testing.assert_close(found.joint[:, 0], pooled)
    torch.testing.assert_close(found.joint, found.last @ model.visual.proj)
    assert (clip.image.width, clip.image.joint_width) == (32, 24)


def test_the_class_token_looks_as_the_last_block_does():
    model, clip = small_clip()
    images = torch.randn(2, 3, 64, 64)
    block, entered = model.visual.transformer.resblocks[-1], []
    block.attn.register_forward_pre_hook(lambda _, given: entered.append(given[0]))
    tokens = clip.image(images)
    found = clip.image.attend(tokens)
    tokens_in, attention = entered[0], block.attn  # behind ln_1, as it ran
    D, heads = attention.embed_dim, attention.num_heads
    queries, keys = (
        tokens_in @ weight.T + bias
        for weight, bias in zip(
            attention.in_proj_weight.split(D)[:2],
            attention.in_proj_bias.split(D)[:2],
            strict=True,
        )
    )
    for image, own in enumerate(found):
        shares = torch.zeros(tokens_in.shape[1])
        for head in range(heads):
            part = slice(head * D // heads, (head + 1) * D // heads)
            scores = keys[image, :, part] @ queries[image, 0, part]
            shares += (scores / (D / heads) ** 0.5).softmax(0) / heads
        torch.testing.assert_close(own, shares[1:])
    assert found.shape == (2, 16) and (found.sum(1) < 1).all()


def test_text_is_open_clips_bit_for_bit():
    model, clip = small_clip()
    ids = tokenize(["a person in a red coat", "a head part of a person."])
    expected = model.encode_text(ids)
    features = clip.text(ids)
    given_embeddings = clip.text.encode(clip.text.embed_tokens(ids), ids)
    assert torch.equal(features.sentence, expected)
    assert torch.equal(given_embeddings.sentence, expected)
    assert torch.equal(given_embeddings.tokens, features.tokens)
    assert features.tokens.shape == (2, 77, 24)
    ends = features.tokens[torch.arange(2), ids.argmax(1)]
    torch.testing.assert_close(ends, expected)


def test_padding_and_its_length_do_not_change_a_text():
    _, clip = small_clip()
    ids = tokenize(["a person", "a bag"])
    end = int(ids.argmax(1).max()) + 1
    other = ids.clone()
    other[:, end:] = 320
    expected = clip.text(ids)
    torch.testing.assert_close(clip.text(other).sentence, expected.sentence)
    short = clip.text(ids[:, :end])
    torch.testing.assert_close(short.sentence, expected.sentence)
    torch.testing.assert_close(short.tokens, expected.tokens[:, :end])


def test_text_beyond_the_context_is_refused():
    _, clip = small_clip()
    with pytest.raises(ValueError, match=r"78 tokens.*77 positions.*truncate"):
        clip.text(torch.zeros(1, 78, dtype=torch.long))


def test_gradients_pass_a_frozen_text_tower():
    _, clip = small_clip()
    clip.text.requires_grad_(False)
    ids = tokenize(["a photo of a X person"])
    embeddings = clip.text.embed_tokens(ids).requires_grad_()
    clip.text.encode(embeddings, ids).sentence.square().sum().backward()
    end = int(ids.argmax())
    assert (embeddings.grad[0, : end + 1].abs().sum(1) > 0).all()
    assert embeddings.grad[0, end + 1 :].abs().max() == 0
    assert all(parameter.grad is None for parameter in clip.text.parameters())


def bilinear(grid: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Slow oracle: bilinear interpolation of (h, w, W) at half-pixel centres."""
    height, width, _ = grid.shape
    result = torch.zeros(rows, columns, grid.shape[2])
    for row in range(rows):
        for column in range(columns):
            y = min(max((row + 0.5) * height / rows - 0.5, 0), height - 1)
            x = min(max((column + 0.5) * width / columns - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            for i, down in ((top, 1 - y + top), (min(top + 1, height - 1), y - top)):
                for j, across in (
                    (left, 1 - x + left),
                    (min(left + 1, width - 1), x - left),
                ):
                    result[row, column] += down * across * grid[i, j]
    return result


@pytest.mark.parametrize("start", [(64, 64), (96, 32)])
@pytest.mark.parametrize(
    ("image_size", "stride"), [((128, 64), 16), ((64, 48), 8), ((32, 32), 16)]
)
def test_position_embeddings_are_resized_bilinearly(start, image_size, stride):
    model, _ = small_clip()
    set_grid(model.visual, start, 16)
    before = model.visual.positional_embedding.detach().clone()
    set_grid(model.visual, image_size, stride)
    rows, columns = model.visual.grid_size
    grid = before[1:].view(start[0] // 16, start[1] // 16, -1)
    expected = bilinear(grid, rows, columns)
    after = model.visual.positional_embedding.detach()
    assert isinstance(model.visual.positional_embedding, nn.Parameter)
    assert torch.equal(after[0], before[0])  # the class token keeps its own
    torch.testing.assert_close(after[1:].view(rows, columns, -1), expected)


def test_the_same_grid_keeps_every_weight():
    model, _ = small_clip()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    set_grid(model.visual, (64, 64), 16)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_overlapping_patches_contain_those_side_by_side():
    model, _ = small_clip()
    images = torch.randn(1, 3, 64, 32)
    apart = model.visual.conv1(images)
    set_grid(model.visual, (64, 32), 8)
    overlapping = model.visual.conv1(images)
    assert overlapping.shape[2:] == model.visual.grid_size == (7, 3)
    torch.testing.assert_close(overlapping[:, :, ::2, ::2], apart)
    assert model.visual(images).isfinite().all()


@given(
    patch=st.integers(1, 32),
    overlap=st.integers(0, 31),
    extra=st.tuples(st.integers(0, 99), st.integers(0, 99)),
)
def test_the_last_patch_ends_inside_the_image_and_another_would_not(
    patch, overlap, extra
):
    stride = max(patch - overlap, 1)
    sizes = [patch + more for more in extra]
    if stride == patch:
        sizes = [size // patch * patch for size in sizes]
    grid = patch_grid(tuple(sizes), patch, stride)
    for cells, size in zip(grid, sizes, strict=True):
        assert (cells - 1) * stride + patch <= size < cells * stride + patch


@pytest.mark.parametrize(
    ("image_size", "stride", "message"),
    [
        ((250, 128), 16, r"height 250.*16 pixels.*240 or 256"),
        ((256, 120), 16, r"width 120.*112 or 128"),
        ((8, 128), 16, r"height 8.*take 16 pixels"),
        ((256, 15), 8, r"width 15.*take 16 pixels"),
        ((256, 128), 17, r"stride 17.*1 to 16"),
        ((256, 128), 0, r"stride 0.*1 to 16"),
    ],
)
def test_sizes_that_do_not_fit_name_those_that_do(image_size, stride, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        load_clip("random", image_size=image_size, stride=stride)


def test_images_of_another_size_are_refused():
    _, clip = small_clip()
    with pytest.raises(ValueError, match=r"64x32 pixels.*64x64"):
        clip.image(torch.zeros(1, 3, 64, 32))


def test_the_attributes_this_relies_on_exist():
    model, _ = small_clip()
    assert open_clip.get_model_config("ViT-B-16-quickgelu")["quick_gelu"] is True
    assert model.text_pool_type == "argmax"
    assert model.attn_mask.shape == (77, 77)
