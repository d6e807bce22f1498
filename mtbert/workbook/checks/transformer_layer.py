"""Checks of notebook 02: layer norm, GELU, the embeddings, the layer, the encoder, and the parameters of a layer."""

import math
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mtbert.data.batch import pack_sequences
from mtbert.nn.attention import attention
from mtbert.nn.pretrained import Encoder, load_encoder, to_transformers
from mtbert.workbook.checks.engine import check, expect, no_known_mistake, returned, same, shaped, untouched


@check
def layer_norm(answer, draw):
    """answer(x, gain, bias, eps) -> (..., width); x (..., width), gain and bias (width,), eps a number."""
    ones, zeros, eps = torch.ones(5), torch.zeros(5), 1e-12
    x = draw.normal(3, 5) * 4 + 7
    yield "keeps the shape"
    shaped(answer(x, ones, zeros, eps), 3, 5)
    yield "every row has mean 0: the mean is taken over the last dimension"
    same(shaped(answer(x, ones, zeros, eps), 3, 5).mean(-1), torch.zeros(3), 1e-3)
    yield "every row has mean square 1: divide by the root of the variance, which divides by n, not by n - 1"
    same(shaped(answer(x, ones, zeros, eps), 3, 5).pow(2).mean(-1), torch.ones(3), 1e-3)
    yield "eps is added to the variance, inside the root"
    same(answer(x, ones, zeros, 2.0), F.layer_norm(x, (5,), eps=2.0))
    gain, bias = draw.normal(5), draw.normal(5)
    yield "multiplies by the gain, then adds the bias"
    same(answer(x, gain, bias, eps), F.layer_norm(x, (5,), gain, bias, eps))
    yield "works for any number of dimensions in front"
    for shape in [(5,), (2, 3, 5), (draw.whole(2, 4), 1, 2, 5)]:
        x = draw.normal(*shape)
        same(answer(x, gain, bias, eps), F.layer_norm(x, (5,), gain, bias, eps))
    yield "does not change x: take x - mean, not x -= mean"
    untouched(lambda tensor: answer(tensor, gain, bias, eps), x)


@check
def gelu(answer, draw):
    """answer(x) -> GELU of every number; x of any shape."""
    yield "keeps the shape"
    shaped(answer(draw.normal(3, 4)), 3, 4)
    yield "0 stays 0, and large positive numbers stay as they are"
    same(answer(torch.tensor([0.0, 8.0, 10.0])), [0.0, 8.0, 10.0])
    yield "large negative numbers become 0"
    same(answer(torch.tensor([-8.0, -10.0])), [0.0, 0.0])
    yield "small negative numbers give something below 0: it is not ReLU"
    small = torch.tensor([-0.5, -0.1])
    expect((torch.as_tensor(answer(small)) < -0.01).all(), "-0.5 and -0.1 should give something below 0")
    yield "x is weighted with the share of the normal distribution below x: erf of x / sqrt(2)"
    same(answer(torch.tensor([-1.0, 1.0])), [-0.15866, 0.84134], 4e-4)
    yield "it is the exact form, not an approximation by tanh or a sigmoid"
    grid = torch.linspace(-4, 4, 81)
    same(answer(grid), F.gelu(grid), 2e-5)


