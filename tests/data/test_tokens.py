"""Rows to tokens: what BERT reads is what the tokenizers library would give it."""

import copy
import dataclasses
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mtbert
from mtbert.data import Rows, TokenizedDataset, Tokenizer, get_task, read_rows
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
    backend = copy.deepcopy(tokenizer.backend)

    def encode(texts, max_length=None):
        if max_length is None:
            backend.no_truncation()
        else:
            backend.enable_truncation(max_length, strategy="longest_first")
        encoding = backend.encode(*texts)
        return encoding.ids, encoding.type_ids

    return encode


def sequences_of(dataset):
    """(ids, token types) of each sequence of an EncodedDataset."""
    ids, types = dataset.ids.tolist(), dataset.token_types.tolist()
    return [(ids[i:j], types[i:j]) for i, j in itertools.pairwise(dataset.cu_seqlens.tolist())]


def encode(texts, tokenizer, encoding="cross", max_length=512):
    return TokenizedDataset.from_texts(texts, tokenizer).encode(encoding, max_length, tokenizer)


@pytest.mark.parametrize("encoding", ["cross", "bi", "both"])
def test_a_sentence_is_cls_tokens_sep(tokenizer, library, encoding):
    dataset = encode([(text,) for text in TEXTS], tokenizer, encoding)
    assert sequences_of(dataset) == [library([text]) for text in TEXTS]
    assert dataset.sequences_per_row == 1 and len(dataset) == len(TEXTS) and dataset.num_truncated == 0


def test_a_cross_encoded_pair_is_one_sequence_and_a_bi_encoded_pair_two(tokenizer, library):
    cross, bi = encode(PAIRS, tokenizer, "cross"), encode(PAIRS, tokenizer, "bi")
    assert sequences_of(cross) == [library(pair) for pair in PAIRS]
    assert sequences_of(bi) == [library([text]) for pair in PAIRS for text in pair]
    assert (cross.sequences_per_row, bi.sequences_per_row) == (1, 2) and len(cross) == len(bi) == len(PAIRS)


@pytest.mark.parametrize("max_length", [6, 512])
def test_a_pair_in_both_encodings_is_its_two_sentences_and_then_the_pair(tokenizer, max_length):
    cross, bi, both = (encode(PAIRS, tokenizer, encoding, max_length) for encoding in ("cross", "bi", "both"))
    apart, together = sequences_of(bi), sequences_of(cross)
    expected = [[*apart[2 * row : 2 * row + 2], together[row]] for row in range(len(PAIRS))]
    assert sequences_of(both) == [sequence for row in expected for sequence in row]
    assert both.sequences_per_row == 3 and len(both) == len(PAIRS)
    assert both.num_truncated == cross.num_truncated + bi.num_truncated and both.num_special == cross.num_special
    alone = [(text,) for text in TEXTS]
    assert sequences_of(encode(alone, tokenizer, "both")) == sequences_of(encode(alone, tokenizer))


@given(st.tuples(SENTENCES, SENTENCES), st.lists(SENTENCES, min_size=1, max_size=5), st.integers(4, 80))
def test_long_sequences_are_truncated_as_the_library_truncates_them(tokenizer, library, pair, texts, max_length):
    for rows in ([pair], [(text,) for text in texts]):
        dataset = encode(rows, tokenizer, "cross", max_length)
        assert sequences_of(dataset) == [library(row, max_length) for row in rows]
        assert dataset.num_truncated == sum(len(library(row)[0]) > max_length for row in rows)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 300))
def test_longest_first_is_the_same_as_dropping_one_token_at_a_time(left, right, room):
    a, b = (int(length) for length in _longest_first(torch.tensor([left]), torch.tensor([right]), room))
    assert a + b == min(left + right, room) and a <= left and b <= right
    assert a == left or a >= b - 1  # a text that was cut is no shorter than the other, but for an odd token
    assert b == right or b >= a - 1


def test_a_tokenizer_file_with_truncation_or_padding_is_not_obeyed(tokenizer):
    backend = copy.deepcopy(tokenizer.backend)
    backend.enable_truncation(4)
    backend.enable_padding(length=64)
    assert Tokenizer(backend)(TEXTS) == tokenizer(TEXTS)
    assert tokenizer.convert_ids_to_tokens(tokenizer(["unfathomably"])[0])[0] == "un"


