"""EDA: augmented copies of training rows, the same every time, and never of what must not be copied."""

import dataclasses
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mtbert
from mtbert.data import TASKS, TokenizedDataset, read_split
from mtbert.data.augment import OPERATIONS, augment_rows, delete, insert, replace, swap, synonym_table, synonyms
from mtbert.data.read import Example, Rows
from mtbert.utils.errors import UserError

WORDS = st.lists(
    st.sampled_from(["Film,", "story", "buys", "children.", "the", "not", "Quixotic", "a"]), min_size=1, max_size=20
)
FRACTIONS = st.floats(0, 1)
SEEDS = st.integers(0, 2**40)


def rows_of(task, *texts, split="train"):
    examples = [Example(f"row{i}", text, 1.0) for i, text in enumerate(texts)]
    return Rows(TASKS[task], split, mtbert.utils.paths.SAMPLE / TASKS[task].files["train"], "0" * 64, examples)


def num_changes(words, fraction):
    return max(1, int(fraction * len(words))) if fraction else 0


def is_subsequence(words, of):
    remaining = iter(of)
    return all(word in remaining for word in words)


@given(WORDS, FRACTIONS, SEEDS)
def test_replacing_puts_synonyms_in_as_many_positions_as_the_fraction_says(words, fraction, seed):
    changed = replace(words, fraction, Random(seed))
    positions = [i for i, word in enumerate(words) if changed[i] != word]
    assert len(changed) == len(words) and all(changed[i] in synonyms(words[i]) for i in positions)
    assert len(positions) == min(num_changes(words, fraction), sum(bool(synonyms(word)) for word in words))


@given(WORDS, FRACTIONS, SEEDS)
def test_inserting_adds_synonyms_of_the_words_and_keeps_their_order(words, fraction, seed):
    changed = insert(words, fraction, Random(seed))
    added = Counter(changed) - Counter(words)
    possible = {other.strip(",.").lower() for word in words for other in synonyms(word)}
    assert added.total() == (num_changes(words, fraction) if possible else 0) and set(added) <= possible
    assert is_subsequence(words, of=changed)


@given(WORDS, FRACTIONS, SEEDS)
def test_swapping_keeps_all_words_and_deleting_keeps_their_order_and_at_least_one(words, fraction, seed):
    assert Counter(swap(words, fraction, Random(seed))) == Counter(words)
    remaining = delete(words, fraction, Random(seed))
    assert remaining and is_subsequence(remaining, of=words)


def test_words_are_deleted_with_the_probability_of_the_fraction():
    lengths = [len(delete(["word"] * 100, 0.2, Random(seed))) for seed in range(400)]
    assert abs(sum(lengths) / len(lengths) - 80) < 4 * 4 / len(lengths) ** 0.5  # four standard errors
    assert len(delete(["word"] * 9, 1.0, Random(0))) == 1


def test_freestanding_punctuation_stays_in_place_and_is_no_word():
    words = ["a", ",", "b", ",", "c", "."]
    for seed in range(20):
        assert [i for i, word in enumerate(swap(words, 0.5, Random(seed))) if word in ",."] == [1, 3, 5]
        assert [word for word in delete(words, 0.5, Random(seed)) if word in ",."] == [",", ",", "."]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_does_not_write_into_its_argument_and_fraction_0_changes_nothing(operation):
    words = ["The", "film", "begins", "slowly", "."]
    operation(words, 0.5, Random(0))
    assert words == ["The", "film", "begins", "slowly", "."] == operation(words, 0.0, Random(0))
    for unusual in ([], ["."], ["Quixotic"]):
        assert operation(unusual, 0.5, Random(0)) == unusual


def test_a_synonym_keeps_capital_and_punctuation():
    assert synonyms("Film,") == ("Movie,", "Picture,") and synonyms('"films') == ('"movies', '"pictures')
    assert synonyms("Quixotic") == synonyms("--") == ()


