"""Cambronero & Meza, "Three Heads are Better Than One": a head made for each task.

Batches of 8 and a constant rate of 1e-5, one task a step. The report does not say which vector its heads read: here it
is that of [CLS], and all tokens for the convolution.
"""

from mtbert.recipes.entry import Entry
from mtbert.recipes.recipe import Recipe

_PLAIN_HEADS = Recipe(
    encoder="bert-base-uncased", encoding="bi", head={"sst": "linear", "quora": "concat", "sts": "concat_sigmoid"},
    pooling="cls", sampler="round_robin", batch_size=8, epochs=10, lr=1e-5, decay="constant", warmup=0, clip=0,
    head_dropout=0.3, overlap="drop",
)  # fmt: skip
_THREE_HEADS = _PLAIN_HEADS.with_(
    encoding="cross", head={"sst": "convolution", "quora": "two_layer_relu", "sts": "two_layer_relu"}
)

ROWS: dict[str, Entry] = {
    "baseline-heads": Entry(
        _PLAIN_HEADS, "linear heads, on (u, v) for a pair", {"sst": 0.508, "quora": 0.709, "sts": 0.6, "overall": 0.606}
    ),
    "task-heads": Entry(
        _THREE_HEADS, "a convolution for sentiment, two layers on cross-encoded pairs",
        {"sst": 0.507, "quora": 0.854, "sts": 0.859, "overall": 0.74},
    ),
}  # fmt: skip