def test_texts_are_tokenized_alike_whatever_chunk_they_fall_in(tokenizer, monkeypatch):
    whole = TokenizedDataset.from_texts(PAIRS, tokenizer)
    monkeypatch.setattr("mtbert.data.tokens._CHUNK", 7)
    assert torch.equal(TokenizedDataset.from_texts(PAIRS, tokenizer).ids, whole.ids)


@pytest.fixture(scope="module")
def encoded(tokenizer):
    """The pairs in each encoding."""
    return {encoding: encode(PAIRS, tokenizer, encoding) for encoding in ("cross", "bi", "both")}


@pytest.mark.parametrize("encoding", ["cross", "bi", "both"])
@given(rows=st.lists(st.integers(0, len(PAIRS) - 1), min_size=1, max_size=20))
def test_a_batch_is_its_rows_sequences_end_to_end(encoded, encoding, rows):
    dataset = encoded[encoding]
    all_sequences, per_row = sequences_of(dataset), dataset.sequences_per_row
    sequences = [all_sequences[row * per_row + part] for row in rows for part in range(per_row)]
    batch = dataset.batch(torch.tensor(rows))
    assert batch.ids.tolist() == [token for ids, _ in sequences for token in ids]
    assert batch.token_types.tolist() == [kind for _, types in sequences for kind in types]
    assert batch.lengths == [len(ids) for ids, _ in sequences]
    assert batch.ids.dtype == batch.token_types.dtype == torch.int64


@pytest.mark.parametrize("encoding", ["cross", "bi", "both"])
@given(tokens=st.integers(1, 200))
def test_batches_cover_every_row_exactly_once_and_keep_to_their_size(encoded, encoding, tokens):
    dataset = encoded[encoding]
    covered = []
    for rows, batch in dataset.batches(tokens):
        assert batch.ids.tolist() == dataset.batch(rows).ids.tolist()
        assert batch.tokens < tokens + int(dataset.row_lengths.max())
        covered += rows.tolist()
    assert sorted(covered) == list(range(len(PAIRS)))


def test_batches_group_rows_of_similar_length_and_may_be_filled_exactly(tokenizer):
    dataset = encode([("word " * count,) for count in (30, 1, 20, 2, 10)], tokenizer)
    assert [row for rows, _ in dataset.batches(25) for row in rows.tolist()] == [1, 3, 4, 2, 0]
    dataset = encode([("a film",)] * 6, tokenizer)  # 4 tokens each
    assert [len(rows) for rows, _ in dataset.batches(12)] == [3, 3]


@pytest.fixture
def rows(tmp_path) -> Rows:
    path = tmp_path / "sts-dev.csv"
    path.write_text("id,sentence1,sentence2,similarity\na,One cat,Two cats,2.5\nb,A dog,The dog runs,4\n")
    return read_rows(path, get_task("sts"), "dev")


def same(one: TokenizedDataset, other: TokenizedDataset) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("ids", "cu_seqlens", "labels")]
    equal = (a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)
    return all(equal) and one.texts_per_row == other.texts_per_row


def fresh(rows, tokenizer):
    return TokenizedDataset.from_texts([example.texts for example in rows.examples], tokenizer, rows.labels)


def test_a_data_set_from_the_cache_equals_a_fresh_one(rows, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("MTBERT_CACHE", str(tmp_path / "cache"))
    blank = read_rows(rows.path, rows.task, "test")
    expected = [(some, fresh(some, tokenizer)) for some in (rows, blank)]
    for some, dataset in expected:
        assert same(TokenizedDataset.from_rows(some, tokenizer), dataset)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".safetensors"] * 2
    monkeypatch.setattr(TokenizedDataset, "from_texts", None)  # what is in the cache is not tokenized again
    assert expected[0][1].labels.tolist() == [2.5, 4.0] and expected[-1][1].labels.isnan().all()
    for some, dataset in expected:
        assert same(TokenizedDataset.from_rows(some, tokenizer), dataset)
    examples = [example._replace(label=1.0) for example in rows.examples]
    relabeled = dataclasses.replace(rows, examples=examples)
    assert TokenizedDataset.from_rows(relabeled, tokenizer).labels.tolist() == [1.0, 1.0]  # labels are not cached


