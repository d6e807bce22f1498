"""Yin, "PALs and MNRL": task-specific layers (Table 2), pooling (Table 3), MNRL (Table 4), a curriculum
(Table 5).

The course's baseline: CLS vectors, each sentence of a pair on its own, linear heads on (u, v), the tasks one after the
other in every epoch. The report leaves the heads of its PALs open; 128 and 256 are no multiples of BERT's twelve, so
eight are taken here. Overall scores are printed in the normalised form. When the smaller sets join the curriculum is
not said: here at equal distances, up to five times oversampled. The report says that the sets are trained one after the
other, and that the losses of the tasks are summed: here the former. MNRL trains vectors and no head: the linear heads
of the pair tasks then stay as they were drawn. What it would rank for single sentences is not said either, so that the
row with MNRL for all tasks has no recipe.
"""

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe

BASE = Recipe(
    encoder="bert-base-uncased",
    encoding="bi",
    head={"sst": "linear", "quora": "concat", "sts": "concat"},
    pooling="cls",
    sampler="sequential",
    overlap="drop",
    epochs=10,
    lr=1e-5,
    lr_schedule="constant",
    warmup_ratio=0,
    max_grad_norm=0,
    head_dropout=0.3,
)
_PAL = BASE.replace(adapter="pal", adapter_size=256, adapter_heads=8)
_LOW_RANK = BASE.replace(adapter="low_rank", adapter_size=256)
LOW_RANK_TOP = _LOW_RANK.replace(adapter="low_rank+top")

ROWS: dict[str, Entry] = {
    "baseline": Entry(BASE, "no adapters"),
    "pal-128": Entry(_PAL.replace(adapter_size=128), "projected attention layers of 128"),
    "pal-256": Entry(_PAL, "projected attention layers of 256"),
    "pal-256-epochs-20": Entry(_PAL.replace(epochs=20), "the same for twice as long"),
    "pal-2-projections": Entry(_PAL.replace(adapter_projections=2), "projections of two matrices"),
    "pal-3-projections": Entry(_PAL.replace(adapter_projections=3), "projections of three matrices"),
    "low-rank": Entry(_LOW_RANK, "low-rank layers of 256"),
    "low-rank-top": Entry(LOW_RANK_TOP, "low-rank layers, and a layer of its own on top for each task; CLS vectors"),
    "low-rank-top-mean": Entry(LOW_RANK_TOP.replace(pooling="mean"), "the same with mean pooling"),
    "low-rank-top-max": Entry(LOW_RANK_TOP.replace(pooling="max"), "the same with max pooling"),
    "low-rank-top-mean-mnrl-pairs": Entry(
        LOW_RANK_TOP.replace(pooling="mean", loss={"quora": "mnrl", "sts": "mnrl"}),
        "the same with the ranking loss MNRL for both pair tasks",
    ),
    "low-rank-top-mean-curriculum": Entry(
        LOW_RANK_TOP.replace(pooling="mean", sampler="oversampled_curriculum"),
        "the same with oversampling, Quora first and the others joining (Table 5)",
    ),
}
