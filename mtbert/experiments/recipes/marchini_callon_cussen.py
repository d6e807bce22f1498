"""Marchini, Callon & Cussen, "PALs and Gradient Vaccine": Table 1, and the losses for similarity.

Each sentence of a pair is encoded on its own. Linear heads read pooler vectors, (u, v) for a pair, after dropout of .3.
Batches have 8 rows, and the learning rate is a constant 1e-5. Tasks are trained in round robin, except that Gradient
Vaccine needs a gradient of each task in every step. The report gives no beta for Gradient Vaccine: we take .01 from its
paper. Its epochs have 18,000 steps, so that every row is read; ours have as many steps as that takes. It does not say
how long the "1 epoch" of the losses was, nor whether the encoder of its baseline was frozen, as it is in Table 1: ours
is one pass over the similarity rows, and trains all layers. Its paraphrase head has two outputs and cross-entropy; ours
has one output and a sigmoid, which is the same model. It prints its ranking loss as p - log(e^n): we take this as an
abbreviation of the softmax. It gives no margin for the triplet loss: we take .5. Overall scores are printed as plain
means.
"""

from mtbert.experiments.recipes.entry import COURSE, Entry

_MULTITASK = COURSE.replace(
    encoding="bi",
    head={"sst": "linear", "quora": "concat", "sts": "concat_sigmoid"},
    pooling="pooler",
    sampler="round_robin",
    batch_size=8,
)
_STS = _MULTITASK.replace(tasks=("sts",), epochs=1)
_GRADVAC = {"sampler": "mixed", "surgery": "gradvac"}
_COSINE = {"head": {"sts": "cosine"}}
_PAL = {"adapter": "pal", "adapter_size": 204}

ROWS: dict[str, Entry] = {
    "baseline": Entry(_MULTITASK.replace(trainable="heads", sampler="sequential"), "only the heads, frozen encoder"),
    "naive-multitask": Entry(_MULTITASK, "all layers trained, tasks in round robin"),
    "gradvac": Entry(_MULTITASK.replace(**_GRADVAC), "with Gradient Vaccine"),
    "pals": Entry(_MULTITASK.replace(**_PAL), "with projected attention layers (PALs) of width 204"),
    "cosine": Entry(_MULTITASK.replace(**_COSINE), "with a cosine head for STS"),
    "combined": Entry(_MULTITASK.replace(**_PAL, **_GRADVAC, **_COSINE), "PALs, Gradient Vaccine and the cosine head"),
    "sts-concat": Entry(_STS, "similarity alone, a head on (u, v), after one epoch"),
    "sts-mnrl": Entry(_STS.replace(loss="mnrl_graded"), "the same with their multiple negatives ranking loss"),
    "sts-triplet": Entry(_STS.replace(loss="triplet"), "the same with the triplet loss"),
}
