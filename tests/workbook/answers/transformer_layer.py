"""Answers to the exercises of notebook 02: other right ones, and usual mistakes by the property that they break."""

import math

import torch
import torch.nn.functional as F
from workbook.exercises import edited, solutions

_, embeddings, _, layer, _, encoder = solutions("transformer_layer").values()


def layer_norm(x, gain, bias, eps, dim=-1, correction=0, inside=True):
    centered = x - x.mean(dim, keepdim=True)
    variance = x.var(dim, keepdim=True, correction=correction)
    below = (variance + eps).sqrt() if inside else variance.sqrt() + eps
    return centered / below * gain + bias


def only_rows(x, gain, bias, eps):
    return torch.stack([layer_norm(row, gain, bias, eps) for row in x]) if x.ndim == 2 else x


def count(h, m, squares=4, biases=5, norms=2, per_norm=2):
    return squares * h * h + 2 * h * m + m + biases * h + norms * per_norm * h


def embeddings_by_row(ids, types, weights):
    norm = (weights["LayerNorm.weight"], weights["LayerNorm.bias"])
    words, positions, kinds = (
        F.embedding(index, weights[f"{name}_embeddings.weight"])
        for index, name in (
            (ids, "word"),
            (torch.arange(ids.shape[1]).expand_as(ids), "position"),
            (types, "token_type"),
        )
    )
    return torch.stack([layer_norm(row, *norm, 1e-12) for row in words + positions + kinds])


def sorted_as_texts(file, ids, types, mask, embed, layer):
    def part(prefix):
        return {name.removeprefix(prefix): tensor for name, tensor in file.items() if name.startswith(prefix)}

    x = embed(ids, types, part("embeddings."))
    for index in sorted({name.split(".")[2] for name in file if name.startswith("encoder.layer.")}):
        x = layer(x, mask, part(f"encoder.layer.{index}."))
    return x


def layer_of_torch(x, mask, weights, heads, drop):
    """torch's own attention instead of three products."""
    hidden = x.shape[-1]
    module = torch.nn.MultiheadAttention(hidden, heads, batch_first=True)
    for kind in ("weight", "bias"):
        parts = torch.cat([weights[f"attention.self.{name}.{kind}"] for name in ("query", "key", "value")])
        getattr(module, f"in_proj_{kind}").data = parts
        getattr(module.out_proj, kind).data = weights[f"attention.output.dense.{kind}"]
    with torch.no_grad():
        attended = module(x, x, x, key_padding_mask=~mask, need_weights=False)[0]
    for addition, norm in ((lambda v: attended, "attention.output"), (lambda v: feed_forward(v, weights), "output")):
        gain, bias = (weights[f"{norm}.LayerNorm.{kind}"] for kind in ("weight", "bias"))
        x = F.layer_norm(x + drop(addition(x)), (hidden,), gain, bias, 1e-12)
    return x


def swapped_norms(weights):
    first, second = "attention.output.LayerNorm.", "output.LayerNorm."
    swapped = {second + kind: weights[first + kind] for kind in ("weight", "bias")}
    return weights | swapped | {first + kind: weights[second + kind] for kind in ("weight", "bias")}


def feed_forward(v, weights):
    for name, function in (("intermediate", F.gelu), ("output", lambda wide: wide)):
        v = function(F.linear(v, weights[f"{name}.dense.weight"], weights[f"{name}.dense.bias"]))
    return v


