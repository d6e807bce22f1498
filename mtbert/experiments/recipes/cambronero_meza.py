"""Cambronero & Meza, "Three Heads are Better Than One": a head made for each task, noisy copies (EDA), surgery.

Batches of 8 and a constant rate of 1e-5, one task a step; with surgery half of both, and all tasks in a step. The
report does not say which vector its heads read: here it is that of [CLS], and all tokens for the convolution. Copies
are nine of each row of SST and STS, labels and similarities kept. The row "Aug 80%" seems to print its three scores
in another order than its columns. It names the squared error as the loss of sentiment and cross-entropy as that of
similarity; here they are the other way round.
"""

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe

_PLAIN_HEADS = Recipe(
    encoder="bert-base-uncased",
    encoding="bi",
    head={"sst": "linear", "quora": "concat", "sts": "concat_sigmoid"},
    pooling="cls",
    sampler="round_robin",
    batch_size=8,
    epochs=10,
    lr=1e-5,
    lr_schedule="constant",
    warmup_ratio=0,
    max_grad_norm=0,
    head_dropout=0.3,
    overlap="drop",
)
_THREE_HEADS = _PLAIN_HEADS.replace(
    encoding="cross", head={"sst": "convolution", "quora": "two_layer_relu", "sts": "two_layer_relu"}
)
_SURGERY = _THREE_HEADS.replace(surgery="pcgrad", sampler="mixed", batch_size=4, lr=5e-6)


def _eda(base: Recipe, percent: int) -> Recipe:
    return base.replace(augment_copies={"sst": 9, "sts": 9}, augment_fraction=percent / 100, augment_scores="keep")


ROWS: dict[str, Entry] = {
    "baseline-heads": Entry(_PLAIN_HEADS, "linear heads, on (u, v) for a pair"),
    "baseline-heads-eda-15": Entry(_eda(_PLAIN_HEADS, 15), "with copies, 15 % changed"),
    "baseline-heads-eda-20": Entry(_eda(_PLAIN_HEADS, 20), "with copies, 20 % changed"),
    "baseline-heads-eda-40": Entry(_eda(_PLAIN_HEADS, 40), "with copies, 40 % changed"),
    "task-heads": Entry(_THREE_HEADS, "a convolution for sentiment, two layers on cross-encoded pairs"),
    "task-heads-eda-15": Entry(_eda(_THREE_HEADS, 15), "with copies, 15 % changed"),
    "task-heads-eda-20": Entry(_eda(_THREE_HEADS, 20), "with copies, 20 % changed"),
    "task-heads-eda-40": Entry(_eda(_THREE_HEADS, 40), "with copies, 40 % changed"),
    "task-heads-eda-80": Entry(_eda(_THREE_HEADS, 80), "with copies, 80 % changed"),
    "surgery": Entry(_SURGERY, "the heads made for each task, with PCGrad"),
    "surgery-eda-15": Entry(_eda(_SURGERY, 15), "with copies, 15 % changed"),
    "surgery-eda-20": Entry(_eda(_SURGERY, 20), "with copies, 20 % changed"),
    "surgery-eda-40": Entry(_eda(_SURGERY, 40), "with copies, 40 % changed"),
}
