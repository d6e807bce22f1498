"""EDA: noisy copies of train rows, the same every time, and never of what must not be copied."""

import dataclasses
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mtbert
from mtbert.data import TASKS, TokenizedDataset, read_split
from mtbert.data.augment import OPERATIONS, augmented, delete, insert, replace, swap, synonyms
from mtbert.data.read import Example, Rows
from mtbert.data.synonyms import SYNONYMS
from mtbert.utils.errors import UserError

KNOWN = st.sampled_from(["Film,", "story", "buys", "children."])
WORDS = st.lists(KNOWN | st.sampled_from(["the", "not", "Quixotic", "a"]), min_size=1, max_size=20)
SHARES = st.floats(0, 1)
SEEDS = st.integers(0, 2**40)


def rows_of(task, *texts, split="train"):
    examples = [Example(f"row{number}", text, 1.0) for number, text in enumerate(texts)]
    return Rows(TASKS[task], split, mtbert.utils.paths.SAMPLE / TASKS[task].files["train"], "0" * 64, examples)


# -- operations -------------------------------------------------------------------------------------------------------


@given(WORDS, SHARES, SEEDS)
def test_replacing_puts_synonyms_in_as_many_places_as_the_share_says(words, share, seed):
    changed = replace(words, share, Random(seed))
    places = [place for place, word in enumerate(words) if changed[place] != word]
    assert len(changed) == len(words) and all(changed[place] in synonyms(words[place]) for place in places)
    known = sum(bool(synonyms(word)) for word in words)
    assert len(places) == min(max(1, int(share * len(words))), known)


@given(WORDS, SHARES, SEEDS)
def test_inserting_adds_synonyms_of_words_that_are_there_and_keeps_the_others_in_order(words, share, seed):
    changed = insert(words, share, Random(seed))
    added = Counter(changed) - Counter(words)
    possible = {other.strip(",.").lower() for word in words for other in synonyms(word)}
    assert added.total() == (max(1, int(share * len(words))) if possible else 0) and set(added) <= possible
    left = iter(changed)
    assert all(word in left for word in words)


@given(WORDS, SHARES, SEEDS)
def test_swapping_keeps_all_words(words, share, seed):
    assert Counter(swap(words, share, Random(seed))) == Counter(words)


@given(WORDS, SHARES, SEEDS)
def test_deleting_keeps_the_order_and_one_word_at_least(words, share, seed):
    kept = delete(words, share, Random(seed))
    left = iter(words)
    assert kept and all(word in left for word in kept)


def test_words_are_deleted_with_the_probability_of_the_share():
    kept = [len(delete(["word"] * 100, 0.2, Random(seed))) for seed in range(400)]
    assert abs(sum(kept) / len(kept) - 80) < 4 * 4 / len(kept) ** 0.5  # four standard errors
    assert delete(["word"] * 9, 0.0, Random(0)) == ["word"] * 9
    assert len(delete(["word"] * 9, 1.0, Random(0))) == 1


def test_punctuation_that_stands_alone_stays_where_it_is_and_is_no_word():
    words = ["a", ",", "b", ",", "c", "."]
    for seed in range(20):
        assert [place for place, word in enumerate(swap(words, 0.5, Random(seed))) if word in ",."] == [1, 3, 5]
        assert [word for word in delete(words, 0.5, Random(seed)) if word in ",."] == [",", ",", "."]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_leaves_its_argument_and_strange_sentences_alone(operation):
    words = ["The", "film", "begins", "slowly", "."]
    operation(words, 0.5, Random(0))
    assert words == ["The", "film", "begins", "slowly", "."]
    for strange in ([], ["."], ["Quixotic"]):
        assert operation(strange, 0.5, Random(0)) == strange


def test_a_synonym_keeps_capital_and_punctuation():
    assert synonyms("Film,") == ("Movie,", "Picture,") and synonyms('"films') == ('"movies', '"pictures')
    assert synonyms("Quixotic") == synonyms("--") == ()


