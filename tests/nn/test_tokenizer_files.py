"""Tokenizers from folders: the ids of transformers for every setting, or a refusal that names it."""

import json
import shutil
from pathlib import Path

import pytest

import mtbert
from mtbert.nn.tokenizer_files import read_tokenizer, write_tokenizer
from mtbert.utils.errors import UserError

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

TEXTS = ["naïve café", "Ein Haus", "a\u0301 北京 is big", "<b> hello [MASK] world", "re-entry\tin 1.5 s", "\x00 ☃"]
FILES = [("tokenizer.json",), ("vocab.txt",), ("tokenizer.json", "vocab.txt")]
TOKEN = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Path:
    """A folder with tokenizer.json, vocab.txt and config.json."""
    folder = tmp_path_factory.mktemp("complete")
    mtbert.load_encoder("tiny", hidden_size=4, num_attention_heads=1, intermediate_size=4).save(folder)
    vocabulary = transformers.AutoTokenizer.from_pretrained(folder).get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)), encoding="utf-8")
    return folder


@pytest.fixture
def folder(complete, tmp_path) -> Path:
    """The same without model and settings, for the test to change."""
    for name in ("tokenizer.json", "vocab.txt", "config.json"):
        shutil.copy(complete / name, tmp_path)
    return tmp_path


def keep(folder: Path, files: tuple[str, ...]) -> None:
    for name in {"tokenizer.json", "vocab.txt"} - set(files):
        (folder / name).unlink()


def set_up(folder: Path, **settings) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def change_backend(folder: Path, part: str, **changes) -> None:
    path = folder / "tokenizer.json"
    fields = json.loads(path.read_text())
    fields[part] = {**fields[part], **changes}
    path.write_text(json.dumps(fields))


def assert_ids_of_transformers(folder: Path) -> list[list[int]]:
    tokenizer, peer = read_tokenizer(folder), transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS)
    assert ids == [peer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    return ids


@pytest.mark.parametrize("files", FILES, ids="+".join)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": False, "strip_accents": None, "tokenize_chinese_chars": False},
        {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False, "do_basic_tokenize": False},
        {"tokenizer_class": "DistilBertTokenizer", "strip_accents": False, "never_split": ["haus"]},
        {
            "mask_token": {"__type": "AddedToken", "content": "[MASK]", **TOKEN},
            "additional_special_tokens": ["[MASK]", "[PAD]"],
        },
        {"added_tokens_decoder": {"103": {"content": "[MASK]", **TOKEN}}},
    ],
    ids=str,
)
def test_settings_give_the_ids_of_transformers_also_after_saving(folder, files, settings, tmp_path_factory):
    keep(folder, files)
    set_up(folder, **settings)
    ids = assert_ids_of_transformers(folder)
    saved = tmp_path_factory.mktemp("saved")
    write_tokenizer(read_tokenizer(folder), saved, 512)
    shutil.copy(folder / "config.json", saved)
    assert assert_ids_of_transformers(saved) == ids


def test_without_settings_a_folder_has_those_of_transformers(folder):
    assert_ids_of_transformers(folder)


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "TokenizersBackend"])
def test_a_general_tokenizer_class_means_tokenizer_json_as_it_is(folder, name, tmp_path_factory):
    change_backend(folder, "normalizer", lowercase=False, clean_text=False)
    set_up(folder, tokenizer_class=name, do_lower_case=True)
    assert_ids_of_transformers(folder)
    change_backend(folder, "normalizer", type="Lowercase")
    ids = assert_ids_of_transformers(folder)
    saved = tmp_path_factory.mktemp("saved")
    write_tokenizer(read_tokenizer(folder), saved, 512)
    shutil.copy(folder / "config.json", saved)
    assert assert_ids_of_transformers(saved) == ids
    keep(folder, ("vocab.txt",))
    with pytest.raises(UserError, match=r"tokenizer_class.*tokenizer\.json"):
        read_tokenizer(folder)


