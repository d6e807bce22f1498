"""Answers to the exercises of notebook 09: usual mistakes by the property that they break."""

import itertools
import random as global_random
from collections import Counter

import numpy as np
import torch
from workbook.exercises import edited, solutions

shares, apportion, _, sampler, delete = solutions("data_strategies").values()

TASKS = "Counter(self.counts(epoch)).elements()"


class FromOneGenerator:
    """An unusual right answer: one generator draws everything in order, and the steps before the start are dropped."""

    def __init__(self, rows, batch_size, steps_per_epoch, temperatures, seed=0):
        self.given = rows, batch_size, steps_per_epoch, temperatures, seed

    def counts(self, epoch):
        return sampler(*self.given).counts(epoch)

    def steps(self, start=0):
        return itertools.islice(self._all(), start, None)

    def _all(self):
        rows, batch_size, _, _, seed = self.given
        generator, left = torch.Generator().manual_seed(seed), {task: [] for task in rows}
        for epoch in itertools.count():
            tasks = list(Counter(self.counts(epoch)).elements())
            for index in torch.randperm(len(tasks), generator=generator):
                task = tasks[index]
                if not left[task]:
                    left[task] = list(torch.randperm(rows[task], generator=generator).split(batch_size))
                yield [task, left[task].pop(0)]


def reseeded(words, share, random):
    global_random.seed(random.random())
    return [word for word in words if global_random.random() >= share] or [global_random.choice(words)]


def shuffled(words, share, random):
    remaining = delete(words, share, random)
    return remaining if share == 0 else random.sample(remaining, len(remaining))


def drawn_backwards(words, share, random):
    remaining = [word for word in reversed(words) if random.uniform(0, 1) > share]
    return remaining[::-1] or random.sample(words, k=1)


def last_word_of_the_module(words, share, random):
    remaining = [word for word in words if random.random() >= share]
    return remaining or [global_random.choice(words)]


class _NoSteps(sampler):
    def steps(self, start=0):
        pass


RIGHT = {"delete": [drawn_backwards], "sampler": [FromOneGenerator]}
WRONG = {
    "shares": [
        ("add up to 1", lambda rows, alpha: {task: count**alpha for task, count in rows.items()}),
        ("alpha = 1 ", lambda rows, alpha: dict.fromkeys(rows, 1 / len(rows))),
        ("alpha = 0", lambda rows, alpha: shares(rows, 1)),
        ("alpha = 1/2", lambda rows, alpha: shares(rows, alpha) if alpha in (0, 1) else shares(rows, 1 / alpha)),
    ],
    "apportion": [
        ("no more", edited(apportion, "int(share) => round(share)")),
        ("less than one step", edited(apportion, "in by_remainder[: => in by_remainder[:1] * (", "())] => ()))")),
        ("largest remainders", edited(apportion, "in by_remainder[ => in list(shares)[")),
    ],
    "oversample": [
        ("as many times", lambda rows, times: dict(rows)),
        (
            "larger than the largest",
            lambda rows, times: {
                task: times * count if count < max(rows.values()) else count for task, count in rows.items()
            },
        ),
    ],
    "sampler": [
        ("step 1: counts", lambda *given: {}),
        ("step 1: counts", edited(sampler, "apportion(weights, self.steps_per_epoch) => weights")),
        ("step 1: shares", edited(sampler, "(1 / temperature) => temperature")),
        ("step 1: every epoch", edited(sampler, "min(epoch, len(self.temperatures) - 1) => 0")),
        ("step 2: steps()", edited(sampler, "for epoch in itertools.count() => for epoch in range(2)")),
        ("step 2: steps()", edited(sampler, "yield task, => yield")),
        ("steps() returned nothing", _NoSteps),
        ("step 2: every epoch", edited(sampler, "self.counts(epoch)).elements => self.counts(0)).elements")),
        ("step 2: the order", edited(sampler, f"self.shuffled({TASKS}, 'tasks', epoch) => {TASKS}".replace("'", '"'))),
        ("step 2: the order", edited(sampler, '"tasks", epoch => "tasks", 0')),
        (
            "step 3: a pass",
            edited(sampler, "-(-self.rows[task] // self.batch_size) => self.rows[task] // self.batch_size"),
        ),
        ("step 3: a pass", edited(sampler, "place * self.batch_size : => place :")),
        ("step 3: the rows", edited(sampler, "task, one_pass) => task, 0)")),
        (
            "step 3: the rows",
            edited(sampler, "self.shuffled(range(self.rows[task]), task, one_pass) => range(self.rows[task])"),
        ),
        ("step 4", edited(sampler, "{self.seed} {name} => {name}")),
        ("step 4", edited(sampler, "order = list(items) => order = list(items); torch.rand(1)")),
        ("step 5", edited(sampler, "number, batches_read = 0, => number, batches_read = start,")),
        ("step 5", edited(sampler, "batches_read[task] += 1 => batches_read[task] += number >= start")),
    ],
    "delete": [
        ("a tuple, not a list", lambda words, share, random: tuple(delete(words, share, random))),
        ("keep their order", shuffled),
        ("one word", lambda words, share, random: [word for word in words if random.random() >= share]),
        ("one word", lambda words, share, random: [word for word in words if random.random() >= share] or words[:1]),
        ("nothing else", lambda words, share, random: delete(words, share, global_random)),
        ("nothing else", last_word_of_the_module),
        ("nothing else", reseeded),
        (
            "nothing else",
            lambda words, share, random: (
                [word for word, drawn in zip(words, np.random.rand(len(words)), strict=True) if drawn >= share]
                or [random.choice(words)]
            ),
        ),
        ("on average", lambda words, share, random: words[int(share * len(words)) :] or [random.choice(words)]),
    ],
}
