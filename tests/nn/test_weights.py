"""Weights of an encoder: found as one file or as shards, and refused by tensor where no model can compute with them."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers import small_config
from safetensors.torch import load_file, save_file

import mtbert
from mtbert.nn.bert import Bert
from mtbert.nn.weights import INDEX, WEIGHTS
from mtbert.utils.errors import UserError

NAME = "encoder.layer.1.output.dense.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    tokenizer = mtbert.load_encoder("tiny").tokenizer
    torch.manual_seed(0)
    mtbert.Encoder(Bert(small_config(vocab_size=30522)), tokenizer, "small").save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return shutil.copytree(saved, tmp_path / "encoder")


def shard(folder: Path, parts: int = 3) -> dict[str, str]:
    """Split the weights into several files, as transformers does; returns the index's map."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    files = {name: f"model-{index % parts:05}-of-{parts:05}.safetensors" for index, name in enumerate(tensors)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in tensors if files[name] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": files}))
    return files


def test_shards_are_read_as_one_file_and_a_changed_one_changes_the_checksum(saved, folder):
    files = shard(folder)
    whole, sharded = mtbert.load_encoder(saved), mtbert.load_encoder(folder)
    for name, tensor in whole.bert.state_dict().items():
        assert torch.equal(sharded.bert.state_dict()[name], tensor), name
    assert mtbert.load_encoder(folder).sha256 == sharded.sha256 != whole.sha256
    path = folder / files[NAME]
    save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path)
    assert mtbert.load_encoder(folder).sha256 != sharded.sha256


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "", "..", 5, ["a"], "missing.safetensors"])
def test_an_index_names_files_beside_it(folder, name):
    files = shard(folder)
    (folder / INDEX).write_text(json.dumps({"weight_map": {**files, NAME: name}}))
    with pytest.raises(UserError, match=f"^{folder}.*{INDEX}|^{folder}.*missing"):
        mtbert.load_encoder(folder)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": []}', '{"weight_map": {}}', "["])
def test_an_index_without_files_is_named(folder, content):
    shard(folder)
    (folder / INDEX).write_text(content)
    with pytest.raises(UserError, match=f"^{folder / INDEX}"):
        mtbert.load_encoder(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model-1-of-2.bin", "tf_model.h5", "x.ckpt.data"])
def test_weights_of_another_format_are_named_with_how_to_convert_them(folder, name):
    (folder / WEIGHTS).rename(folder / name)
    with pytest.raises(UserError, match=f"^{folder / WEIGHTS}.*{name}.*save_pretrained"):
        mtbert.load_encoder(folder)


def rewrite(path: Path, change) -> None:
    tensors = load_file(path)
    save_file({name: change(tensor) if name == NAME else tensor for name, tensor in tensors.items()}, path)


def with_value(value: float):
    def change(tensor):
        tensor[2, 3] = value
        return tensor

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (with_value(float("nan")), "NaN or infinite"),
        (with_value(-float("inf")), "NaN or infinite"),
        (lambda tensor: tensor.double() + 1e300, "NaN or infinite"),  # infinite as a 32-bit float
        (lambda tensor: (100 * tensor).to(torch.int8), "int8"),
        (lambda tensor: tensor.bool(), "bool"),
        (lambda tensor: tensor.to(torch.float8_e4m3fn), "float8"),
    ],
)
def test_weights_that_no_model_computes_with_are_refused(folder, change, named):
    rewrite(folder / WEIGHTS, change)
    with pytest.raises(UserError, match=f"^{folder / WEIGHTS}.*'{NAME}'.*{named}"):
        mtbert.load_encoder(folder)
    assert mtbert.load_encoder(folder, num_layers=1)  # which does not read that tensor


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_any_size_are_read_and_other_tensors_are_left_alone(saved, folder, dtype):
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file({**tensors, "embeddings.position_ids": torch.arange(24)}, folder / WEIGHTS)
    expected = mtbert.load_encoder(saved).bert.state_dict()
    for name, tensor in mtbert.load_encoder(folder).bert.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, expected[name].to(dtype).float()), name
