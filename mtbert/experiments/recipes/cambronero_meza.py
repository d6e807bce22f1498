"""Cambronero & Meza, "Three Heads are Better Than One": task-specific heads, augmented copies (EDA) and gradient
surgery.

Batches have 8 rows of one task, and the learning rate is a constant 1e-5; with surgery both are halved, and every step
has all tasks. The report does not say which vectors its heads read: ours read [CLS], and the convolution reads all
tokens. Nine copies are made of each row of SST and STS, and they keep their labels, similarities included. The row
"Aug 80%" seems to print its three scores in a different order from the columns. The report names squared error as the
loss of sentiment and cross-entropy as the loss of similarity; we swap them.
"""

from mtbert.experiments.recipes.entry import COURSE, Entry
from mtbert.training.recipe import Recipe

_PLAIN_HEADS = COURSE.replace(
    encoding="bi",
    head={"sst": "linear", "quora": "concat", "sts": "concat_sigmoid"},
    sampler="round_robin",
    batch_size=8,
)
_THREE_HEADS = _PLAIN_HEADS.replace(
    encoding="cross", head={"sst": "convolution", "quora": "two_layer_relu", "sts": "two_layer_relu"}
)
_SURGERY = _THREE_HEADS.replace(surgery="pcgrad", sampler="mixed", batch_size=4, lr=5e-6)


def _eda(base: Recipe, percent: int) -> Recipe:
    return base.replace(augment_copies={"sst": 9, "sts": 9}, augment_fraction=percent / 100, augment_scores="keep")


ROWS: dict[str, Entry] = {
    "baseline-heads": Entry(_PLAIN_HEADS, "linear heads; for a pair, on (u, v)"),
    "baseline-heads-eda-15": Entry(_eda(_PLAIN_HEADS, 15), "with augmented copies, 15% of the words changed"),
    "baseline-heads-eda-20": Entry(_eda(_PLAIN_HEADS, 20), "with augmented copies, 20% of the words changed"),
    "baseline-heads-eda-40": Entry(_eda(_PLAIN_HEADS, 40), "with augmented copies, 40% of the words changed"),
    "task-heads": Entry(_THREE_HEADS, "a convolution for sentiment, two-layer heads on cross-encoded pairs"),
    "task-heads-eda-15": Entry(_eda(_THREE_HEADS, 15), "with augmented copies, 15% of the words changed"),
    "task-heads-eda-20": Entry(_eda(_THREE_HEADS, 20), "with augmented copies, 20% of the words changed"),
    "task-heads-eda-40": Entry(_eda(_THREE_HEADS, 40), "with augmented copies, 40% of the words changed"),
    "task-heads-eda-80": Entry(_eda(_THREE_HEADS, 80), "with augmented copies, 80% of the words changed"),
    "surgery": Entry(_SURGERY, "the task-specific heads, with PCGrad"),
    "surgery-eda-15": Entry(_eda(_SURGERY, 15), "with augmented copies, 15% of the words changed"),
    "surgery-eda-20": Entry(_eda(_SURGERY, 20), "with augmented copies, 20% of the words changed"),
    "surgery-eda-40": Entry(_eda(_SURGERY, 40), "with augmented copies, 40% of the words changed"),
}
