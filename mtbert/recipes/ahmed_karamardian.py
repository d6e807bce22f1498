"""Ahmed & Karamardian, "Multitask BERT": one task at a time (Table 1).

CLS vectors and a two-layer head; learning rates, batch sizes and epochs are the course's.
"""

from mtbert.recipes.entry import Entry
from mtbert.recipes.recipe import Recipe

_SST = Recipe(
    tasks=("sst",), encoder="bert-base-uncased", head="two_layer", pooling="cls", batch_size=64, epochs=10,
    lr=1e-5, decay="constant", warmup=0, clip=0, head_dropout=0.3, overlap="drop",
)  # fmt: skip
_CFIMDB = _SST.with_(tasks=("cfimdb",), batch_size=8)
_FROZEN = {"option": "pretrain", "lr": 1e-3}

ROWS: dict[str, Entry] = {
    "sst-pretrain": Entry(_SST.with_(**_FROZEN), "sentiment, encoder frozen", {"sst": 0.399}),
    "sst-finetune": Entry(_SST, "sentiment, every layer trained", {"sst": 0.525}),
    "cfimdb-pretrain": Entry(_CFIMDB.with_(**_FROZEN), "long reviews, encoder frozen", {"cfimdb": 0.796}),
    "cfimdb-finetune": Entry(_CFIMDB, "long reviews, every layer trained", {"cfimdb": 0.967}),
}
