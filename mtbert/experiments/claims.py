"""What the five reports conclude from their tables, each as a statement about two rows and a metric.

The statements are in our words; the figures come from data/reports by way of ``RECIPES``.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

from mtbert.experiments.recipes import RECIPES
from mtbert.experiments.reports import definition_used

Direction = Literal["better", "worse", "alike", "no better"]
MARGIN = 0.01  # what Li & Tang call very similar: all within one percent
# where the difference of the two rows lies if the claim is true
REGIONS: dict[Direction, tuple[float, float]] = {
    "better": (0.0, math.inf),
    "worse": (-math.inf, 0.0),
    "alike": (-MARGIN, MARGIN),
    "no better": (-math.inf, MARGIN),
}
TITLES = {
    "ahmed-karamardian": "Ahmed & Karamardian",
    "cambronero-meza": "Cambronero & Meza",
    "li-tang": "Li & Tang",
    "marchini-callon-cussen": "Marchini et al.",
    "yin": "Yin",
}


@dataclass(frozen=True)
class Claim:
    """A report says that a row is better (or worse, alike, no better) than another on a metric.

    topic: the question that it answers, which several reports may share. row, against: names of recipes without the
    report's. metric: a task or "overall", in the report's own definition.
    """

    report: str
    topic: str
    words: str
    row: str
    against: str
    metric: str
    direction: Direction

    @property
    def recipes(self) -> tuple[str, str]:
        """Full names of both rows' recipes."""
        return f"{self.report}/{self.row}", f"{self.report}/{self.against}"

    @property
    def region(self) -> tuple[float, float]:
        return REGIONS[self.direction]

    @property
    def score(self) -> str:
        """The metric as recorded runs have it: a task, "plain" or "normalised"."""
        return _definition(self.report) if self.metric == "overall" else self.metric

    @property
    def printed(self) -> float:
        """The row's figure minus the other's, as printed; NaN if one of them is not printed."""
        first, second = (RECIPES[name].printed.get(self.metric, math.nan) for name in self.recipes)
        return round(first - second, 4)

    @property
    def supported_by_report(self) -> str:
        """Whether the report's own figures say so too: "yes", "no", or "not printed"."""
        if math.isnan(self.printed):
            return "not printed"
        low, high = self.region
        return "yes" if low < self.printed < high else "no"


_definition = functools.cache(definition_used)  # reads all of data/reports

