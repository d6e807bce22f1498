"""Our own named experiments: small ones to see that everything works, and those that the notebooks run.

``best`` combines what was learnt for sst, quora and sts in one model of at most 34 million parameters, ``best-cfimdb``
does so for CFIMDB, and the other ``best-`` recipes are what ``best`` is weighed against, on dev alone. Their choices:

encoder: e5-small, twice as deep as minilm and as wide, gave the higher similarity (.895 against .879 in sts-cosine).
encoding: both questions of Quora in one sequence (Cambronero and Meza print .854, and .709 for two); the sentences of
STS apart, under a cosine (.879, and .867 in one sequence).
pooling: the mean (.874 in sts-short, and .843 for [CLS]).
lr: 1e-4, at which SST alone reached .500 in three passes, and Quora .805 in strategy-proportional's 300 steps.
sampler: one task a step: from as many rows as in strategy-mixed, Quora had .787 rather than .712. Drawn by N^.8: in 300
steps by N Quora had .805 and SST .308, by the root .786 and .403, evenly .787 and .415; but 9,000 steps of 32 rows, so
drawn, read Quora about three times and the others between four and five times, and should not read them more often,
since SST alone was at its best after one or two passes of three.
loss: the plain ones; MNRL trains no head and left Quora at .517.
head_dropout: .1; with .3 and .5 nothing was gained in 300 steps.
surgery: none, since PCGrad's +.007 was measured in early steps only; best-pcgrad asks whether it lasts.
smart: none, since two more passes through the encoder gave +.003 in one short run of STS; best-smart tries a long one.
augment and Yelp stars: none, since the reports' rows with them are no better than those without.
"""

from mtbert.experiments.recipes.entry import Entry
from mtbert.training.recipe import Recipe

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
_CFIMDB = _SST.replace(tasks=("cfimdb",), batch_size=8, lr=5e-5)
_LAST_LAYER = {"trainable": "heads", "lr": 1e-3, "epochs": 10}
# at most 34 million parameters; bfloat16 is for a GPU, on which these are meant to run
_BEST = Recipe(
    encoder="intfloat/e5-small",
    overlap="drop",
    sampler="temperature",
    temperature=1.25,
    epochs=6,
    steps_per_epoch=1500,
    lr=1e-4,
    precision="bfloat16",
)
# surgery needs a gradient of each task in every step: batches about as large as the sets, for all to be read as often
_BEST_PCGRAD = _BEST.replace(
    sampler="mixed", surgery="pcgrad", batch_size={"sst": 4, "quora": 32, "sts": 3}, epochs=4, steps_per_epoch=None
)
# one family for notebook 09: equally many steps of 24 rows, so that only the strategy differs
_STRATEGY = MIXED.replace(batch_size=24, lr=1e-4, epochs=3, steps_per_epoch=100)
_LARGEST_FIRST = _STRATEGY.replace(tasks=("quora", "sst", "sts"), sampler="sequential")
_ALL_AT_ONCE = _STRATEGY.replace(batch_size=8)
_TWO_STAGES = _STRATEGY.replace(
    tasks=("sst", "quora"), sampler="stages", epochs=4, steps_per_epoch=75, lr_schedule="constant"
)
_FEW_ROWS = _SST.replace(train_rows=1000, batch_size=24, epochs=8, steps_per_epoch=42, lr_schedule="constant")