def test_the_table_is_symmetric_and_no_word_is_its_own_synonym():
    assert len(SYNONYMS) > 500
    for word, others in SYNONYMS.items():
        assert others and word not in others and len(set(others)) == len(others)
        assert all(word in SYNONYMS[other] and other == other.lower() for other in others)


def test_the_table_holds_no_word_that_carries_the_sentiment_itself():
    assert not {"good", "bad", "great", "awful", "not", "never", "no", "love", "hate", "best", "worst"} & set(SYNONYMS)


# -- copies -----------------------------------------------------------------------------------------------------------


def test_copies_come_after_their_rows_with_ids_of_their_own_and_the_old_labels(sample):
    rows = read_split(sample, TASKS["sst"], "train")
    more = augmented(rows, 9, 0.2, 0)
    assert more.examples[: len(rows)] == rows.examples
    assert len(more) == 10 * len(rows) and more.copies == 9 * len(rows)
    first = more.examples[len(rows) : len(rows) + 9]
    assert [each.id for each in first] == [f"{rows.examples[0].id}+{number}" for number in range(1, 10)]
    assert {each.label for each in first} == {rows.examples[0].label}
    assert len({each.id for each in more.examples}) == len(more)


def test_copies_depend_on_seed_row_and_number_alone(sample):
    rows = read_split(sample, TASKS["quora"], "train")
    few = dataclasses.replace(rows, examples=rows.examples[5:8])

    def texts(rows, copies, seed):
        return {each.id: each.texts for each in augmented(rows, copies, 0.2, seed).examples}

    one, other = texts(few, 2, 0), texts(dataclasses.replace(rows, examples=rows.examples[6:9]), 4, 0)
    shared = one.keys() & other.keys()
    assert len(shared) == 2 * 3 and all(one[key] == other[key] for key in shared)
    assert texts(few, 4, 0) != texts(few, 4, 1)


def test_four_copies_take_the_four_operations_once_each():
    words = " ".join(["film"] * 10)
    (row,) = rows_of("sst", (words,)).examples
    for seed in range(5):
        copies = [each.texts[0].split() for each in augmented(rows_of("sst", (words,)), 4, 0.4, seed).examples[1:]]
        lengths = sorted(len(copy) for copy in copies)
        assert lengths[0] < 10 and lengths[1:] == [10, 10, 14]
        assert sum(copy == row.texts[0].split() for copy in copies) == 1  # swapped


def test_both_sentences_of_a_pair_are_changed():
    rows = rows_of("quora", ("the film began slowly at first", "the story begins with a big house"))
    for copy in augmented(rows, 4, 0.5, 0).examples[1:]:
        assert all(new != old for new, old in zip(copy.texts, rows.examples[0].texts, strict=True))


def test_copies_that_keep_a_similarity_are_refused_unless_asked_for():
    rows = rows_of("sts", ("a film", "a movie"))
    with pytest.raises(UserError, match="augment_copies.sts: .* set augment_scores to keep"):
        augmented(rows, 1, 0.1, 0)
    assert len(augmented(rows, 1, 0.1, 0, "keep")) == 2


@pytest.mark.parametrize("split", ["dev", "test"])
def test_only_train_rows_are_augmented(split):
    with pytest.raises(ValueError, match="only train rows"):
        augmented(rows_of("sst", ("a film",), split=split), 1, 0.1, 0)


def test_copies_of_another_share_or_seed_are_not_found_in_the_cache(tmp_path):
    pieces = mtbert.load_encoder("tiny").tokenizer
    rows = rows_of("sst", ("the film begins with a big house",))
    for share, seed in ((0.15, 0), (0.4, 0), (0.15, 1), (0.15, 0)):
        more = augmented(rows, 3, share, seed)
        fresh = TokenizedDataset.of_texts([each.texts for each in more.examples], pieces, more.labels)
        assert TokenizedDataset.of_rows(more, pieces, tmp_path).ids.tolist() == fresh.ids.tolist()