# (report, row, against): what is said of them, as (topic, words, metric, says)
_MANY = {
    ("ahmed-karamardian", "sst-finetune", "sst-pretrain"): [
        ("frozen encoder", "every layer beats a frozen encoder: SST", "sst", "better")
    ],
    ("ahmed-karamardian", "cfimdb-finetune", "cfimdb-pretrain"): [
        ("frozen encoder", "every layer beats a frozen encoder: CFIMDB", "cfimdb", "better")
    ],
    ("ahmed-karamardian", "iteration-1", "baseline"): [
        ("order of tasks", "all tasks at once help paraphrase", "quora", "better"),
        ("order of tasks", "all tasks at once help similarity", "sts", "better"),
    ],
    ("ahmed-karamardian", "iteration-2", "iteration-1"): [
        ("heads", "the cosine (with more epochs) lifts similarity", "sts", "better")
    ],
    ("ahmed-karamardian", "iteration-3", "iteration-2"): [
        ("surgery", "PCGrad helps paraphrase", "quora", "better"),
        ("surgery", "PCGrad helps similarity", "sts", "better"),
    ],
    ("ahmed-karamardian", "iteration-3", "baseline"): [
        ("order of tasks", "in the end sentiment has lost", "sst", "worse")
    ],
    ("cambronero-meza", "task-heads", "baseline-heads"): [
        ("heads", "heads made for each task help", "overall", "better")
    ],
    ("cambronero-meza", "baseline-heads-eda-15", "baseline-heads"): [
        ("noisy copies", "copies (15 %) change little, plain heads", "overall", "alike")
    ],
    ("cambronero-meza", "baseline-heads-eda-20", "baseline-heads"): [
        ("noisy copies", "copies (20 %) change little, plain heads", "overall", "alike")
    ],
    ("cambronero-meza", "task-heads-eda-15", "task-heads"): [
        ("noisy copies", "copies (15 %) change little, made heads", "overall", "alike")
    ],
    ("cambronero-meza", "task-heads-eda-20", "task-heads"): [
        ("noisy copies", "copies (20 %) change little, made heads", "overall", "alike")
    ],
    ("cambronero-meza", "surgery", "task-heads"): [
        ("surgery", "PCGrad (smaller batches, lower rate) is no gain", "overall", "no better")
    ],
    ("cambronero-meza", "surgery-eda-20", "surgery"): [
        ("noisy copies", "copies (20 %) are no gain with PCGrad", "overall", "no better")
    ],
    ("li-tang", "seq", "pretrain"): [("frozen encoder", "every layer beats a frozen encoder", "overall", "better")],
    ("li-tang", "mix-0.3", "seq"): [
        ("order of tasks", "mixed steps beat one task after the other", "overall", "better"),
        ("order of tasks", "mixed steps help sentiment", "sst", "better"),
        ("order of tasks", "mixed steps help similarity", "sts", "better"),
    ],
    ("li-tang", "mix-surgery-0.3", "mix-0.3"): [("surgery", "PCGrad changes little at dropout .3", "overall", "alike")],
    ("li-tang", "mix-surgery-0.5", "mix-0.5"): [("surgery", "PCGrad helps at dropout .5", "overall", "better")],
    ("li-tang", "mix-surgery-0.5", "mix-0.3"): [
        ("surgery", "best with PCGrad, best without: paraphrase gains", "quora", "better"),
        ("surgery", "best with PCGrad, best without: similarity gains", "sts", "better"),
        ("surgery", "best with PCGrad, best without: sentiment loses", "sst", "worse"),
    ],
    ("li-tang", "mix-aux-0.3", "mix-0.3"): [
        ("auxiliary task", "Yelp impairs the whole, dropout .3", "overall", "worse"),
        ("auxiliary task", "Yelp impairs sentiment, dropout .3", "sst", "worse"),
        ("auxiliary task", "Yelp impairs paraphrase, dropout .3", "quora", "worse"),
        ("auxiliary task", "Yelp impairs similarity, dropout .3", "sts", "worse"),
    ],
    ("li-tang", "mix-aux-0.5", "mix-0.5"): [
        ("auxiliary task", "Yelp impairs the whole, dropout .5", "overall", "worse")
    ],
    ("marchini-callon-cussen", "cosine", "naive-multitask"): [
        ("heads", "a cosine lifts similarity", "sts", "better"),
        ("heads", "a cosine lifts the whole", "overall", "better"),
        ("heads", "a cosine leaves sentiment alone", "sst", "alike"),
        ("heads", "a cosine leaves paraphrase alone", "quora", "alike"),
    ],
    ("marchini-callon-cussen", "cosine", "pals"): [("heads", "a cosine gives more than PALs", "overall", "better")],
    ("marchini-callon-cussen", "cosine", "gradvac"): [
        ("heads", "a cosine gives more than Gradient Vaccine", "overall", "better")
    ],
    ("marchini-callon-cussen", "pals", "naive-multitask"): [("adapters", "PALs change little", "overall", "alike")],
    ("marchini-callon-cussen", "gradvac", "naive-multitask"): [
        ("surgery", "Gradient Vaccine changes little", "overall", "alike")
    ],
    ("marchini-callon-cussen", "combined", "naive-multitask"): [
        ("all at once", "PALs, Vaccine and cosine help sentiment", "sst", "better"),
        ("all at once", "PALs, Vaccine and cosine help paraphrase", "quora", "better"),
    ],
    ("marchini-callon-cussen", "combined", "cosine"): [
        ("all at once", "all three together are best", "overall", "better")
    ],
    ("marchini-callon-cussen", "sts-mnrl", "sts-concat"): [
        ("ranking losses", "their MNRL ruins similarity", "sts", "worse")
    ],
    ("marchini-callon-cussen", "sts-triplet", "sts-concat"): [
        ("ranking losses", "the triplet loss ruins similarity", "sts", "worse")
    ],
    ("yin", "pal-128", "baseline"): [("adapters", "PALs of 128 are no gain", "overall", "no better")],
    ("yin", "pal-256", "pal-128"): [
        ("adapters", "PALs of 256 are ahead of 128: sentiment", "sst", "better"),
        ("adapters", "PALs of 256 are ahead of 128: paraphrase", "quora", "better"),
        ("adapters", "PALs of 256 are ahead of 128: similarity", "sts", "better"),
    ],
    ("yin", "pal-256-epochs-20", "pal-256"): [
        ("adapters", "twice as long helps sentiment", "sst", "better"),
        ("adapters", "twice as long helps paraphrase", "quora", "better"),
        ("adapters", "twice as long helps similarity", "sts", "better"),
    ],
    ("yin", "pal-2-projections", "pal-256"): [
        ("adapters", "two projections help paraphrase", "quora", "better"),
        ("adapters", "two projections help similarity", "sts", "better"),
        ("adapters", "two projections cost sentiment", "sst", "worse"),
    ],
    ("yin", "pal-3-projections", "pal-2-projections"): [
        ("adapters", "a third projection is no gain", "overall", "no better")
    ],
    ("yin", "low-rank-top", "low-rank"): [("adapters", "a layer on top helps low-rank layers", "overall", "better")],
    ("yin", "low-rank-top", "baseline"): [("adapters", "low-rank layers and one on top help", "overall", "better")],
    ("yin", "low-rank-top-mean", "low-rank-top"): [
        ("pooling", "mean pooling is no gain over CLS", "overall", "no better")
    ],
    ("yin", "low-rank-top-mean-mnrl-pairs", "low-rank-top-mean"): [
        ("ranking losses", "MNRL ruins paraphrase", "quora", "worse"),
        ("ranking losses", "MNRL ruins similarity", "sts", "worse"),
    ],
    ("yin", "low-rank-top-mean-curriculum", "low-rank-top-mean"): [
        ("order of tasks", "curriculum and oversampling help the whole", "overall", "better"),
        ("order of tasks", "curriculum and oversampling help paraphrase", "quora", "better"),
        ("order of tasks", "curriculum and oversampling cost sentiment", "sst", "worse"),
        ("order of tasks", "curriculum and oversampling cost similarity", "sts", "worse"),
    ],
}

CLAIMS: tuple[Claim, ...] = tuple(
    Claim(report, topic, words, row, against, metric, direction)
    for (report, row, against), of in _MANY.items()
    for topic, words, metric, direction in of
)
