"""Similarity alone: one recipe for each way to turn two sentences into a score, to train it, and to pool.

Each recipe of a table differs from ``sts-short`` in one thing. A loss that uses only part of the rows reads them more
often, so that all recipes take the same number of steps.
"""

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe

_BI = Recipe(tasks=("sts",), encoding="bi", head="cosine", overlap="drop")
_CROSS = _BI.replace(encoding="cross", head="linear", lr=1e-4, epochs=6)
# what the tables compare: short runs of 188 steps, which is one pass over all rows
_SHORT = _BI.replace(epochs=1, steps_per_epoch=188)
_SHORT_CROSS = _CROSS.replace(epochs=1, steps_per_epoch=188)
_FROZEN = {"trainable": "heads", "lr": 1e-3, "epochs": 10, "steps_per_epoch": None}
_QUORA = Recipe(tasks=("quora",), encoding="bi", head="cosine", overlap="drop", epochs=1, steps_per_epoch=400)

ROWS: dict[str, Entry] = {
    "sts-cosine": Entry(_BI, "similarity alone: two vectors and their cosine"),
    "sts-cross": Entry(_CROSS, "similarity alone: both sentences in one sequence"),
    "sts-short": Entry(_SHORT, "the cosine for one epoch: the baseline of the recipes below"),
    "sts-short-cross": Entry(_SHORT_CROSS, "both sentences in one sequence, one epoch"),
    # heads
    "sts-cosine-shifted": Entry(_SHORT.replace(head="cosine_shifted"), "cosines from -1 to 1 mapped to 0 to 5"),
    "sts-dot": Entry(_SHORT.replace(head="dot"), "the dot product instead of the cosine"),
    "sts-concat": Entry(_SHORT.replace(head="concat"), "the baseline that fails: a linear layer on (u, v)"),
    "sts-concat-sigmoid": Entry(_SHORT.replace(head="concat_sigmoid"), "on (u, v), kept between 0 and 5 by a sigmoid"),
    "sts-concat-frozen": Entry(_SHORT.replace(head="concat", **_FROZEN), "a linear layer on (u, v), frozen encoder"),
    "sts-concat-two-layer": Entry(_SHORT.replace(head="concat_two_layer"), "two layers on (u, v)"),
    "sts-concat-diff": Entry(_SHORT.replace(head="concat_diff"), "a linear layer on (u, v, |u - v|)"),
    "sts-cross-sigmoid": Entry(_SHORT_CROSS.replace(head="linear_sigmoid"), "in one sequence, 5 times a sigmoid"),
    "sts-cross-relu": Entry(_SHORT_CROSS.replace(head="two_layer_relu"), "in one sequence, Cambronero and Meza's head"),
    # losses
    "sts-mnrl": Entry(_SHORT.replace(loss="mnrl"), "ranking: a pair from 3 up against its batch"),
    "sts-mnrl-graded": Entry(_SHORT.replace(loss="mnrl_graded"), "ranking: a pair from 3 up against pairs below"),
    "sts-triplet": Entry(_SHORT.replace(loss="triplet"), "a sentence must be closer to its pair than to others"),
    "sts-cosent": Entry(_SHORT.replace(loss="cosent"), "CoSENT: cosines must be in the order of the scores"),
    "sts-concat-mnrl": Entry(
        _SHORT.replace(head="concat", loss="mnrl"), "a loss that trains the vectors but not the head"
    ),
    "sts-concat-graded": Entry(
        _SHORT.replace(head="concat", loss="mnrl_graded"), "a ranking loss on the predictions of the head on (u, v)"
    ),
    "sts-smart": Entry(_SHORT.replace(smart_weight=1.0), "squared error plus SMART's smoothness term"),
    # pooling
    "sts-cls": Entry(_SHORT.replace(pooling="cls"), "the [CLS] vector"),
    "sts-pooler": Entry(_SHORT.replace(pooling="pooler"), "the [CLS] vector through BERT's pooler"),
    "sts-max": Entry(_SHORT.replace(pooling="max"), "the maximum over the tokens"),
    # a task that suits a ranking loss
    "quora-cosine": Entry(_QUORA, "paraphrase alone: a logit from the cosine"),
    "quora-mnrl": Entry(_QUORA.replace(loss="mnrl"), "ranking: a duplicate against the rest of its batch"),
}
