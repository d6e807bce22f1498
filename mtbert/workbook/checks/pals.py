"""Checks of notebook 07: a PAL on one sequence, its initial values, its parameters, and routing by task."""

import math

import torch
from torch import Tensor

from mtbert.data.batch import pack_sequences
from mtbert.nn.adapters import AdapterShape, build_adapter
from mtbert.nn.bert import BertConfig
from mtbert.workbook.checks.engine import Draw, check, expect, same, several, shaped, untouched

PUBLISHED = 1_819_836  # a PAL of 204 on BERT-base (Stickland & Murray 2019)


@check
def pal(answer, draw):
    """answer(x, encode, query, key, value, decode, heads) -> what a PAL adds to one sequence, (tokens, hidden).

    x (tokens, hidden), encode (hidden, size), query, key, value (size, size), decode (size, hidden).
    """
    hidden, size, tokens = draw.whole(7, 9), 4, draw.whole(4, 6)
    x, matrices = draw.normal(tokens, hidden), _matrices(draw, hidden, size)
    encode, query, key, value, decode = matrices
    yield "gives a vector of the encoder's width for each token"
    shaped(answer(x, *matrices, 1), tokens, hidden)
    yield "leaves its arguments as they were"
    untouched(lambda *tensors: answer(*tensors, 1), x, *matrices)
    yield "a single token looks only at itself: x times V^E, value and V^D"
    same(answer(x[:1], *matrices, 1), x[:1] @ encode @ value @ decode)
    yield "where all keys are zero, every token gets the mean of the values"
    mean = (x @ encode @ value).mean(0)
    same(answer(x, encode, query, torch.zeros_like(key), value, decode, 1), (mean @ decode).expand(tokens, hidden))
    yield "with one head: softmax over the keys of query times key, divided by the square root of the size"
    same(answer(x, *matrices, 1), _pal(x, *matrices, 1))
    yield "with more heads, each uses its own columns and divides by the square root of their number"
    for heads in (2, 4):
        same(answer(x, *matrices, heads), _pal(x, *matrices, heads))


@check
def begin(answer, draw):
    """answer(hidden, size) -> the two matrices before training: encode (hidden, size), decode (size, hidden)."""
    hidden, size = draw.whole(30, 40), draw.whole(6, 9)
    x, target = draw.normal(20, hidden), draw.normal(20, hidden)
    yield "gives two matrices, hidden × size and size × hidden"
    encode, decode = several(answer(hidden, size), "encode", "decode")
    encode, decode = shaped(encode, hidden, size).clone(), shaped(decode, size, hidden).clone()
    yield "before training it adds exactly nothing: together the matrices map everything to zero"
    expect((x @ encode @ decode == 0).all(), f"the largest number added is {(x @ encode @ decode).abs().max():.2g}")
    yield "it can learn: some gradient is not zero"
    encode.requires_grad_(), decode.requires_grad_()
    ((x @ encode @ decode - target) ** 2).mean().backward()
    largest = max(float(encode.grad.abs().max()), float(decode.grad.abs().max()))
    expect(largest > 0, "both matrices are zero: the gradient of each is multiplied by the other, and stays zero")
    yield "the matrix that is not zero is random: every call gives other numbers"
    again = [torch.as_tensor(matrix) for matrix in answer(hidden, size)]
    expect(not all(map(torch.equal, (encode, decode), again)), "two calls gave the same numbers")
    drawn = encode.detach() if encode.any() else decode.detach()
    yield "every number is drawn independently: equal columns would all learn the same"
    rank = int(torch.linalg.matrix_rank(drawn))
    expect(rank == size, f"of {size} columns, only {rank} are independent")
    yield "a vector keeps its scale: the standard deviation is one over the square root of the inputs"
    std, expected = float(drawn.std()), len(drawn) ** -0.5
    expect(expected / 2 < std < 2 * expected, f"with {len(drawn)} inputs the standard deviation is {std:.3g}")