@check
def embeddings(answer, draw):
    """answer(ids, token_types, weights) -> (rows, tokens, hidden); ids and token_types (rows, tokens).

    weights maps the published names, such as "word_embeddings.weight", to tensors.
    """
    vocabulary, hidden = 20, 6
    sizes = {"word": vocabulary, "position": 10, "token_type": 2}
    weights = {f"{name}_embeddings.weight": draw.normal(size, hidden) for name, size in sizes.items()}
    ones, zeros = torch.ones(hidden), torch.zeros(hidden)
    plain = {"LayerNorm.weight": ones, "LayerNorm.bias": zeros}
    ids, types = draw.wholes(0, vocabulary - 1, 2, 5), draw.wholes(0, 1, 2, 5)
    yield "gives a vector for every token"
    shaped(answer(ids, types, weights | plain), 2, 5, hidden)
    yield "the vectors are normalized: mean 0, mean square 1"
    got = shaped(answer(ids, types, weights | plain), 2, 5, hidden)
    same(got.mean(-1), torch.zeros(2, 5), 1e-3)
    same(got.pow(2).mean(-1), torch.ones(2, 5), 1e-3)
    yield "the three vectors are summed, and positions count from 0 in every row"
    positions = weights["position_embeddings.weight"]
    elsewhere = {
        "the position is not used": torch.zeros_like(positions),
        "the first position is 0, not 1": positions.roll(-1, 0),
        "every row begins at position 0 anew": torch.stack([positions[:5], positions[5:]]),
    }
    mistakes = {
        name: _embed(ids, types, weights | plain | {"position_embeddings.weight": wrong})
        for name, wrong in elsewhere.items()
    }
    no_types = _embed(ids, torch.zeros_like(types), weights | plain)
    no_known_mistake(got, _embed(ids, types, weights | plain), mistakes | {"the token type is not used": no_types})
    yield "the norm has a gain and a bias"
    norm = {"LayerNorm.weight": draw.normal(hidden), "LayerNorm.bias": draw.normal(hidden)}
    mistakes = {
        "LayerNorm.weight, the gain, is not used": _embed(ids, types, weights | norm | {"LayerNorm.weight": ones}),
        "LayerNorm.bias is not used": _embed(ids, types, weights | norm | {"LayerNorm.bias": zeros}),
    }
    got = shaped(answer(ids, types, weights | norm), 2, 5, hidden)
    no_known_mistake(got, _embed(ids, types, weights | norm), mistakes)
    yield "with MiniLM's weights it gives MiniLM's embeddings"
    file = _under("embeddings.", _minilm())
    ids, types = draw.wholes(1000, 20000, 2, 7), draw.wholes(0, 1, 2, 7)
    default = {"eps is 1e-5, the default of F.layer_norm, but should be 1e-12": _embed(ids, types, file, eps=1e-5)}
    no_known_mistake(shaped(answer(ids, types, file), 2, 7, 384), _embed(ids, types, file), default)


@check
def layer(answer, draw):
    """answer(x, mask, weights, heads, drop) -> (rows, tokens, hidden); x (rows, tokens, hidden), mask (rows, tokens).

    weights maps the published names of a layer, such as "attention.self.query.weight", to tensors; drop is a function.
    """
    hidden, wide, heads, tokens = 6, 10, 2, draw.whole(4, 6)
    weights = _random_layer(draw, hidden, wide)
    x, keep = draw.normal(2, tokens, hidden), torch.clone
    everything = torch.ones(2, tokens, dtype=torch.bool)

    def without(*parts: str) -> dict[str, Tensor]:
        return {name: w * 0 if name.startswith(parts) else w for name, w in weights.items()}

    yield "gives a vector for every token"
    shaped(answer(x, everything, weights, heads, keep), 2, tokens, hidden)
    yield "with all dense layers at zero, the residual sums and the norms remain: LN(LN(x))"
    nothing = without("attention.self", "attention.output.dense", "intermediate", "output.dense")
    first, second = "attention.output.LayerNorm", "output.LayerNorm"
    mistakes = {
        "there is no norm after the sums": x,
        "the two norms are swapped": _norm(_norm(x, nothing, second), nothing, first),
        "the second norm is missing": _norm(x, nothing, first),
        "the second sum adds x, not what the first sublayer gave": _norm(x, nothing, second),
        "the residual sums are missing": _norm(torch.zeros_like(x), nothing, second),
    }
    got = shaped(answer(x, everything, nothing, heads, keep), 2, tokens, hidden)
    no_known_mistake(got, _layer(x, everything, nothing, heads), mistakes)
    yield "both norms use an eps of 1e-12"
    shrunk = {name: w / 1000 for name, w in nothing.items() if name.startswith(first)}  # small numbers for the second
    small = x / 1000, everything, nothing | shrunk
    default = {"it is 1e-5, the default of F.layer_norm": _layer(*small, heads, eps=1e-5)}
    got = shaped(answer(*small, heads, keep), 2, tokens, hidden)
    no_known_mistake(got, _layer(*small, heads), default)
    yield "attention sublayer: LN(x + dense(attention(x))), and each head uses its own columns"
    half = without("intermediate", "output.dense")
    mistakes = {"there is a single wide head": _layer(x, everything, half, 1)}
    got = shaped(answer(x, everything, half, heads, keep), 2, tokens, hidden)
    no_known_mistake(got, _layer(x, everything, half, heads), mistakes)
    yield "feed-forward sublayer: LN(h + dense(gelu(dense(h)))), with the exact GELU"
    half = without("attention.self", "attention.output.dense")
    mistakes = {
        "it is ReLU": _layer(x, everything, half, heads, activation=F.relu),
        "it is the approximation by tanh": _layer(x, everything, half, heads, activation=_tanh_gelu),
        "there is no nonlinearity": _layer(x, everything, half, heads, activation=keep),
    }
    got = shaped(answer(x, everything, half, heads, keep), 2, tokens, hidden)
    no_known_mistake(got, _layer(x, everything, half, heads), mistakes)
    yield "padding changes nothing for the real tokens"
    mask = torch.arange(tokens) < torch.tensor([[tokens], [2]])
    got, right = shaped(answer(x, mask, weights, heads, keep), 2, tokens, hidden), _layer(x, mask, weights, heads)
    unmasked = _layer(x, everything, weights, heads)
    mistakes = {"the mask hides no key: the keys are the last dimension of the scores": unmasked[mask]}
    no_known_mistake(got[mask], right[mask], mistakes)
    yield "dropout comes after the dense layer and before the sum: where everything is dropped, LN(LN(x)) remains"
    same(answer(x, everything, weights, heads, torch.zeros_like), _layer(x, everything, nothing, heads))
    yield "dropout is applied once in each sublayer"
    drop = lambda v: v * _mask(v)  # noqa: E731
    same(answer(x, everything, weights, heads, drop), _layer(x, everything, weights, heads, drop))
    yield "with the weights of a layer of MiniLM it gives that layer's output"
    index, x = draw.whole(0, 5), draw.normal(1, 6, 384)
    right = _encoder().bert.layers[index](x[0], pack_sequences([[0] * 6]))
    weights = _under(f"encoder.layer.{index}.", _minilm())
    same(answer(x, torch.ones(1, 6, dtype=torch.bool), weights, 12, keep), right[None])


