"""Write the sample data: small files in the format of the course's data, with generated sentences.

    python data/sample/generate.py [FOLDER]

FOLDER is where to write, by default the folder of this file. The same seed always gives the same bytes.
"""

import csv
import hashlib
import sys
from functools import partial
from pathlib import Path

from writers import cfimdb, quora, sst, sts, yelp
from writers.common import SPLITS, Pen, Register, fill_quota, shares_to_counts

SEED = 11711
HERE = Path(__file__).resolve().parent
ONE, TWO = ("sentence",), ("sentence1", "sentence2")

# file stem -> (writer, proportions of the labels, text columns, label column, rows per split)
TASKS = {
    "ids-sst": (sst, sst.SHARES, ONE, "sentiment", (1500, 300, 300)),
    "ids-cfimdb": (cfimdb, cfimdb.SHARES, ONE, "sentiment", (300, 60, 60)),
    "quora": (quora, quora.SHARES, TWO, "is_duplicate", (2000, 400, 400)),
    "sts": (sts, sts.GRADES, TWO, "similarity", (1000, 200, 200)),
    "yelp": (yelp, yelp.SHARES, ONE, "sentiment", (500,)),
}
NUMBERED_TWICE = ("ids-sst", "ids-cfimdb")  # their test files have a second column of row numbers


def row_id(texts):
    """The id of a row: 25 hex characters of a digest of its texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:25]


def write_split(task, split, total, register):
    """The rows of one split as (texts, label), shuffled."""
    writer, shares = TASKS[task][:2]
    pen = Pen(f"{SEED} {task} {split}", split)
    rows = []
    for label, count in shares_to_counts(total, shares).items():
        rows += fill_quota(label, count, partial(writer.write, pen), partial(register.admit, split))
    if writer is sts:
        rows = [(texts, sts.votes(pen, grade)) for texts, grade in rows]
    return pen.shuffled(rows)


def write_task(task):
    """The rows of every split. The small splits are drawn first, so that the large one does not use up their texts."""
    totals = TASKS[task][4]
    register = Register()
    drawn = {
        split: write_split(task, split, total, register)
        for split, total in reversed(list(zip(SPLITS, totals, strict=False)))
    }
    return {split: drawn[split] for split in SPLITS if split in drawn}


def table(task, split, rows):
    """The header and the lines of a file; a test file has no labels."""
    texts, label = TASKS[task][2:4]
    if split != "test-student":
        yield ["", "id", *texts, label]
        yield from ([index, row_id(row), *row, value] for index, (row, value) in enumerate(rows))
    elif task in NUMBERED_TWICE:
        yield [0, "", "id", *texts]
        yield from ([index + 1, float(index), row_id(row), *row] for index, (row, _) in enumerate(rows))
    else:
        yield ["", "id", *texts]
        yield from ([index, row_id(row), *row] for index, (row, _) in enumerate(rows))


def generate(folder=HERE):
    """Write all files into the folder and return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for task in TASKS:
        for split, rows in write_task(task).items():
            paths.append(folder / f"{task}-{split}.csv")
            with paths[-1].open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, delimiter="\t", lineterminator="\n").writerows(table(task, split, rows))
    return paths


if __name__ == "__main__":
    for path in generate(*sys.argv[1:2]):
        print(path)
