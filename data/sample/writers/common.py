"""Tools shared by the writers: seeded choices, slot filling and the tidying of sentences."""

import random
import re

SPLITS = ("train", "dev", "test-student")
RARE_SHARE = {"train": 0.05, "dev": 0.4, "test-student": 0.4}


def words(text):
    """The comma-separated entries of a word list."""
    return tuple(" ".join(word.split()) for word in text.split(",") if word.strip())


def lines(text):
    """The entries of a phrase list, one per line."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def families(text):
    """The families of a text, separated by blank lines, as {mark: [entries]}; each line is a mark and an entry."""
    parsed = []
    for block in re.split(r"\n\s*\n", text.strip()):
        parsed.append({})
        for line in lines(block):
            mark, entry = line.split(" ", 1)
            parsed[-1].setdefault(mark, []).append(entry)
    return tuple(parsed)


class Pen:
    """Seeded choices for one split.

    The last third of every list of six or more entries is its rare vocabulary: seldom used in the train
    split, often in the others, so that a model has to generalise beyond the words it was trained on.
    """

    def __init__(self, seed, split):
        self.random = random.Random(seed)
        self.rare_share = RARE_SHARE[split]

    def chance(self, probability):
        """True with the given probability."""
        return self.random.random() < probability

    def pick(self, options):
        """One entry of a word list, rare or common depending on the split."""
        if len(options) < 6:
            return self.random.choice(options)
        cut = len(options) - len(options) // 3
        return self.random.choice(options[cut:] if self.chance(self.rare_share) else options[:cut])

    def any(self, options):
        """One entry of a list, all equally likely in every split."""
        return self.random.choice(options)

    def weighted(self, weights):
        """One key of a mapping from entries to weights."""
        mark = self.random.random() * sum(weights.values())
        for option, weight in weights.items():
            mark -= weight
            if mark < 0:
                return option
        return option

    def several(self, options, count):
        """``count`` different entries of a list, in random order."""
        chosen = []
        while len(chosen) < count:
            option = self.pick(options)
            if option not in chosen:
                chosen.append(option)
        return chosen

    def shuffled(self, options):
        """A shuffled copy of a list."""
        copy = list(options)
        self.random.shuffle(copy)
        return copy


class Slots(dict):
    """Slot values drawn on first use: {town} and {town2} are different entries of the list ``town``."""

    def __init__(self, pen, lists):
        super().__init__()
        self.pen = pen
        self.lists = lists

    def __missing__(self, name):
        options = self.lists[name.rstrip("0123456789")]
        taken = list(self.values())
        value = self.pen.pick(options)
        while value in taken:
            value = self.pen.pick(options)
        self[name] = value
        return value


VOWEL_SOUND = r"(?:(?!one\b|once\b|eu|us[ue]|uni(?:que|t|v|f|o)|util)[aeiou]|hour|honest|8|11\b|18\b)"


def tidy(text):
    """Correct the articles and start every sentence with a capital letter."""
    text = re.sub(rf"\b([Aa]) (?={VOWEL_SOUND})", r"\1n ", text, flags=re.IGNORECASE)
    return re.sub(r"(^|[.!?] )([a-z])", lambda match: match[1] + match[2].upper(), text)


def key(text):
    """The form in which texts are compared: lower case, letters and digits only."""
    return " ".join(re.sub(r"[^\w\s]", "", text.casefold()).split())


class Register:
    """The texts of one task, each owned by the split that used it first."""

    def __init__(self):
        self.owner = {}
        self.rows = set()

    def admit(self, split, texts):
        """Register a row if it is new and none of its texts belongs to another split; whether it was."""
        keys = tuple(key(text) for text in texts)
        if keys in self.rows or any(self.owner.get(one, split) != split for one in keys):
            return False
        if len(set(keys)) < len(keys):
            return False
        self.rows.add(keys)
        self.owner.update(dict.fromkeys(keys, split))
        return True


def fill_quota(label, count, write, admit, tries=4000):
    """Draw rows until ``count`` with the label are admitted; ``write()`` returns (texts, label)."""
    rows = []
    for _ in range(tries * count):
        if len(rows) == count:
            return rows
        texts, drawn_label = write()
        if drawn_label == label and admit(texts):
            rows.append((texts, label))
    if len(rows) < count:
        raise RuntimeError(f"only {len(rows)} of {count} rows with label {label}")
    return rows


def shares_to_counts(total, shares):
    """Whole numbers in the given proportions that add up to ``total``."""
    counts = {label: int(total * share / sum(shares.values())) for label, share in shares.items()}
    for label in list(counts)[: total - sum(counts.values())]:
        counts[label] += 1
    return counts