@check
def encoder(answer, draw):
    """answer(file, ids, token_types, mask, embed, layer) -> (rows, tokens, hidden).

    file maps all names of the published file to tensors; embed(ids, token_types, weights) and layer(x, mask, weights)
    are functions for which weights have the names without the prefix of the part.
    """
    ids, types, mask = draw.wholes(0, 9, 2, 3), draw.wholes(0, 1, 2, 3), torch.ones(2, 3, dtype=torch.bool)
    count = draw.whole(11, 13)
    file = {f"encoder.layer.{i}.output.dense.bias": draw.normal(4) for i in torch.randperm(count).tolist()}
    file |= {"embeddings.word_embeddings.weight": draw.normal(10, 4), "pooler.dense.bias": draw.normal(4)}

    def embed(ids: Tensor, token_types: Tensor, weights: dict[str, Tensor]) -> Tensor:
        embedded.append((ids, token_types, set(weights)))
        return file["embeddings.word_embeddings.weight"][ids]

    def layer(x: Tensor, mask: Tensor, weights: dict[str, Tensor]) -> Tensor:
        steps.append((mask, set(weights)))
        return x / 2 + weights.get("output.dense.bias", 0)

    yield "calls embed once, with the names without 'embeddings.'"
    embedded: list[tuple] = []
    steps: list[tuple] = []
    got = shaped(answer(file, ids, types, mask, embed, layer), 2, 3, 4)
    expect(len(embedded) == 1, f"embed was called {len(embedded)} times")
    expect(embedded[0][2] == {"word_embeddings.weight"}, f"embed got the names {sorted(embedded[0][2])}")
    expect(torch.equal(embedded[0][0], ids) and torch.equal(embedded[0][1], types), "embed got other ids or types")
    yield "calls layer once for each layer of the file, with the mask and that layer's names only"
    expect(len(steps) == count, f"the file has {count} layers, but layer was called {len(steps)} times")
    expect(all(names == {"output.dense.bias"} for _, names in steps), f"layer got the names {sorted(steps[1][1])}")
    expect(all(torch.equal(given, mask) for given, _ in steps), "layer got another mask")
    yield "the layers run in the order of their numbers, 2 before 10, each on the output of the one before"
    x = file["embeddings.word_embeddings.weight"][ids]
    for index in range(count):
        x = x / 2 + file[f"encoder.layer.{index}.output.dense.bias"]
    same(got, x)
    yield "with the file of MiniLM it gives MiniLM's last hidden states"
    batch = _encoder().pack(["A film.", "It never once feels long."])
    mask = torch.arange(batch.max_seqlen) < batch.seqlens[:, None]
    ids = torch.zeros(mask.shape, dtype=torch.int64)
    ids[mask] = batch.ids
    with torch.no_grad():
        right = _encoder().bert(batch)
        got = answer(_minilm(), ids, torch.zeros_like(ids), mask, _embed, _minilm_layer)
    same(shaped(got, *mask.shape, 384)[mask], right)


