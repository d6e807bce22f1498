"""Marchini, Callon & Cussen, "PALs and Gradient Vaccine": Table 1, and what they print of losses for similarity.

Pooler vectors, each sentence of a pair on its own, dropout .3 before linear heads on (u, v), batches of 8, a constant
rate of 1e-5. The tasks take turns; Gradient Vaccine needs one gradient of each task in every step, so there they are
mixed. Its beta is not given: the paper's .01 is taken here. An epoch of theirs has 18,000 steps, for each row to be
seen; here as many as that takes. How long the "1 epoch" of the losses was they do not say: here it is one pass over the
similarity rows. Their ranking loss is printed as p - log(e^n): here it is the softmax that this seems to abbreviate.
The margin of the triplet loss is not given: here .5. Overall scores are printed as plain means.
"""

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe

MULTITASK = Recipe(
    encoder="bert-base-uncased",
    encoding="bi",
    head={"sst": "linear", "quora": "concat", "sts": "concat_sigmoid"},
    pooling="pooler",
    sampler="round_robin",
    batch_size=8,
    overlap="drop",
    epochs=10,
    lr=1e-5,
    lr_schedule="constant",
    warmup_ratio=0,
    max_grad_norm=0,
    head_dropout=0.3,
)
_STS = MULTITASK.replace(tasks=("sts",), epochs=1)
_GRADVAC = {"sampler": "mixed", "surgery": "gradvac"}
_COSINE = {"head": {"sts": "cosine"}}
_PAL = {"adapter": "pal", "adapter_size": 204}

ROWS: dict[str, Entry] = {
    "baseline": Entry(MULTITASK.replace(trainable="heads", sampler="sequential"), "heads alone on a frozen encoder"),
    "naive-multitask": Entry(MULTITASK, "every layer trained, the tasks in turn"),
    "gradvac": Entry(MULTITASK.replace(**_GRADVAC), "with Gradient Vaccine"),
    "pals": Entry(MULTITASK.replace(**_PAL), "with projected attention layers of 204"),
    "cosine": Entry(MULTITASK.replace(**_COSINE), "with a cosine head for STS"),
    "combined": Entry(MULTITASK.replace(**_PAL, **_GRADVAC, **_COSINE), "PALs, Gradient Vaccine and the cosine head"),
    "sts-concat": Entry(_STS, "similarity alone, the concatenation, after one epoch"),
    "sts-mnrl": Entry(_STS.replace(loss="mnrl_graded"), "the same with their multiple negatives ranking loss"),
    "sts-triplet": Entry(_STS.replace(loss="triplet"), "the same with the triplet loss"),
}
