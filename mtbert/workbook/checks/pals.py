"""Checks of notebook 07: a PAL's parameters, a PAL on one sequence, routing by task, and a whole PAL."""

import math

import torch
from torch import Tensor, nn

from mtbert.data.batch import PackedBatch, pack_sequences
from mtbert.nn.adapters import AdapterShape, TaskAdapters, build_adapter
from mtbert.nn.bert import Bert, BertConfig
from mtbert.workbook.checks.engine import Answer, Draw, check, expect, returned, same, shaped, untouched

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


@check
def adapter(answer, draw):
    """answer(hidden, size, heads, layers) -> a PAL for a whole encoder, which ``TaskAdapters`` can use.

    It has encode, a Linear from hidden to size; qkv, a ModuleList with a Linear from size to 3 * size for each layer;
    decode, a Linear from size to hidden; and forward(point, layer, x, batch) -> (tokens, hidden).
    """
    heads, layers = 2, draw.whole(2, 3)
    hidden, size = 4 * draw.whole(3, 4), heads * draw.whole(3, 4)
    shape = (hidden, size, heads, layers)
    one, batch = pack_sequences([[0] * draw.whole(4, 6)]), pack_sequences([[0] * draw.whole(2, 6) for _ in range(3)])
    yield "step 1: is an nn.Module that wants to be called at the hook point 'layer'"
    module = returned(answer(*shape))
    expect(isinstance(module, nn.Module), f"it is {type(module).__name__}: derive the class from nn.Module")
    expect("_parameters" in vars(module), "it is no module yet: __init__ must begin with super().__init__()")
    points = getattr(module, "hook_points", None)
    expect(
        isinstance(points, tuple | list), "hook_points is missing: it is a tuple of names, an attribute of the class"
    )
    expect([*points] == ["layer"], f"hook_points is {points!r}, but should be ('layer',)")
    yield "step 1: encode, qkv and decode have the right shapes, and there is nothing else to train"
    _has_shapes(module, *shape)
    yield "step 2: before training it adds exactly zero, in every layer"
    for layer in range(layers):
        added = _added(module, layer, draw.normal(one.tokens, hidden), one)
        expect((added == 0).all(), f"in layer {layer} it adds numbers up to {added.abs().max():.2g}")
    yield "step 2: and yet it can learn: only decode is zero"
    for name in ("encode.weight", *(f"qkv.{layer}.weight" for layer in range(layers))):
        expect(module.get_parameter(name).abs().min() > 0, f"{name} has zeros, and decode needs something to work with")
    reference = _randomized(module, draw, *shape)
    yield "step 3: for one sequence, it adds what the PAL of exercise 2 adds, with biases"
    x = draw.normal(one.tokens, hidden)
    same(_added(module, 0, x, one), reference("layer", 0, x, one))
    yield "step 3: each layer has its own query, key and value, and all share encode and decode"
    same(_added(module, layers - 1, x, one), reference("layer", layers - 1, x, one))
    yield "step 4: in a packed batch, no sequence sees another"
    x = draw.normal(batch.tokens, hidden)
    same(_added(module, 0, x, batch), reference("layer", 0, x, batch))
    yield "step 5: inside an encoder, it gives the output of the package's PAL"
    bert, batch = _encoder(hidden, layers), pack_sequences([[draw.whole(0, 9) for _ in range(n)] for n in (3, 5)])
    batch.slices = {"sst": slice(0, 1), "sts": slice(1, 2)}
    with torch.no_grad():
        expected = bert(batch, TaskAdapters({"sst": reference}))
        same(Answer(bert)(batch, TaskAdapters({"sst": module})), expected)
    yield "step 6: with the encoder frozen, every part of it gets a gradient"
    Answer(bert)(batch, TaskAdapters({"sst": module})).square().sum().backward()
    for name, parameter in module.named_parameters():
        expect(parameter.grad is not None and parameter.grad.any(), f"{name} gets no gradient: is something detached?")


# -- references and inputs


def _has_shapes(module: nn.Module, hidden: int, size: int, heads: int, layers: int) -> None:
    wanted = {
        "encode": (size, hidden),
        **{f"qkv.{i}": (3 * size, size) for i in range(layers)},
        "decode": (hidden, size),
    }
    parameters = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    for name, (outputs, inputs) in wanted.items():
        for part, expected in ((f"{name}.weight", (outputs, inputs)), (f"{name}.bias", (outputs,))):
            got = parameters.pop(part, None)
            expect(got is not None, f"there is no {part}")
            expect(got == expected, f"the shape of {part} is {got}, but should be {expected}")
    expect(not parameters, f"it also has {', '.join(parameters)}")


def _added(module: nn.Module, layer: int, x: Tensor, batch: PackedBatch) -> Tensor:
    """What the learner's module adds; its exceptions are told with their line."""
    with torch.no_grad():
        added = Answer(module.eval().forward)("layer", layer, x.clone(), batch)
    return shaped(added, *x.shape)


def _randomized(module: nn.Module, draw: Draw, hidden: int, size: int, heads: int, layers: int) -> nn.Module:
    """Draw all weights of the learner's module anew, and return the package's PAL with the same weights."""
    config = BertConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=1, intermediate_size=8)
    reference = build_adapter("pal", config, AdapterShape(size, heads)).eval()
    renamed = {"encode": "encode.0", "decode": "decode.0"}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(draw.normal(*parameter.shape) / math.sqrt(parameter.shape[-1]))
            first, _, rest = name.partition(".")
            reference.get_parameter(f"{renamed.get(first, first)}.{rest}").copy_(parameter)
    return reference


def _encoder(hidden: int, layers: int) -> Bert:
    config = BertConfig(
        vocab_size=10, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=16
    )
    return Bert(config).eval().requires_grad_(False)


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
