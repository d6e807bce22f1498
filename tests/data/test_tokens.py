"""Rows to word pieces: what BERT reads is what the tokenizers library would give it."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import mtbert
from mtbert.data import Example, Rows, TokenizedDataset, Tokenizer, get_task, read_rows
from mtbert.data.tokens import _longest_first

TEXTS = [
    "A fine film .",
    "Is tea healthier than coffee?",
    "a",
    "Unfathomably antidisestablishmentarian, naïve & 北京!",
    "",
    "It 's so honest and keenly observed that it does n't feel like one .",
]
PAIRS = [(left, right) for left in TEXTS for right in reversed(TEXTS)]
WORDS = ["a", "film", "of", "the", "unfathomably", "7", "naïve", "!", "北京", "x-ray"]
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return mtbert.load_encoder("tiny").tokenizer


@pytest.fixture(scope="module")
def library(tokenizer):
    """The tokenizers library's own encoding of a text or pair: (ids, token types)."""
    tokenizer = copy.deepcopy(tokenizer.backend)

    def encode(texts, max_length=None):
        if max_length is None:
            tokenizer.no_truncation()
        else:
            tokenizer.enable_truncation(max_length, strategy="longest_first")
        coded = tokenizer.encode(*texts)
        return coded.ids, coded.type_ids

    return encode


@pytest.fixture
def rows(tmp_path) -> Rows:
    path = tmp_path / "sts-dev.csv"
    path.write_text("id,sentence1,sentence2,similarity\na,One cat,Two cats,2.5\nb,A dog,The dog runs,4\n")
    return read_rows(path, get_task("sts"), "dev")


def sequences_of(table):
    """(ids, token types) of each sequence of a SequenceTable."""
    ends = table.cu_seqlens.tolist()
    ids, types = table.ids.tolist(), table.token_types.tolist()
    return [(ids[start:end], types[start:end]) for start, end in zip(ends, ends[1:], strict=False)]


def read_by_bert(texts, tokenizer, encoding="cross", max_length=512):
    return TokenizedDataset.of_texts(texts, tokenizer).sequences(encoding, max_length, tokenizer)


# -- the same as the library ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cross", "bi"])
def test_a_sentence_is_cls_pieces_sep(tokenizer, library, encoding):
    found = read_by_bert([(text,) for text in TEXTS], tokenizer, encoding)
    assert sequences_of(found) == [library([text]) for text in TEXTS]
    assert found.per_row == 1 and len(found) == len(TEXTS) and found.truncated == 0


def test_a_cross_encoded_pair_is_one_sequence_with_token_types_0_and_1(tokenizer, library):
    found = read_by_bert(PAIRS, tokenizer, "cross")
    assert sequences_of(found) == [library(pair) for pair in PAIRS]
    assert found.per_row == 1 and len(found) == len(PAIRS)


def test_a_bi_encoded_pair_is_two_sequences_left_then_right(tokenizer, library):
    found = read_by_bert(PAIRS, tokenizer, "bi")
    assert sequences_of(found) == [library([text]) for pair in PAIRS for text in pair]
    assert found.per_row == 2 and len(found) == len(PAIRS)
    assert not found.token_types.any()


@given(st.tuples(SENTENCES, SENTENCES), st.integers(4, 80))
def test_a_long_pair_is_cut_as_the_library_cuts_it(tokenizer, library, pair, max_length):
    found = read_by_bert([pair], tokenizer, "cross", max_length)
    assert sequences_of(found) == [library(pair, max_length)]
    assert found.truncated == (len(library(pair)[0]) > max_length)


@given(st.lists(SENTENCES, min_size=1, max_size=5), st.integers(4, 40))
def test_a_long_sentence_is_cut_as_the_library_cuts_it(tokenizer, library, texts, max_length):
    found = read_by_bert([(text,) for text in texts], tokenizer, "cross", max_length)
    assert sequences_of(found) == [library([text], max_length) for text in texts]
    assert found.truncated == sum(len(library([text])[0]) > max_length for text in texts)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 300))
def test_longest_first_is_what_dropping_one_piece_at_a_time_comes_to(left, right, room):
    kept = [int(each) for each in _longest_first(torch.tensor([left]), torch.tensor([right]), room)]
    assert sum(kept) == min(left + right, room)
    assert kept[0] <= left and kept[1] <= right
    if kept[0] < left:  # it was cut, so it is no shorter than the other, but for an odd piece
        assert kept[0] >= kept[1] - 1
    if kept[1] < right:
        assert kept[1] >= kept[0] - 1


def test_a_tokenizer_file_that_asks_for_truncation_or_padding_is_not_obeyed(tokenizer):
    tokenizer = copy.deepcopy(tokenizer.backend)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    assert Tokenizer(tokenizer)(TEXTS) == tokenizer(TEXTS)


def test_pieces_names_the_word_pieces(tokenizer):
    assert tokenizer.pieces(tokenizer(["unfathomably"])[0])[0] == "un"


# -- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cross", "bi"])
@given(chosen=st.lists(st.integers(0, len(PAIRS) - 1), min_size=1, max_size=20))
def test_a_batch_is_its_rows_sequences_end_to_end(tokenizer, encoding, chosen):
    table = read_by_bert(PAIRS, tokenizer, encoding)
    each = sequences_of(table)
    wanted = [each[row * table.per_row + part] for row in chosen for part in range(table.per_row)]
    batch = table.batch(torch.tensor(chosen))
    assert batch.ids.tolist() == [piece for ids, _ in wanted for piece in ids]
    assert batch.token_types.tolist() == [kind for _, types in wanted for kind in types]
    assert batch.lengths == [len(ids) for ids, _ in wanted]
    assert batch.ids.dtype == batch.token_types.dtype == torch.int64


