"""Similarity alone: a recipe for each way to turn two sentences into a score, to train it, and to pool.

Each recipe of a table differs from ``sts-short`` in one thing. A loss that reads fewer rows reads them more often, so
that the steps are the same.
"""

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe

_BI = Recipe(tasks=("sts",), encoding="bi", head="cosine", overlap="drop")
_CROSS = _BI.replace(encoding="cross", head="linear", lr=1e-4, epochs=6)
# what the tables compare: a short run of each, 188 steps, which is one pass over all rows
_SHORT = _BI.replace(epochs=1, steps_per_epoch=188)
_SHORT_CROSS = _CROSS.replace(epochs=1, steps_per_epoch=188)
_FROZEN = {"trainable": "heads", "lr": 1e-3, "epochs": 10, "steps_per_epoch": None}
_QUORA = Recipe(tasks=("quora",), encoding="bi", head="cosine", overlap="drop", epochs=1, steps_per_epoch=400)

ROWS: dict[str, Entry] = {
    "sts-cosine": Entry(_BI, "similarity alone: two vectors, and the cosine between them"),
    "sts-cross": Entry(_CROSS, "similarity alone: both sentences in one sequence"),
    "sts-short": Entry(_SHORT, "the cosine in one epoch: what the recipes below are compared with"),
    "sts-short-cross": Entry(_SHORT_CROSS, "both sentences in one sequence, one epoch"),
    # heads
    "sts-cosine-shifted": Entry(_SHORT.replace(head="cosine_shifted"), "the cosine from -1 to 1 over the whole scale"),
    "sts-dot": Entry(_SHORT.replace(head="dot"), "the dot product in place of the cosine"),
    "sts-concat": Entry(_SHORT.replace(head="concat"), "the baseline that fails: a linear layer on (u, v)"),
    "sts-concat-sigmoid": Entry(_SHORT.replace(head="concat_sigmoid"), "the same, kept between 0 and 5 by a sigmoid"),
    "sts-concat-frozen": Entry(_SHORT.replace(head="concat", **_FROZEN), "the same on an encoder that stays as it is"),
    "sts-concat-two-layer": Entry(_SHORT.replace(head="concat_two_layer"), "two layers on (u, v)"),
    "sts-concat-diff": Entry(_SHORT.replace(head="concat_diff"), "a linear layer on (u, v, |u - v|)"),
    "sts-cross-sigmoid": Entry(_SHORT_CROSS.replace(head="linear_sigmoid"), "in one sequence, 5 times a sigmoid"),
    "sts-cross-relu": Entry(_SHORT_CROSS.replace(head="two_layer_relu"), "in one sequence, Cambronero and Meza's head"),
    # losses
    "sts-mnrl": Entry(_SHORT.replace(loss="mnrl"), "pairs from 3 up must find each other in their batch"),
    "sts-mnrl-graded": Entry(_SHORT.replace(loss="mnrl_graded"), "one pair from 3 up against pairs below 3"),
    "sts-triplet": Entry(_SHORT.replace(loss="triplet"), "a sentence is nearer to its pair than to another row"),
    "sts-cosent": Entry(_SHORT.replace(loss="cosent"), "cosines in the order of the scores"),
    "sts-concat-mnrl": Entry(_SHORT.replace(head="concat", loss="mnrl"), "a loss that trains the vectors and no head"),
    "sts-concat-graded": Entry(
        _SHORT.replace(head="concat", loss="mnrl_graded"), "a ranking loss on what the concatenation predicts"
    ),
    "sts-smart": Entry(_SHORT.replace(smart_weight=1.0), "squared error, and SMART's smoothness term"),
    # pooling
    "sts-cls": Entry(_SHORT.replace(pooling="cls"), "the vector of [CLS]"),
    "sts-pooler": Entry(_SHORT.replace(pooling="pooler"), "the vector of [CLS] through BERT's pooler"),
    "sts-max": Entry(_SHORT.replace(pooling="max"), "the maximum over the tokens"),
    # where a ranking loss belongs
    "quora-cosine": Entry(_QUORA, "paraphrase alone: a logit from the cosine"),
    "quora-mnrl": Entry(_QUORA.replace(loss="mnrl"), "duplicates must find each other in their batch"),
}