def test_the_table_is_symmetric_and_holds_no_word_that_carries_sentiment():
    table = synonym_table()
    assert len(table) > 500
    for word, others in table.items():
        assert others and word not in others and len(set(others)) == len(others)
        assert all(word in table[other] and other == other.lower() for other in others)
    assert not {"good", "bad", "great", "awful", "not", "never", "no", "love", "hate", "best", "worst"} & set(table)


def test_copies_follow_the_rows_with_ids_of_their_own_and_the_same_labels(sample):
    rows = read_split(sample, TASKS["sst"], "train").subsample(100)
    augmented = augment_rows(rows, 9, 0.2, 0)
    assert augmented.examples[:100] == rows.examples
    assert (len(augmented), augmented.copies) == (1000, 900)
    first = augmented.examples[100:109]
    assert [example.id for example in first] == [f"{rows.examples[0].id}+{index}" for index in range(1, 10)]
    assert {example.label for example in first} == {rows.examples[0].label}
    assert len({example.id for example in augmented.examples}) == 1000


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5])
def test_copies_that_equal_their_row_are_counted_and_all_do_at_fraction_0(messages, sample, fraction):
    rows = read_split(sample, TASKS["sst"], "train").subsample(50)
    rows.examples[0] = rows.examples[0]._replace(texts=("Two  spaces .",))
    copies = augment_rows(rows, 2, fraction, 0).examples[50:]
    same = sum(copy.texts == rows.examples[index // 2].texts for index, copy in enumerate(copies))
    assert same == 100 if fraction == 0 else same < 50
    assert any(f"{same} of 100" in line for line in messages) == (same > 0)


def test_copies_depend_on_seed_row_and_index_alone(sample):
    rows = read_split(sample, TASKS["quora"], "train")

    def texts(start, copies, seed):
        some = dataclasses.replace(rows, examples=rows.examples[start : start + 3])
        return {example.id: example.texts for example in augment_rows(some, copies, 0.2, seed).examples}

    one, other = texts(5, 2, 0), texts(6, 4, 0)
    shared = one.keys() & other.keys()
    assert len(shared) == 2 * 3 and all(one[key] == other[key] for key in shared)
    assert texts(5, 4, 0) != texts(5, 4, 1)


def test_four_copies_take_the_four_operations_once_each():
    words = ["film"] * 10
    for seed in range(5):
        copies = augment_rows(rows_of("sst", (" ".join(words),)), 4, 0.4, seed).examples[1:]
        changed = sorted((copy.texts[0].split() for copy in copies), key=len)
        assert len(changed[0]) < 10 and [len(copy) for copy in changed[1:]] == [10, 10, 14]
        assert sum(copy == words for copy in changed) == 1  # the swapped one


def test_both_sentences_of_a_pair_are_changed():
    rows = rows_of("quora", ("the film began slowly at first", "the story begins with a big house"))
    for copy in augment_rows(rows, 4, 0.5, 0).examples[1:]:
        assert all(new != old for new, old in zip(copy.texts, rows.examples[0].texts, strict=True))


def test_copies_that_keep_a_similarity_are_refused_unless_requested_and_only_train_rows_are_copied():
    rows = rows_of("sts", ("a film", "a movie"))
    with pytest.raises(UserError, match="augment_copies.sts: .*augment_scores to keep"):
        augment_rows(rows, 1, 0.1, 0)
    assert len(augment_rows(rows, 1, 0.1, 0, "keep")) == 2
    for split in ("dev", "test"):
        with pytest.raises(ValueError, match=split):
            augment_rows(rows_of("sst", ("a film",), split=split), 1, 0.1, 0)


def test_the_token_cache_tells_copies_of_other_fractions_and_seeds_apart(tmp_path):
    tokenizer = mtbert.load_encoder("tiny").tokenizer
    rows = rows_of("sst", ("the film begins with a big house",))
    for fraction, seed in ((0.15, 0), (0.4, 0), (0.15, 1), (0.15, 0)):
        augmented = augment_rows(rows, 3, fraction, seed)
        fresh = TokenizedDataset.from_texts([example.texts for example in augmented.examples], tokenizer)
        assert TokenizedDataset.from_rows(augmented, tokenizer, tmp_path).ids.tolist() == fresh.ids.tolist()