RIGHT = {
    "layer_norm": [lambda x, g, b, eps: F.layer_norm(x, g.shape, g, b, eps)],
    "gelu": [F.gelu, lambda x: x * torch.distributions.Normal(0, 1).cdf(x)],
    "embeddings": [embeddings_by_row],
    "layer": [layer_of_torch],
    "encoder": [
        edited(
            encoder,
            "embed(ids, token_types, => embed(ids=ids, token_types=token_types, weights=",
            "layer(x, mask, weights) => layer(x=x, mask=mask, weights=weights)",
        )
    ],
}
WRONG = {
    "layer_norm": [
        ("over the last dimension", lambda x, g, b, eps: layer_norm(x, g, b, eps, dim=0)),
        ("mean 0", lambda x, g, b, eps: x * g + b),
        ("mean square 1", lambda x, g, b, eps: (x - x.mean(-1, keepdim=True)) * g + b),
        ("not by n - 1", lambda x, g, b, eps: layer_norm(x, g, b, eps, correction=1)),
        ("eps is added", lambda x, g, b, eps: layer_norm(x, g, b, 0.0)),
        ("inside the root", lambda x, g, b, eps: layer_norm(x, g, b, eps, inside=False)),
        ("multiplies by the gain", lambda x, g, b, eps: layer_norm(x, 1, b, eps)),
        ("then adds the bias", lambda x, g, b, eps: layer_norm(x, g, 0, eps)),
        ("any number of dimensions", only_rows),
    ],
    "gelu": [
        ("stay as they are", lambda x: x * torch.sigmoid(x)),
        ("large negative numbers become 0", lambda x: x * torch.erf(x / math.sqrt(2))),
        ("not ReLU", torch.relu),
        ("erf of x / sqrt(2)", lambda x: x * (1 + torch.erf(x)) / 2),
        ("not an approximation", lambda x: F.gelu(x, approximate="tanh")),
    ],
    "embeddings": [
        ("the vectors are normalized", edited(embeddings, "return F.layer_norm( => return (lambda x, *rest: x)(")),
        ("the position is not used", edited(embeddings, '+ weights["position_embeddings.weight"][positions] => ')),
        ("the token type is not used", edited(embeddings, "[token_types] => [0 * token_types]")),
        ("not 1", edited(embeddings, "torch.arange( => (lambda n: torch.arange(n) + 1)(")),
        (
            "at position 0 anew",
            edited(embeddings, "torch.arange(ids.shape[1]) => torch.arange(ids.numel()).view_as(ids)"),
        ),
        ("should be 1e-12", edited(embeddings, ", 1e-12) => )")),
        ("the gain, is not used", edited(embeddings, 'weights["LayerNorm.weight"] => None')),
        ("LayerNorm.bias is not used", edited(embeddings, 'weights["LayerNorm.bias"] => None')),
    ],
    "layer": [
        ("no norm after the sums", lambda x, mask, w, heads, drop: x),
        ("the residual sums are missing", edited(layer, "x + addition => addition")),
        ("the two norms are swapped", lambda x, mask, w, heads, drop: layer(x, mask, swapped_norms(w), heads, drop)),
        ("the default of F.layer_norm", edited(layer, ", 1e-12) => )")),
        ("a single wide head", lambda x, mask, w, heads, drop: layer(x, mask, w, 1, drop)),
        ("it is ReLU", edited(layer, "F.gelu => F.relu")),
        ("there is no nonlinearity", edited(layer, "wide = F.gelu( => wide = (")),
        ("approximation by tanh", edited(layer, "wide = F.gelu( => wide = (lambda v: F.gelu(v, approximate='tanh'))(")),
        ("the second sum adds x", edited(layer, "add_and_norm(h, drop => add_and_norm(x, drop")),
        ("the mask hides no key", edited(layer, ", mask[:, None, None]) => )")),
        ("where everything is dropped", edited(layer, "drop(dense(mixed, => (lambda v: v)(dense(drop(mixed),")),
        ("where everything is dropped", edited(layer, "drop(dense(wide, => (dense(wide,")),
        ("applied once", edited(layer, "drop(dense(wide, => (lambda v: drop(drop(v)))(dense(wide,")),
    ],
    "encoder": [
        ("calls embed once", lambda file, ids, types, mask, embed, layer: embed(ids, types, file)),
        ("once for each layer", edited(encoder, "x = layer(x, mask, weights) => pass")),
        ("once for each layer", edited(encoder, '{index}.") => {index}")')),
        ("once for each layer", edited(encoder, "layer(x, mask, weights) => layer(x, ~mask, weights)")),
        ("2 before 10", sorted_as_texts),
        ("2 before 10", edited(encoder, "x = layer(x, mask, weights) => y = layer(x, mask, weights)")),
    ],
    "layer_parameters": [
        ("one more intermediate unit", lambda h, m: 7_087_872),
        ("four square matrices", lambda h, m: count(h, m, squares=3)),
        ("five biases", lambda h, m: count(h, m, biases=1)),
        ("two layer norms", lambda h, m: count(h, m, norms=1)),
    ],
}
