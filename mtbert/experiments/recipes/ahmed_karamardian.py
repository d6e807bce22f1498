"""Ahmed & Karamardian, "Multi-Task Learning With a BERT-y Good Model": one task at a time (Table 1), then all three
(Table 2).

The heads have two layers and read CLS vectors; their width (ours is the encoder's) and activation (ours is GELU) are
not said. Where the report gives no learning rate, batch size or number of epochs, we take the course's. The baseline of
Table 2 trained its heads one by one for two epochs; ours trains all layers, one task after the other. Iterations 2 and
3 train sentiment and similarity alone for five epochs each, then all tasks together for five. Their score for
similarity is five times the cosine between what the two-layer head makes of either sentence, and may be negative. Their
paraphrase head has two outputs and cross-entropy; ours has one output and a sigmoid, which is the same model.
"""

from mtbert.experiments.recipes.entry import COURSE, Entry

_SST = COURSE.replace(tasks=("sst",), head="two_layer", batch_size=64)
_CFIMDB = _SST.replace(tasks=("cfimdb",), batch_size=8)
_THREE = _SST.replace(
    tasks=("sst", "quora", "sts"),
    encoding="bi",
    batch_size=32,
    sampler="alone_first",
    head={"sst": "two_layer", "quora": "concat_two_layer", "sts": "cosine_two_layer"},
)
_CONCAT = _THREE.replace(sampler="mixed", epochs=2, head={"sts": "concat_two_layer"})
_FROZEN = {"trainable": "heads", "lr": 1e-3}

ROWS: dict[str, Entry] = {
    "sst-pretrain": Entry(_SST.replace(**_FROZEN), "sentiment, frozen encoder"),
    "sst-finetune": Entry(_SST, "sentiment, all layers trained"),
    "cfimdb-pretrain": Entry(_CFIMDB.replace(**_FROZEN), "long reviews, frozen encoder"),
    "cfimdb-finetune": Entry(_CFIMDB, "long reviews, all layers trained"),
    "baseline": Entry(_CONCAT.replace(sampler="sequential"), "one task after the other"),
    "iteration-1": Entry(_CONCAT.replace(sampler="mixed"), "all tasks in every step"),
    "iteration-2": Entry(_THREE, "two tasks alone, then all of them; a cosine head for similarity"),
    "iteration-3": Entry(_THREE.replace(surgery="pcgrad"), "the same with gradient surgery (PCGrad)"),
}
