"""Marchini, Callon & Cussen, "PALs and Gradient Vaccine": what the head and the loss of the similarity task do.

Pooler vectors, pairs as two sequences, round robin with batches of 8 and a constant rate of 1e-5. How long "1 epoch" of
the loss experiments was the report does not say: here it is one pass over the similarity rows.
"""

from mtbert.recipes.entry import Entry
from mtbert.recipes.recipe import Recipe

_MULTITASK = Recipe(
    encoder="bert-base-uncased", encoding="bi", head={"sst": "linear", "quora": "concat", "sts": "concat_sigmoid"},
    pooling="pooler", sampler="round_robin", batch_size=8, epochs=10, steps_per_epoch=18000, lr=1e-5,
    decay="constant", warmup=0, clip=0, head_dropout=0.3, overlap="drop",
)  # fmt: skip
_STS = _MULTITASK.with_(tasks=("sts",), epochs=1, steps_per_epoch=None)

ROWS: dict[str, Entry] = {
    "baseline": Entry(
        _MULTITASK.with_(option="pretrain", sampler="sequential"), "heads alone on a frozen encoder",
        {"sst": 0.516, "quora": 0.783, "sts": 0.361, "overall": 0.553},
    ),
    "naive": Entry(
        _MULTITASK, "every layer trained, one task a step",
        {"sst": 0.498, "quora": 0.765, "sts": 0.364, "overall": 0.542},
    ),
    "cosine": Entry(
        _MULTITASK.with_(head={"sts": "cosine"}), "the same with a cosine for similarity",
        {"sst": 0.492, "quora": 0.769, "sts": 0.757, "overall": 0.673},
    ),
    "sts-concat": Entry(_STS, "similarity alone, the concatenation, after one epoch", {"sts": 0.341}),
    "sts-mnrl": Entry(
        _STS.with_(loss="mnrl_graded"), "the same with their multiple negatives ranking loss", {"sts": 0.008}
    ),
    "sts-triplet": Entry(_STS.with_(loss="triplet"), "the same with the triplet loss", {"sts": 0.116}),
}  # fmt: skip