@check
def count(answer, draw):
    """answer(hidden, size, layers) -> the number of parameters of one task's PAL, biases included."""
    hidden, size, layers = draw.whole(20, 40), draw.whole(4, 12), draw.whole(2, 12)
    yield "is a whole number"
    got = shaped(answer(hidden, size, layers))
    expect(got == got.round(), f"it is {float(got)}")
    yield "without layers, V^E and V^D remain: two matrices, and a bias for each output"
    same(answer(hidden, size, 0), 2 * hidden * size + size + hidden, 0)
    yield "V^E and V^D are shared: another layer adds only query, key and value matrices with their biases"
    same(answer(hidden, size, layers + 1) - answer(hidden, size, layers), 3 * (size * size + size), 0)
    yield "for a PAL of 204 on BERT-base it is the published number"
    same(answer(768, 204, 12), PUBLISHED, 0)


@check
def route(answer, draw):
    """answer(x, lengths, adapters) -> x plus the output of each task's adapter for the task's own tokens.

    x (tokens, hidden); lengths: task to its number of tokens, in their order; adapters: task to a function of some
    tokens, (n, hidden) -> (n, hidden); a task may have none.
    """
    lengths = {"sst": draw.whole(2, 4), "quora": draw.whole(5, 7), "sts": 3}
    x, hidden = draw.normal(sum(lengths.values()), 5), 5
    scale = {"sts": lambda own: -2 * own, "sst": lambda own: own, "quora": lambda own: 3 * own}
    yield "keeps the shape"
    shaped(answer(x, lengths, scale), len(x), hidden)
    yield "leaves x as it was"
    untouched(lambda tensor: answer(tensor, lengths, scale), x)
    yield "one task, one adapter: its output is added to x"
    same(answer(x, {"sst": len(x)}, scale), 2 * x)
    yield "several tasks: the tokens of each begin where those of the task before end"
    sst, quora, sts = x.split(list(lengths.values()))
    same(answer(x, lengths, scale), torch.cat([2 * sst, 4 * quora, -sts]))
    yield "the order is that of lengths, not that of adapters"
    backward = dict(reversed(lengths.items()))
    sts, quora, sst = x.split(list(backward.values()))
    same(answer(x, backward, scale), torch.cat([-sts, 4 * quora, 2 * sst]))
    yield "tokens of a task without an adapter pass unchanged"
    sst, quora, sts = x.split(list(lengths.values()))
    same(answer(x, lengths, {"sts": scale["sts"]}), torch.cat([sst, quora, -sts]))
    same(answer(x, lengths, {}), x)
    yield "an adapter sees the tokens of its own task and no others"
    mixing = dict.fromkeys(lengths, lambda own: own.mean(0).expand_as(own))
    same(answer(x, lengths, mixing), torch.cat([own + own.mean(0) for own in (sst, quora, sts)]))


# -- references and inputs


def _pal(x: Tensor, encode: Tensor, query: Tensor, key: Tensor, value: Tensor, decode: Tensor, heads: int) -> Tensor:
    """The output of mtbert's PAL."""
    hidden, size = encode.shape
    config = BertConfig(hidden_size=hidden, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    module = build_adapter("pal", config, AdapterShape(size, heads)).eval()
    weights = dict(module.named_parameters())
    with torch.no_grad():
        weights["encode.0.weight"].copy_(encode.T)
        weights["qkv.0.weight"].copy_(torch.cat([query.T, key.T, value.T]))
        weights["decode.0.weight"].copy_(decode.T)
        return module("layer", 0, x, pack_sequences([[0] * len(x)]))


def _matrices(draw: Draw, hidden: int, size: int) -> list[Tensor]:
    """V^E, query, key, value and V^D, scaled so that the attention is neither flat nor sharp."""
    inner = [draw.normal(size, size) / math.sqrt(size) for _ in range(3)]
    return [draw.normal(hidden, size) * 1.5 / math.sqrt(hidden), *inner, draw.normal(size, hidden)]
