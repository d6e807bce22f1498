"""Marchini, Callon & Cussen, "PALs and Gradient Vaccine": what they print of losses for similarity.

Pooler vectors, pairs as two sequences, batches of 8 and a constant rate of 1e-5. How long their "1 epoch" was they do
not say: here it is one pass over the similarity rows.
"""

from mtbert.recipes.entry import Entry
from mtbert.recipes.recipe import Recipe

_STS = Recipe(
    tasks=("sts",), encoder="bert-base-uncased", encoding="bi", head="concat_sigmoid", pooling="pooler", batch_size=8,
    epochs=1, lr=1e-5, decay="constant", warmup=0, clip=0, head_dropout=0.3, overlap="drop",
)  # fmt: skip

ROWS: dict[str, Entry] = {
    "sts-concat": Entry(_STS, "similarity alone, the concatenation, after one epoch", {"sts": 0.341}),
    "sts-mnrl": Entry(
        _STS.with_(loss="mnrl_graded"), "the same with their multiple negatives ranking loss", {"sts": 0.008}
    ),
    "sts-triplet": Entry(_STS.with_(loss="triplet"), "the same with the triplet loss", {"sts": 0.116}),
}
