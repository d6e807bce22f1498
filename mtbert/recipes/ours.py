"""Our own named experiments: small ones to see that everything works, and those that the notebooks run."""

from mtbert.recipes.entry import Entry
from mtbert.recipes.recipe import Recipe

MIXED = Recipe(overlap="drop", batch_size={"sst": 8, "quora": 32, "sts": 8}, epochs=4)
# few rows: a high learning rate, and pairs bi-encoded, since this encoder compares vectors well from the start
_DEMO = Recipe(
    epochs=2,
    lr=2e-4,
    encoding="bi",
    head={"quora": "concat_diff", "sts": "cosine"},
    batch_size={"sst": 24, "quora": 32, "sts": 16},
)
# one task end to end; "last layer" is the course's name for training the head alone
_SST = Recipe(tasks=("sst",), overlap="drop", lr=1e-4)
_CFIMDB = _SST.with_(tasks=("cfimdb",), batch_size=8, lr=5e-5)
_LAST_LAYER = {"option": "pretrain", "lr": 1e-3, "epochs": 10}

ROWS: dict[str, Entry] = {
    "demo": Entry(_DEMO, "three tasks on the sample data, mixed, about three minutes on two cores"),
    "tiny": Entry(
        Recipe(encoder="tiny", epochs=2, steps_per_epoch=6, batch_size=4, lr=1e-3),
        "a random two-layer encoder for a few steps: to see that everything works",
    ),
    "sst": Entry(_SST, "sentiment alone, every layer trained"),
    "sst-last-layer": Entry(_SST.with_(**_LAST_LAYER), "sentiment alone, encoder frozen"),
    "cfimdb": Entry(_CFIMDB, "long reviews alone, every layer trained"),
    "cfimdb-last-layer": Entry(_CFIMDB.with_(**_LAST_LAYER), "long reviews alone, encoder frozen"),
    "heads": Entry(
        Recipe(option="pretrain", encoding="bi", head={"sst": "linear", "quora": "concat_diff", "sts": "cosine"},
               lr=1e-3, epochs=10, overlap="drop"),
        "encoder frozen, heads on cached features: seconds",
    ),
    "mixed": Entry(MIXED, "three tasks on real data, one batch of each in every step"),
    "mixed-plain": Entry(MIXED.with_(surgery="plain"), "the same, a backward per task: to see how gradients meet"),
    "mixed-pcgrad": Entry(MIXED.with_(surgery="pcgrad"), "the same with gradient surgery (PCGrad)"),
    "mixed-gradvac": Entry(MIXED.with_(surgery="gradvac"), "the same with Gradient Vaccine"),
    "round_robin": Entry(MIXED.with_(sampler="round_robin"), "three tasks on real data, one task a step"),
    "sequential": Entry(MIXED.with_(sampler="sequential"), "three tasks on real data, one after the other"),
}  # fmt: skip
