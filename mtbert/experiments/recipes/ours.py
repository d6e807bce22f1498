"""Our own named recipes: small ones to check that everything works, and those that the notebooks run.

``best`` combines what we learned about sst, quora and sts in one model of at most 34 million parameters, and
``best-cfimdb`` does so for CFIMDB. The other ``best-`` recipes are compared with ``best``, on dev only. Its choices:

encoder: e5-small, which is as wide as minilm and twice as deep, gave the higher similarity (.895 against .879 in
sts-cosine).
encoding: both questions of Quora in one sequence (Cambronero and Meza print .854, against .709 for two sequences); the
sentences of STS in two, under a cosine (.879, against .867 in one sequence), and in one as well, whose vector corrects
the cosine: beside Quora's pairs, which are read in the same way, that added .005 (.888, against .883).
pooling: mean (.874 in sts-short, against .843 for [CLS]).
lr: 1e-4, with which SST alone reached .500 in three epochs, and Quora .805 in the 300 steps of strategy-proportional.
sampler: one task per step, because with equally many rows Quora reached .787, against .712 in strategy-mixed. Tasks are
drawn in proportion to N^.8, where N is the number of rows. In 300 steps, drawing by N gave Quora .805 and SST .308, by
the square root .786 and .403, evenly .787 and .415. In 6,000 steps of 32 rows, N^.8 reads Quora about twice and the
others about three times; they should not be read more often, since SST alone peaked after one or two of three epochs.
ema_decay, layerwise_lr_decay: a moving average of the weights and lower rates for lower layers; together they raised
STS from .876 to .886 in 3,000 steps.
rdrop_weight: 1 for SST, whose few rows are soon memorized; the second pass costs little on 13 % of the steps.
loss: the default ones; MNRL trains no head and left Quora at .517.
head_dropout: .1; .3 and .5 gained nothing in 300 steps.
surgery: none, because PCGrad's +.007 was measured in early steps only; best-pcgrad asks whether it lasts.
smart_weight: none, because SMART's two extra passes through the encoder gave +.003 in one short run of STS; best-smart
tries a long run.
augment_copies and Yelp stars: none, because the reports' rows with them are no better than those without.
"""

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe

MIXED = Recipe(overlap="drop", batch_size={"sst": 8, "quora": 32, "sts": 8}, epochs=4)
# few rows: a high learning rate, and pairs bi-encoded because this encoder compares vectors well from the start
_DEMO = Recipe(
    epochs=2,
    lr=2e-4,
    encoding="bi",
    head={"quora": "concat_diff", "sts": "cosine"},
    batch_size={"sst": 24, "quora": 32, "sts": 16},
)
# one task on its own; "last layer" is the course's name for training only the head
_SST = Recipe(tasks=("sst",), overlap="drop", lr=1e-4)
_CFIMDB = _SST.replace(tasks=("cfimdb",), batch_size=8, lr=5e-5)
_LAST_LAYER = {"trainable": "heads", "lr": 1e-3, "epochs": 10}
_TUNED = {"lr": 3e-3}  # on real SST .435, against .423 at 1e-3 (single_task.csv and learning_rates.csv in data/results)
# small enough to ship: adapters and heads on a frozen encoder. It was trained to compare vectors, so each sentence of a
# pair is encoded on its own
_WORKBOOK = Recipe(
    tasks=("sst", "quora", "sts", "cfimdb"),
    trainable="adapters",
    adapter="houlsby",
    adapter_size=64,
    encoding="bi",
    head={"quora": "concat_diff", "sts": "cosine"},
    overlap="drop",
    sampler="temperature",
    temperature=2.5,
    batch_size={"sst": 16, "quora": 32, "sts": 16, "cfimdb": 8},
    epochs=4,
    steps_per_epoch=1400,
    lr=1e-3,
    dev_rows=4000,
)
# at most 34 million parameters; bfloat16 wherever it is fast, as on a GPU
_BEST = Recipe(
    encoder="intfloat/e5-small",
    encoding={"sts": "both"},
    head={"sts": "cosine_and_cross"},
    overlap="drop",
    sampler="temperature",
    temperature=1.25,
    epochs=4,
    steps_per_epoch=1500,
    lr=1e-4,
    layerwise_lr_decay=0.9,
    ema_decay=0.999,
    rdrop_weight={"sst": 1.0},
    precision="auto",
)
# surgery needs a gradient of each task in every step: batch sizes in proportion to the sets, to read all equally often
_BEST_PCGRAD = _BEST.replace(
    sampler="mixed", surgery="pcgrad", batch_size={"sst": 4, "quora": 32, "sts": 3}, epochs=4, steps_per_epoch=None
)
# one family for notebook 09: all take the same number of steps of 24 rows, so that only the strategy differs
_STRATEGY = MIXED.replace(batch_size=24, lr=1e-4, epochs=3, steps_per_epoch=100)
_LARGEST_FIRST = _STRATEGY.replace(tasks=("quora", "sst", "sts"), sampler="sequential")
_ALL_AT_ONCE = _STRATEGY.replace(batch_size=8)
_TWO_STAGES = _STRATEGY.replace(
    tasks=("sst", "quora"), sampler="stages", epochs=4, steps_per_epoch=75, lr_schedule="constant"
)
_AUGMENTED = {"augment_copies": {"sst": 9}, "augment_fraction": 0.15}
_FEW_ROWS = _SST.replace(train_rows=1000, batch_size=24, epochs=8, steps_per_epoch=42, lr_schedule="constant")

