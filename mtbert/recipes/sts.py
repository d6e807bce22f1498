"""Similarity alone: a recipe for each way to turn two sentences into a score, to train it, and to pool.

All come from one base, so that a recipe and ``sts-cosine`` differ in one thing. A loss that reads fewer rows reads them
more often: the steps are the same.
"""

from mtbert.recipes.entry import Entry
from mtbert.recipes.recipe import Recipe

_BI = Recipe(tasks=("sts",), encoding="bi", head="cosine", overlap="drop")
_CROSS = _BI.with_(encoding="cross", head="linear", lr=1e-4, epochs=6)
_FROZEN = {"option": "pretrain", "lr": 1e-3, "epochs": 10}
_STEPS = {"steps_per_epoch": 188}  # one pass over all rows
_QUORA = Recipe(tasks=("quora",), encoding="bi", head="cosine", overlap="drop", epochs=1, steps_per_epoch=400)

ROWS: dict[str, Entry] = {
    "sts-cosine": Entry(_BI, "similarity alone: two vectors, and the cosine between them"),
    "sts-cosine-shifted": Entry(_BI.with_(head="cosine_shifted"), "the cosine from -1 to 1 over the whole scale"),
    "sts-dot": Entry(_BI.with_(head="dot"), "the dot product in place of the cosine"),
    "sts-concat": Entry(_BI.with_(head="concat"), "the baseline that fails: a linear layer on (u, v)"),
    "sts-concat-sigmoid": Entry(_BI.with_(head="concat_sigmoid"), "the same, kept between 0 and 5 by a sigmoid"),
    "sts-concat-frozen": Entry(_BI.with_(head="concat", **_FROZEN), "the baseline on an encoder that stays as it is"),
    "sts-concat-two-layer": Entry(_BI.with_(head="concat_two_layer"), "two layers on (u, v)"),
    "sts-concat-diff": Entry(_BI.with_(head="concat_diff"), "a linear layer on (u, v, |u - v|)"),
    "sts-cross": Entry(_CROSS, "similarity alone: both sentences in one sequence"),
    "sts-cross-sigmoid": Entry(_CROSS.with_(head="linear_sigmoid"), "the same, kept between 0 and 5 by a sigmoid"),
    "sts-cross-relu": Entry(_CROSS.with_(head="two_layer_relu"), "the same under Cambronero and Meza's head"),
    "sts-mnrl": Entry(_BI.with_(loss="mnrl", **_STEPS), "pairs from 3 up must find each other in their batch"),
    "sts-mnrl-graded": Entry(_BI.with_(loss="mnrl_graded", **_STEPS), "one pair from 3 up against pairs below 3"),
    "sts-triplet": Entry(_BI.with_(loss="triplet", **_STEPS), "a sentence is nearer to its pair than to another row"),
    "sts-cosent": Entry(_BI.with_(loss="cosent"), "cosines in the order of the scores"),
    "sts-smart": Entry(_BI.with_(smart=1.0), "squared error, and SMART's smoothness term"),
    "sts-cls": Entry(_BI.with_(pooling="cls"), "the vector of [CLS]"),
    "sts-pooler": Entry(_BI.with_(pooling="pooler"), "the vector of [CLS] through BERT's pooler"),
    "sts-max": Entry(_BI.with_(pooling="max"), "the maximum over the tokens"),
    "quora-cosine": Entry(_QUORA, "paraphrase alone: a logit from the cosine"),
    "quora-mnrl": Entry(_QUORA.with_(loss="mnrl"), "duplicates must find each other in their batch"),
}