@pytest.mark.parametrize("files", FILES, ids="+".join)
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "tokenizer_class.*BertJapaneseTokenizer"),
        ({"tokenizer_class": ["BertTokenizer"]}, "tokenizer_class"),
        ({"do_lower_case": "false"}, "do_lower_case.*'false'"),
        ({"do_lower_case": None}, "do_lower_case.*None"),
        ({"strip_accents": 0}, "strip_accents.*0"),
        ({"sep_token": "<b>"}, "sep_token.*<b>"),
        ({"mask_token": {"content": "<mask>"}}, "mask_token.*<mask>"),
        ({"additional_special_tokens": ["<b>"]}, "<b>"),
        ({"extra_special_tokens": {"bold_token": "<b>"}}, "<b>"),
        ({"extra_special_tokens": 5}, "extra_special_tokens.*5"),
        ({"added_tokens_decoder": {"30522": {"content": "<b>"}}}, "<b>"),
        ({"added_tokens_decoder": {"7": {"content": "film"}}}, "film.*7"),
        ({"added_tokens_decoder": []}, "added_tokens_decoder"),
        ({"split_special_tokens": True}, "split_special_tokens"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_followed_are_refused_by_name(folder, files, settings, named):
    keep(folder, files)
    set_up(folder, **settings)
    with pytest.raises(UserError, match=rf"^{folder / 'tokenizer_config.json'}.*{named}"):
        read_tokenizer(folder)


@pytest.mark.parametrize("name", ["special_tokens_map.json", "added_tokens.json"])
def test_tokens_of_the_older_files_must_be_in_the_vocabulary(folder, name):
    path = folder / name
    path.write_text('{"film": 2143}' if name == "added_tokens.json" else '{"sep_token": "[SEP]"}')
    assert_ids_of_transformers(folder)
    path.write_text('{"<b>": 30522}' if name == "added_tokens.json" else '{"sep_token": "<b>"}')
    with pytest.raises(UserError, match=f"^{path}.*<b>"):
        read_tokenizer(folder)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("normalizer", {"clean_text": False}),
        ("normalizer", {"lowercase": False}),  # transformers would lower-case all the same, as nothing is set
        ("normalizer", {"strip_accents": False}),
        ("normalizer", {"type": "Lowercase"}),
        ("pre_tokenizer", {"type": "Whitespace"}),
        ("model", {"max_input_chars_per_word": 3}),
        ("model", {"continuing_subword_prefix": "@@"}),
    ],
)
def test_parts_of_tokenizer_json_that_transformers_would_replace_are_refused(folder, part, changes):
    change_backend(folder, part, **changes)
    with pytest.raises(UserError, match=rf"^{folder / 'tokenizer.json'}.*({part}|{next(iter(changes))})"):
        read_tokenizer(folder)


def test_an_added_token_must_be_in_the_settings_that_list_them(folder):
    backend = mtbert.load_encoder("tiny").tokenizer.backend
    backend.add_tokens(["naïve"])
    backend.save(str(folder / "tokenizer.json"))
    assert_ids_of_transformers(folder)
    set_up(folder, added_tokens_decoder={"103": {"content": "[MASK]", **TOKEN}})
    with pytest.raises(UserError, match="naïve"):
        read_tokenizer(folder)


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "film"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "UNK"),
        (b"\n\n", "UNK"),
        ("\n".join(word for word in WORDS if word != "[SEP]").encode(), "SEP"),
        ("\n".join(word for word in WORDS if word != "[UNK]").encode(), "UNK"),
        ("\n".join([*WORDS, "ä"]).encode("latin-1"), "UTF-8"),
        ("\n".join(WORDS).encode("utf-16"), "UTF-8"),
        ("\n".join([*WORDS, "a"]).encode(), "lines 5 and 7.*'a'"),
        ("\n".join([*WORDS, "", "b", ""]).encode() + b"\nc", "lines 7 and 9"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(folder, content, named):
    keep(folder, ("vocab.txt",))
    (folder / "vocab.txt").write_bytes(content)
    with pytest.raises(UserError, match=rf"^{folder / 'vocab.txt'}.*{named}"):
        read_tokenizer(folder)


@pytest.mark.parametrize("content", ["\n".join(WORDS), "\r\n".join(WORDS) + "\r\n\r\n", "\ufeff" + "\n".join(WORDS)])
def test_line_ends_blank_lines_at_the_end_and_a_byte_order_mark_do_not_matter(folder, content):
    keep(folder, ("vocab.txt",))
    (folder / "vocab.txt").write_bytes(content.encode())
    assert read_tokenizer(folder)(["a film", "no"]) == [[4, 5], [1]]