ROWS: dict[str, Entry] = {
    "demo": Entry(_DEMO, "three tasks on the sample data, in every step; about three minutes on two cores"),
    "tiny": Entry(
        Recipe(encoder="tiny", epochs=2, steps_per_epoch=6, batch_size=4, lr=1e-3),
        "a random two-layer encoder for a few steps, to check that everything works",
    ),
    "sst": Entry(_SST, "sentiment alone, all layers trained"),
    "sst-last-layer": Entry(_SST.replace(**_LAST_LAYER | _TUNED), "sentiment alone, frozen encoder"),
    "cfimdb": Entry(_CFIMDB, "long reviews alone, all layers trained"),
    "cfimdb-last-layer": Entry(_CFIMDB.replace(**_LAST_LAYER | _TUNED), "long reviews alone, frozen encoder"),
    "heads": Entry(
        Recipe(encoding="bi", head={"quora": "concat_diff", "sts": "cosine"}, overlap="drop", **_LAST_LAYER),
        "only the heads, on cached features of a frozen encoder: takes seconds",
    ),
    "workbook": Entry(_WORKBOOK, "four tasks in adapters of a frozen encoder: the model that comes with mtbert"),
    "mixed": Entry(MIXED, "three tasks on real data, a batch of each in every step"),
    "mixed-plain": Entry(MIXED.replace(surgery="sum"), "the same with a gradient per task, summed: shows conflicts"),
    "mixed-pcgrad": Entry(MIXED.replace(surgery="pcgrad"), "the same with gradient surgery (PCGrad)"),
    "mixed-gradvac": Entry(MIXED.replace(surgery="gradvac"), "the same with Gradient Vaccine"),
    "best": Entry(_BEST, "everything learned, in one model of three tasks"),
    "best-minilm": Entry(
        _BEST.replace(encoder="minilm"), "the same on minilm; we ran 3,000 steps of an earlier version"
    ),
    "best-pcgrad": Entry(_BEST_PCGRAD, "the same with all tasks in every step and gradient surgery; not run"),
    "best-smart": Entry(
        _BEST.replace(rdrop_weight=0.0, smart_weight={"sst": 1.0, "sts": 1.0}),
        "the same with SMART on the small sets, in place of R-Drop; not run",
    ),
    "best-cfimdb": Entry(
        _CFIMDB.replace(encoder="intfloat/e5-small", epochs=5, precision="auto"),
        "long reviews with the encoder of best, for longer: a minilm run peaked in its last epoch; not run",
    ),
    "round_robin": Entry(MIXED.replace(sampler="round_robin"), "three tasks on real data, one task per step"),
    "sequential": Entry(MIXED.replace(sampler="sequential"), "three tasks on real data, one after the other"),
    "strategy-proportional": Entry(_STRATEGY.replace(sampler="proportional"), "tasks drawn in proportion to rows"),
    "strategy-square-root": Entry(_STRATEGY.replace(sampler="square_root"), "in proportion to the square root of rows"),
    "strategy-annealed": Entry(_STRATEGY.replace(sampler="annealed"), "in proportion at first, almost evenly at last"),
    "strategy-temperature": Entry(_STRATEGY.replace(sampler="temperature"), "in proportion to the fifth root of rows"),
    "strategy-oversampled": Entry(_STRATEGY.replace(sampler="oversampled"), "small sets count up to five times"),
    "strategy-curriculum": Entry(_STRATEGY.replace(sampler="curriculum"), "Quora first, then SST and STS join"),
    "strategy-oversampled-curriculum": Entry(
        _STRATEGY.replace(sampler="oversampled_curriculum"), "Quora first, then SST and STS join, oversampled"
    ),
    "strategy-sequential": Entry(_LARGEST_FIRST, "in every epoch Quora, then SST, then STS"),
    "strategy-sequential-reversed": Entry(
        _LARGEST_FIRST.replace(tasks=("sts", "sst", "quora")), "in every epoch STS, then SST, then Quora"
    ),
    "strategy-separate-optimizers": Entry(
        _LARGEST_FIRST.replace(optimizer_state="per_task"), "in every epoch Quora, SST, STS, an optimizer for each"
    ),
    "strategy-alone-first": Entry(
        _ALL_AT_ONCE.replace(sampler="alone_first", epochs=2, steps_per_epoch=150), "SST alone, STS alone, then mixed"
    ),
    "strategy-round-robin": Entry(_STRATEGY.replace(sampler="round_robin"), "tasks in round robin"),
    "strategy-mixed": Entry(_ALL_AT_ONCE, "8 rows of each task in every step"),
    "strategy-round-robin-unclipped": Entry(
        _STRATEGY.replace(sampler="round_robin", max_grad_norm=0), "tasks in round robin, unclipped gradients"
    ),
    "strategy-mixed-unclipped": Entry(
        _ALL_AT_ONCE.replace(max_grad_norm=0), "8 rows of each task in every step, unclipped"
    ),
    "strategy-auxiliary": Entry(
        _ALL_AT_ONCE.replace(tasks=("sst", "quora", "sts", "yelp"), batch_size=8), "the same with 8 rows of Yelp stars"
    ),
    "strategy-augmented": Entry(
        _ALL_AT_ONCE.replace(**_AUGMENTED), "8 rows of each task, SST with nine augmented copies"
    ),
    "strategy-length-grouped": Entry(
        _STRATEGY.replace(sampler="round_robin", tokens_per_batch=700), "round robin, 700 tokens of similar length"
    ),
    "forgetting": Entry(_TWO_STAGES, "SST alone, then Quora alone"),
    "forgetting-control": Entry(_TWO_STAGES.replace(sampler="round_robin"), "SST and Quora in round robin"),
    "few-rows": Entry(_FEW_ROWS, "1,000 rows of SST, eight epochs"),
    "few-rows-augmented": Entry(_FEW_ROWS.replace(**_AUGMENTED), "the same rows and nine augmented copies of each"),
}
