"""A tokenizer from an encoder's folder and back: the same token ids as in transformers, or a refusal by name.

transformers takes BERT's normalization (lower case, accents, Chinese characters) from tokenizer_config.json, even where
tokenizer.json says otherwise, and builds everything else as BERT has it. So does ``read_tokenizer``; what it cannot
follow, it refuses.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.implementations import BertWordPieceTokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from mtbert.data.tokens import Tokenizer
from mtbert.nn.weights import AGAIN
from mtbert.utils.errors import UserError, shorten
from mtbert.utils.files import atomic_write, write_json
from mtbert.utils.json_files import check_types, read_object

_CONFIG = "tokenizer_config.json"
_BERT, _AS_IT_IS = "BertTokenizer", "PreTrainedTokenizerFast"  # tokenizer.json is read as it is for the second
_CLASSES = {_BERT: _BERT, "BertTokenizerFast": _BERT, "DistilBertTokenizer": _BERT, "DistilBertTokenizerFast": _BERT}
_CLASSES |= {_AS_IT_IS: _AS_IT_IS, "TokenizersBackend": _AS_IT_IS}
_SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("cls", "sep", "unk", "pad", "mask")}
# a field of tokenizer_config.json: (the normalizer's name for it, transformers' default)
_NORMALIZATION: dict[str, tuple[str, Any]] = {
    "do_lower_case": ("lowercase", True),
    "tokenize_chinese_chars": ("handle_chinese_chars", True),
    "strip_accents": ("strip_accents", None),  # None: as do_lower_case
}


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of tokenizer.json, or else of vocab.txt, with the settings of tokenizer_config.json.

    Raises:
        UserError: for a damaged file, and for what would make transformers return other token ids.
    """
    config = folder / _CONFIG
    settings = read_object(config, AGAIN) if config.is_file() else {}
    _check_settings(settings, config)
    path = folder / "tokenizer.json"
    if path.is_file():
        backend = _read_backend(path)
        if _class(settings, config) == _BERT:
            _check_components(backend, path)
            _normalize_as(backend, settings, path, config)
    else:
        path = folder / "vocab.txt"
        vocabulary = _read_vocabulary(path)
        options = {option: settings.get(name, default) for name, (option, default) in _NORMALIZATION.items()}
        backend = tokenizers.Tokenizer.from_str(BertWordPieceTokenizer(vocabulary, **options).to_str())
    _check_added_tokens(backend, settings, path)
    try:
        return Tokenizer(backend)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def write_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Write tokenizer.json and tokenizer_config.json; ``max_length``: tokens that the encoder has positions for."""
    backend = tokenizer.backend
    settings: dict[str, Any] = {"tokenizer_class": _AS_IT_IS, **_SPECIAL_TOKENS}
    if isinstance(backend.normalizer, BertNormalizer):
        options = {name: getattr(backend.normalizer, option) for name, (option, _) in _NORMALIZATION.items()}
        settings = {"tokenizer_class": _BERT, **options}
    atomic_write(folder / "tokenizer.json", backend.to_str(pretty=True))
    write_json(folder / _CONFIG, {**settings, "model_max_length": max_length})


def _class(settings: dict[str, Any], config: Path) -> str:
    name = settings.get("tokenizer_class") or _BERT
    if not isinstance(name, str) or name not in _CLASSES:
        raise UserError(f"{config}: tokenizer_class is {shorten(name)}, but mtbert supports only {_BERT}")
    return _CLASSES[name]


def _check_settings(settings: dict[str, Any], config: Path) -> None:
    for name in _NORMALIZATION:
        value = settings.get(name, True)
        if not isinstance(value, bool) and (name != "strip_accents" or value is not None):
            raise UserError(f"{config}: {name} is {shorten(value)}, but must be true or false")
    if settings.get("split_special_tokens"):
        raise UserError(f"{config}: split_special_tokens is set, but mtbert supports only false")
    if _class(settings, config) == _AS_IT_IS and not (config.parent / "tokenizer.json").is_file():
        raise UserError(f"{config}: tokenizer_class {_AS_IT_IS} needs tokenizer.json, which does not exist: {AGAIN}")


def _check_added_tokens(backend: tokenizers.Tokenizer, settings: dict[str, Any], path: Path) -> None:
    """Refuse a tokenizer that lacks tokens which transformers would add to it, or gives them other ids."""
    declared = dict(_declared_tokens(settings, path.parent))
    for token, (token_id, source) in declared.items():
        known = backend.token_to_id(token)
        if known is None:
            raise UserError(f"{source} names the token {shorten(token)}, which is not in {path.name}: {AGAIN}")
        if token_id not in (None, str(known)):
            raise UserError(f"{source}: token {shorten(token)} has id {token_id}, but {known} in {path.name}: {AGAIN}")
    added = {token.content for token in backend.get_added_tokens_decoder().values()} - set(_SPECIAL_TOKENS.values())
    if "added_tokens_decoder" in settings and added - declared.keys():
        config = path.with_name(_CONFIG)
        raise UserError(
            f"{path} adds {shorten(min(added - declared.keys()))}, which {config.name} does not list: {AGAIN}"
        )


def _declared_tokens(settings: dict[str, Any], folder: Path) -> Iterator[tuple[str, tuple[str | None, Path]]]:
    """Token -> (id, file) of what the other files add to a vocabulary. UserError for another [CLS], [SEP], ..."""
    maps = [(folder / _CONFIG, settings)]
    if (path := folder / "special_tokens_map.json").is_file():
        maps.append((path, read_object(path, AGAIN)))
    for path, fields in maps:
        for name, expected in _SPECIAL_TOKENS.items():
            token = _content(fields.get(name))
            if token not in (None, expected):
                raise UserError(f"{path}: {name} is {shorten(token)}, but mtbert supports only {expected!r}")
        for name in ("additional_special_tokens", "extra_special_tokens"):
            tokens = fields.get(name) or []
            if not isinstance(tokens, dict):
                check_types({name: tokens}, {name: list}, path, AGAIN)
            for token in tokens.values() if isinstance(tokens, dict) else tokens:
                yield str(_content(token)), (None, path)
        if fields.get("added_tokens_decoder") is not None:
            check_types(fields, {"added_tokens_decoder": dict}, path, AGAIN)
            for token_id, token in fields["added_tokens_decoder"].items():
                yield str(_content(token)), (token_id, path)
    if (path := folder / "added_tokens.json").is_file():
        yield from ((token, (str(token_id), path)) for token, token_id in read_object(path, AGAIN).items())


def _content(token: Any) -> Any:
    """A token as text: settings write it so, or as an object with flags."""
    return token.get("content") if isinstance(token, dict) else token


def _read_backend(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise UserError(f"{path} is damaged ({shorten(str(error))}): {AGAIN}") from None


def _check_components(backend: tokenizers.Tokenizer, path: Path) -> None:
    """Refuse what transformers' BertTokenizer would replace by BERT's own."""
    model, normalizer = backend.model, backend.normalizer
    options = ("unk_token", "[UNK]"), ("continuing_subword_prefix", "##"), ("max_input_chars_per_word", 100)
    standard = {
        "model": isinstance(model, WordPiece) and all(getattr(model, name) == value for name, value in options),
        "normalizer": isinstance(normalizer, BertNormalizer) and normalizer.clean_text,
        "pre_tokenizer": isinstance(backend.pre_tokenizer, BertPreTokenizer),
    }
    for part, is_standard in standard.items():
        if not is_standard:
            raise UserError(
                f"{path}: the {part} is not BERT's, so transformers would not use it: set tokenizer_class in "
                f"tokenizer_config.json to {_AS_IT_IS} if it is right"
            )


def _normalize_as(backend: tokenizers.Tokenizer, settings: dict[str, Any], path: Path, config: Path) -> None:
    """Normalize as the settings say. Where they say nothing and transformers' default differs, neither is guessed."""
    here = {option: getattr(backend.normalizer, option) for option, _ in _NORMALIZATION.values()}
    wanted = {option: settings.get(name, default) for name, (option, default) in _NORMALIZATION.items()}
    if _with_accents_decided(here) == _with_accents_decided(wanted):
        return
    for name, (option, _) in _NORMALIZATION.items():
        if name not in settings and here[option] not in (None, _with_accents_decided(wanted)[option]):
            raise UserError(
                f"{path} has {option} {here[option]}, but {config.name} does not set {name}, which transformers then "
                f"takes as {wanted[option]}: set {name} in {config.name}"
            )
    backend.normalizer = BertNormalizer(clean_text=True, **wanted)


def _with_accents_decided(options: dict[str, Any]) -> dict[str, Any]:
    """The same options, where ``strip_accents`` is None as ``lowercase``."""
    return {
        **options,
        "strip_accents": options["lowercase"] if options["strip_accents"] is None else options["strip_accents"],
    }


def _read_vocabulary(path: Path) -> dict[str, int]:
    """The token of each line, with its line number from 0 as its id."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: an encoder's folder needs tokenizer.json or vocab.txt")
    try:
        lines = path.read_bytes().decode("utf-8-sig").rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): {AGAIN}") from None
    vocabulary: dict[str, int] = {}
    for index, line in enumerate(lines):
        token = line.rstrip()
        if token in vocabulary:
            raise UserError(f"{path}: lines {vocabulary[token] + 1} and {index + 1} are both {shorten(token)}: {AGAIN}")
        vocabulary[token] = index
    for token in ("[UNK]", "[CLS]", "[SEP]"):
        if token not in vocabulary:
            raise UserError(f"{path} has no {token}: give the vocabulary of a BERT")
    return vocabulary