ROWS: dict[str, Entry] = {
    "demo": Entry(_DEMO, "three tasks on the sample data, mixed, about three minutes on two cores"),
    "tiny": Entry(
        Recipe(encoder="tiny", epochs=2, steps_per_epoch=6, batch_size=4, lr=1e-3),
        "a random two-layer encoder for a few steps: to see that everything works",
    ),
    "sst": Entry(_SST, "sentiment alone, every layer trained"),
    "sst-last-layer": Entry(_SST.replace(**_LAST_LAYER), "sentiment alone, encoder frozen"),
    "cfimdb": Entry(_CFIMDB, "long reviews alone, every layer trained"),
    "cfimdb-last-layer": Entry(_CFIMDB.replace(**_LAST_LAYER), "long reviews alone, encoder frozen"),
    "heads": Entry(
        Recipe(
            trainable="heads",
            encoding="bi",
            head={"sst": "linear", "quora": "concat_diff", "sts": "cosine"},
            lr=1e-3,
            epochs=10,
            overlap="drop",
        ),
        "encoder frozen, heads on cached features: seconds",
    ),
    "mixed": Entry(MIXED, "three tasks on real data, one batch of each in every step"),
    "mixed-plain": Entry(MIXED.replace(surgery="sum"), "the same, the tasks' gradients apart: to see how they meet"),
    "mixed-pcgrad": Entry(MIXED.replace(surgery="pcgrad"), "the same with gradient surgery (PCGrad)"),
    "mixed-gradvac": Entry(MIXED.replace(surgery="gradvac"), "the same with Gradient Vaccine"),
    "best": Entry(_BEST, "everything learnt, in one model of three tasks; half of it is measured"),
    "best-minilm": Entry(_BEST.replace(encoder="minilm"), "the same on the smaller encoder; a third of it is measured"),
    "best-pcgrad": Entry(_BEST_PCGRAD, "the same with all tasks in every step and gradient surgery; not measured"),
    "best-smart": Entry(
        _BEST.replace(smart_weight={"sst": 1.0, "sts": 1.0}), "the same, the small sets smoothed by SMART; not measured"
    ),
    "best-cfimdb": Entry(
        _CFIMDB.replace(encoder="intfloat/e5-small", epochs=5, precision="bfloat16"),
        "long reviews on the encoder of best, for longer: one of two minilm runs was best at its end; not measured",
    ),
    "round_robin": Entry(MIXED.replace(sampler="round_robin"), "three tasks on real data, one task a step"),
    "sequential": Entry(MIXED.replace(sampler="sequential"), "three tasks on real data, one after the other"),
    "strategy-proportional": Entry(_STRATEGY.replace(sampler="proportional"), "tasks drawn by their rows"),
    "strategy-square-root": Entry(_STRATEGY.replace(sampler="square_root"), "tasks drawn by the root of their rows"),
    "strategy-annealed": Entry(_STRATEGY.replace(sampler="annealed"), "by rows at first, nearly evenly at last"),
    "strategy-temperature": Entry(_STRATEGY.replace(sampler="temperature"), "by the fifth root of their rows"),
    "strategy-oversampled": Entry(_STRATEGY.replace(sampler="oversampled"), "by rows, small sets five times as large"),
    "strategy-curriculum": Entry(_STRATEGY.replace(sampler="curriculum"), "Quora first, then SST and STS join"),
    "strategy-oversampled-curriculum": Entry(
        _STRATEGY.replace(sampler="oversampled_curriculum"), "Quora first, then SST and STS join, oversampled"
    ),
    "strategy-sequential": Entry(_LARGEST_FIRST, "in every epoch Quora, then SST, then STS"),
    "strategy-sequential-reversed": Entry(
        _LARGEST_FIRST.replace(tasks=("sts", "sst", "quora")), "in every epoch STS, then SST, then Quora"
    ),
    "strategy-separate-optimizers": Entry(
        _LARGEST_FIRST.replace(optimizer_state="per_task"), "in every epoch Quora, SST, STS, an optimiser for each"
    ),
    "strategy-alone-first": Entry(
        _ALL_AT_ONCE.replace(sampler="alone_first", epochs=2, steps_per_epoch=150), "SST alone, STS alone, then mixed"
    ),
    "strategy-round-robin": Entry(_STRATEGY.replace(sampler="round_robin"), "the tasks in turn"),
    "strategy-mixed": Entry(_ALL_AT_ONCE, "8 rows of each task in every step"),
    "strategy-round-robin-unclipped": Entry(
        _STRATEGY.replace(sampler="round_robin", max_grad_norm=0), "the tasks in turn, gradients of any length"
    ),
    "strategy-mixed-unclipped": Entry(
        _ALL_AT_ONCE.replace(max_grad_norm=0), "8 rows of each task in every step, gradients of any length"
    ),
    "strategy-auxiliary": Entry(
        _ALL_AT_ONCE.replace(tasks=("sst", "quora", "sts", "yelp"), batch_size=8), "the same and 8 rows of Yelp stars"
    ),
    "strategy-augmented": Entry(
        _ALL_AT_ONCE.replace(augment_copies={"sst": 9}, augment_fraction=0.15),
        "8 rows of each task, SST with nine noisy copies",
    ),
    "strategy-length-grouped": Entry(
        _STRATEGY.replace(sampler="round_robin", tokens_per_batch=700), "the tasks in turn, 700 tokens of like lengths"
    ),
    "forgetting": Entry(_TWO_STAGES, "SST alone, then Quora alone"),
    "forgetting-control": Entry(
        _TWO_STAGES.replace(sampler="round_robin"), "SST and Quora in turn, equally many steps"
    ),
    "few-rows": Entry(_FEW_ROWS, "1,000 rows of SST, eight times"),
    "few-rows-augmented": Entry(
        _FEW_ROWS.replace(augment_copies={"sst": 9}, augment_fraction=0.15),
        "1,000 rows of SST and nine noisy copies of each",
    ),
}
