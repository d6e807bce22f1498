"""Ahmed & Karamardian, "Multitask BERT": one task at a time (Table 1), then all three (Table 2).

CLS vectors and a two-layer head; learning rates, batch sizes and epochs are the course's where the report is silent.
Iterations 2 and 3 train sentiment and similarity alone for five epochs each, then all tasks mixed for five. Their
cosine is that of the last layers; here it is that of the vectors.
"""

from mtbert.recipes.entry import Entry
from mtbert.recipes.recipe import Recipe

_SST = Recipe(
    tasks=("sst",), encoder="bert-base-uncased", head="two_layer", pooling="cls", batch_size=64, epochs=10,
    lr=1e-5, decay="constant", warmup=0, clip=0, head_dropout=0.3, overlap="drop",
)  # fmt: skip
_CFIMDB = _SST.with_(tasks=("cfimdb",), batch_size=8)
_THREE = _SST.with_(
    tasks=("sst", "quora", "sts"), encoding="bi", batch_size=32, sampler="alone_first",
    head={"sst": "two_layer", "quora": "concat_two_layer", "sts": "cosine"},
)  # fmt: skip
_FROZEN = {"option": "pretrain", "lr": 1e-3}

ROWS: dict[str, Entry] = {
    "sst-pretrain": Entry(_SST.with_(**_FROZEN), "sentiment, encoder frozen", {"sst": 0.399}),
    "sst-finetune": Entry(_SST, "sentiment, every layer trained", {"sst": 0.525}),
    "cfimdb-pretrain": Entry(_CFIMDB.with_(**_FROZEN), "long reviews, encoder frozen", {"cfimdb": 0.796}),
    "cfimdb-finetune": Entry(_CFIMDB, "long reviews, every layer trained", {"cfimdb": 0.967}),
    "iteration-1": Entry(
        _THREE.with_(sampler="mixed", epochs=2, head={"sts": "concat_two_layer"}), "all tasks mixed",
        {"sst": 0.514, "quora": 0.669, "sts": 0.331, "overall": 0.504},
    ),
    "iteration-2": Entry(
        _THREE, "two tasks alone, then all; cosine for similarity",
        {"sst": 0.499, "quora": 0.791, "sts": 0.728, "overall": 0.673},
    ),
    "iteration-3": Entry(
        _THREE.with_(surgery="pcgrad"), "the same with gradient surgery",
        {"sst": 0.484, "quora": 0.803, "sts": 0.746, "overall": 0.678},
    ),
}  # fmt: skip