@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: raw[: len(raw) // 2], lambda raw: b"\xff" * len(raw)])
def test_a_damaged_cache_file_is_written_again(rows, tokenizer, tmp_path, damage):
    cache = tmp_path / "cache"
    TokenizedDataset.from_rows(rows, tokenizer, cache)
    (path,) = cache.iterdir()
    raw = path.read_bytes()
    path.write_bytes(damage(raw))
    assert same(TokenizedDataset.from_rows(rows, tokenizer, cache), fresh(rows, tokenizer))
    assert path.read_bytes() == raw and list(cache.iterdir()) == [path]


def test_no_flipped_bit_of_a_cache_file_goes_unnoticed(rows, tokenizer, tmp_path):
    TokenizedDataset.from_rows(rows, tokenizer, tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    raw, expected = path.read_bytes(), fresh(rows, tokenizer)
    for index in range(len(raw)):
        damaged = bytearray(raw)
        damaged[index] ^= 1 << index % 8
        path.write_bytes(damaged)
        assert same(TokenizedDataset.from_rows(rows, tokenizer, tmp_path), expected), index


def test_tokens_of_another_tokenizer_or_of_other_rows_under_its_name_are_not_read(rows, tokenizer, tmp_path):
    backend = copy.deepcopy(tokenizer.backend)
    backend.add_tokens(["cat"])
    fewer = dataclasses.replace(rows, examples=rows.examples[:1])
    TokenizedDataset.from_rows(rows, tokenizer, tmp_path / "right")
    (right,) = (tmp_path / "right").iterdir()
    for some, its_tokenizer in ((rows, Tokenizer(backend)), (fewer, tokenizer)):
        TokenizedDataset.from_rows(some, its_tokenizer, tmp_path / "wrong")
        (wrong,) = (tmp_path / "wrong").iterdir()
        wrong.rename(right)
        assert same(TokenizedDataset.from_rows(rows, tokenizer, right.parent), fresh(rows, tokenizer))


def full_disk(*args):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("folder", ["file/below", "file", "x" * 5000, "full", "occupied"])
def test_a_cache_that_cannot_be_used_is_logged_once_and_done_without(
    rows, tokenizer, tmp_path, folder, messages, monkeypatch
):
    (tmp_path / "file").write_text("no folder")
    if folder == "occupied":
        TokenizedDataset.from_rows(rows, tokenizer, tmp_path / folder)
        (path,) = (tmp_path / folder).iterdir()
        path.unlink()
        path.mkdir()
    if folder == "full":
        monkeypatch.setattr("mtbert.data.tokens.atomic_write", full_disk)
    monkeypatch.setenv("MTBERT_CACHE", str(tmp_path / folder))
    for _ in range(2):
        assert same(TokenizedDataset.from_rows(rows, tokenizer), fresh(rows, tokenizer))
    assert len(messages) == 1 and "MTBERT_CACHE" in messages[0] and len(messages[0]) < 300


def test_special_tokens_that_texts_spell_are_counted(tokenizer):
    dataset = encode([("a [SEP] b [MASK]",), ("[CLS] [sep] a film [UNK]",), ("☃",)], tokenizer)
    assert dataset.num_special == 3
    (note,) = dataset.notes("file.csv", 512)
    assert "file.csv" in note and "3" in note
    assert encode([("a film", "no [sep]")], tokenizer).notes("file.csv", 512) == []


def test_other_rows_and_another_tokenizer_have_cache_files_of_their_own(rows, tokenizer, tmp_path):
    backend = copy.deepcopy(tokenizer.backend)
    backend.add_tokens(["cat"])
    variants = [dataclasses.replace(rows, examples=some) for some in (rows.examples, rows.examples[:1])]
    rows.path.write_text(rows.path.read_text().replace("cat", "cow"))
    variants.append(read_rows(rows.path, rows.task, "dev"))
    for some, its_tokenizer in [*((some, tokenizer) for some in variants), (rows, Tokenizer(backend))]:
        assert same(TokenizedDataset.from_rows(some, its_tokenizer, tmp_path / "cache"), fresh(some, its_tokenizer))
    assert len(list((tmp_path / "cache").iterdir())) == 4
