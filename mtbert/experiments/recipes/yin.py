"""Yin, "PALs and MNRL": task-specific layers (Table 2), pooling (Table 3), MNRL (Table 4), a curriculum (Table 5).

The baseline is the course's: each sentence of a pair is encoded on its own, linear heads read CLS vectors, (u, v) for a
pair, and every epoch trains one task after the other. The report does not give the attention heads of its PALs; widths
of 128 and 256 are not multiples of BERT's twelve heads, so we take eight. Overall scores are printed in the normalized
form. The report does not say when the smaller sets join the curriculum: here they join at even intervals, oversampled
up to five times. It says both that the sets are trained one after the other and that the losses of the tasks are
summed: we do the former. MNRL trains the vectors but not the heads, so the linear heads of the pair tasks keep their
initial weights. The report does not say what MNRL ranks for single sentences: in our row with MNRL for all tasks, each
ranks the sentences of its own class above the others of its batch. No dropout is given for the heads: we take the
course's .3.
"""

from mtbert.experiments.recipes.entry import COURSE, Entry

_BASE = COURSE.replace(encoding="bi", head={"sst": "linear", "quora": "concat", "sts": "concat"}, sampler="sequential")
_PAL = _BASE.replace(adapter="pal", adapter_size=256, adapter_heads=8)
_LOW_RANK = _BASE.replace(adapter="low_rank", adapter_size=256)
_TOP = _LOW_RANK.replace(adapter="low_rank+top")

ROWS: dict[str, Entry] = {
    "baseline": Entry(_BASE, "no adapters"),
    "pal-128": Entry(_PAL.replace(adapter_size=128), "projected attention layers (PALs) of width 128"),
    "pal-256": Entry(_PAL, "projected attention layers (PALs) of width 256"),
    "pal-256-epochs-20": Entry(_PAL.replace(epochs=20), "PALs of width 256, trained twice as long"),
    "pal-2-projections": Entry(_PAL.replace(adapter_projections=2), "with two matrices per projection"),
    "pal-3-projections": Entry(_PAL.replace(adapter_projections=3), "with three matrices per projection"),
    "low-rank": Entry(_LOW_RANK, "low-rank layers of width 256"),
    "low-rank-top": Entry(_TOP, "low-rank layers and a top layer per task; CLS vectors"),
    "low-rank-top-mean": Entry(_TOP.replace(pooling="mean"), "the same with mean pooling"),
    "low-rank-top-max": Entry(_TOP.replace(pooling="max"), "the same with max pooling"),
    "low-rank-top-mean-mnrl-pairs": Entry(
        _TOP.replace(pooling="mean", loss={"quora": "mnrl", "sts": "mnrl"}),
        "mean pooling, with the ranking loss MNRL for both pair tasks",
    ),
    "low-rank-top-mean-mnrl-all": Entry(
        _TOP.replace(pooling="mean", loss={"sst": "supervised_contrastive", "quora": "mnrl", "sts": "mnrl"}),
        "mean pooling, with ranking losses for all tasks",
    ),
    "low-rank-top-mean-curriculum": Entry(
        _TOP.replace(pooling="mean", sampler="oversampled_curriculum"),
        "mean pooling; Quora first, then the others join, oversampled (Table 5)",
    ),
}
