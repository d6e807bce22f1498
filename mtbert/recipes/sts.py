"""Similarity alone: one recipe for each way to turn two sentences into a score."""

from mtbert.recipes.entry import Entry
from mtbert.recipes.recipe import Recipe

_BI = Recipe(tasks=("sts",), encoding="bi", head="cosine", overlap="drop")
_CROSS = _BI.with_(encoding="cross", head="linear", lr=1e-4, epochs=6)

ROWS: dict[str, Entry] = {
    "sts-cosine": Entry(_BI, "similarity alone: two vectors, and the cosine between them"),
    "sts-cross": Entry(_CROSS, "similarity alone: both sentences in one sequence"),
    "sts-concat": Entry(_BI.with_(head="concat"), "the baseline that fails: a linear layer on (u, v)"),
}