@pytest.mark.parametrize("encoding", ["cross", "bi"])
@given(texts=st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=12), tokens=st.integers(1, 200))
def test_batches_cover_every_row_exactly_once_and_keep_to_their_size(tokenizer, encoding, texts, tokens):
    table = read_by_bert(texts, tokenizer, encoding)
    longest = int(table.lengths.view(-1, table.per_row).sum(1).max())
    seen = []
    for rows, batch in table.batches(tokens):
        assert batch.ids.tolist() == table.batch(rows).ids.tolist()
        assert batch.tokens < tokens + longest
        seen += rows.tolist()
    assert sorted(seen) == list(range(len(texts)))


def test_rows_that_fill_a_batch_exactly_are_one_batch(tokenizer):
    table = read_by_bert([("a film",)] * 6, tokenizer)  # 4 tokens each
    assert [len(rows) for rows, _ in table.batches(12)] == [3, 3]


def test_batches_put_rows_of_similar_length_together(tokenizer):
    table = read_by_bert([("word " * count,) for count in (30, 1, 20, 2, 10)], tokenizer)
    assert [row for rows, _ in table.batches(25) for row in rows.tolist()] == [1, 3, 4, 2, 0]


# -- the cache --------------------------------------------------------------------------------------------------------


def same(one: TokenizedDataset, other: TokenizedDataset) -> bool:
    return one.per_row == other.per_row and all(
        torch.equal(getattr(one, name), getattr(other, name)) and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ("ids", "cu_seqlens", "labels")
    )


def test_a_table_from_the_cache_equals_a_fresh_one(rows, tokenizer, tmp_path, monkeypatch):
    fresh = TokenizedDataset.of_rows(rows, tokenizer, tmp_path)
    assert fresh.labels.tolist() == [2.5, 4.0] and fresh.per_row == 2
    monkeypatch.setattr(TokenizedDataset, "of_texts", None)  # what is in the cache is not tokenised again
    assert same(TokenizedDataset.of_rows(rows, tokenizer, tmp_path), fresh)


def test_the_cache_of_a_test_file_keeps_that_it_has_no_labels(rows, tokenizer, tmp_path):
    blank = read_rows(rows.path, rows.task, "test")
    for _ in range(2):
        assert TokenizedDataset.of_rows(blank, tokenizer, tmp_path / "cache").labels.isnan().all()


@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: raw[: len(raw) // 2], lambda raw: b"\xff" * len(raw)])
def test_a_damaged_cache_file_is_made_anew(rows, tokenizer, tmp_path, damage):
    cache = tmp_path / "cache"
    fresh = TokenizedDataset.of_rows(rows, tokenizer, cache)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert same(TokenizedDataset.of_rows(rows, tokenizer, cache), fresh)
    assert path.read_bytes() == whole
    assert list(load_file(path)) and list(cache.iterdir()) == [path]


def test_a_changed_file_is_tokenised_anew(rows, tokenizer, tmp_path):
    cache = tmp_path / "cache"
    TokenizedDataset.of_rows(rows, tokenizer, cache)
    rows.path.write_text(rows.path.read_text().replace("cat", "cow"))
    changed = read_rows(rows.path, rows.task, "dev")
    table = TokenizedDataset.of_rows(changed, tokenizer, cache)
    assert same(table, TokenizedDataset.of_texts([each.texts for each in changed.examples], tokenizer, changed.labels))
    assert len(list(cache.iterdir())) == 2


def test_rows_that_were_left_out_are_not_found_in_the_cache_of_other_rows_of_the_file(rows, tokenizer, tmp_path):
    for kept in (rows.examples, rows.examples[:1], rows.examples[1:]):
        some = Rows(rows.task, rows.split, rows.path, rows.sha256, kept)
        table = TokenizedDataset.of_rows(some, tokenizer, tmp_path / "cache")
        assert same(table, TokenizedDataset.of_texts([each.texts for each in kept], tokenizer, some.labels))


def test_another_tokenizer_has_a_cache_of_its_own(rows, tokenizer, tmp_path):
    cache = tmp_path / "cache"
    TokenizedDataset.of_rows(rows, tokenizer, cache)
    other = copy.deepcopy(tokenizer.backend)
    other.add_tokens(["cat"])
    other = Tokenizer(other)
    table = TokenizedDataset.of_rows(rows, other, cache)
    assert same(table, TokenizedDataset.of_texts([each.texts for each in rows.examples], other, rows.labels))
    assert len(list(cache.iterdir())) == 2


def test_the_cache_lies_where_the_environment_says(rows, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("MTBERT_CACHE", str(tmp_path / "here"))
    TokenizedDataset.of_rows(rows, tokenizer)
    assert [path.suffix for path in (tmp_path / "here").iterdir()] == [".safetensors"]


def test_texts_are_tokenised_alike_whatever_chunk_they_fall_in(tokenizer, monkeypatch):
    whole = TokenizedDataset.of_texts(PAIRS, tokenizer)
    monkeypatch.setattr("mtbert.data.tokens._CHUNK", 7)
    assert torch.equal(TokenizedDataset.of_texts(PAIRS, tokenizer).ids, whole.ids)


def test_labels_are_kept_beside_their_rows(tokenizer):
    examples = [Example(str(number), ("text",), float(number % 5)) for number in range(9)]
    table = TokenizedDataset.of_texts([each.texts for each in examples], tokenizer, [each.label for each in examples])
    assert table.labels.tolist() == [each.label for each in examples] and len(table) == 9