def _embed(ids: Tensor, token_types: Tensor, weights: dict[str, Tensor], eps: float = 1e-12) -> Tensor:
    summed = weights["word_embeddings.weight"][ids] + weights["position_embeddings.weight"][..., : ids.shape[-1], :]
    summed = summed + weights["token_type_embeddings.weight"][token_types]
    return _norm(summed, weights, "LayerNorm", eps)


def _norm(x: Tensor, weights: dict[str, Tensor], name: str, eps: float = 1e-12) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def _layer(
    x: Tensor,
    mask: Tensor,
    weights: dict[str, Tensor],
    heads: int,
    drop=torch.clone,
    activation=F.gelu,
    eps: float = 1e-12,
) -> Tensor:
    def dense(v: Tensor, name: str) -> Tensor:
        return F.linear(v, weights[f"{name}.weight"], weights[f"{name}.bias"])

    parts = (dense(x, f"attention.self.{name}") for name in ("query", "key", "value"))
    query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
    mixed = attention(query, key, value, mask[:, None, None]).transpose(1, 2).flatten(2)
    h = _norm(x + drop(dense(mixed, "attention.output.dense")), weights, "attention.output.LayerNorm", eps)
    narrow = dense(activation(dense(h, "intermediate.dense")), "output.dense")
    return _norm(h + drop(narrow), weights, "output.LayerNorm", eps)


_tanh_gelu = partial(F.gelu, approximate="tanh")


def _minilm_layer(x: Tensor, mask: Tensor, weights: dict[str, Tensor]) -> Tensor:
    return _layer(x, mask, weights, 12)


def _random_layer(draw, hidden: int, wide: int) -> dict[str, Tensor]:
    shapes = {f"attention.self.{name}": (hidden, hidden) for name in ("query", "key", "value")}
    shapes |= {"attention.output.dense": (hidden, hidden), "intermediate.dense": (wide, hidden)}
    shapes |= {"output.dense": (hidden, wide)}
    weights = {f"{name}.weight": draw.normal(*shape) for name, shape in shapes.items()}
    weights |= {f"{name}.bias": draw.normal(shape[0]) for name, shape in shapes.items()}
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        weights |= {f"{name}.weight": 1 + draw.uniform(hidden), f"{name}.bias": draw.normal(hidden)}
    return weights


def _under(prefix: str, file: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in file.items() if name.startswith(prefix)}


@cache
def _encoder() -> Encoder:
    encoder = load_encoder("minilm")
    encoder.bert.eval()
    return encoder


@cache
def _minilm() -> dict[str, Tensor]:
    """MiniLM's weights under their published names."""
    return {name: tensor.detach() for name, tensor in to_transformers(_encoder().bert).items()}


def _mask(v: Tensor) -> Tensor:
    """Dropout without randomness: every third number is dropped, the others are scaled by 1.5."""
    return (torch.arange(v.numel()).view(v.shape) % 3 > 0) * 1.5


@check
def layer_parameters(answer, draw):
    """answer(hidden, intermediate) -> the number of parameters of a BERT layer."""
    h, m = draw.whole(2, 20), draw.whole(21, 60)
    yield "gives one whole number"
    got = returned(answer(h, m))
    expect(isinstance(got, int | float | Tensor) and math.isfinite(got) and got == int(got), f"it is {got!r}")
    yield "one more intermediate unit costs 2 x hidden + 1"
    step = answer(h, m + 1) - answer(h, m)
    expect(step == 2 * h + 1, f"with hidden = {h} it costs {step}, not {2 * h + 1}")
    yield "attention has four square matrices: query, key, value and output"
    without = lambda hidden: answer(hidden, 1) - (2 * hidden + 1)  # noqa: E731, the feed-forward weights
    squares = (without(h + 1) - 2 * without(h) + without(h - 1)) / 2
    expect(squares == 4, f"you count {squares:g} x hidden x hidden")
    yield "the rest is 9 x hidden: five biases of that size, and a gain and a bias in each of two layer norms"
    rest = (without(h) - 4 * h * h) / h
    expect(rest == 9, f"you count {rest:g} x hidden")
