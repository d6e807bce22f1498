"""What the text of notebook 12 says of recorded measurements and of figures that others print."""

import re

from workbook.lessons import LESSONS, cells_of, prose

from mtbert.experiments.report_tables import read_facts
from mtbert.experiments.results import read_table
from mtbert.nn import flops
from mtbert.nn.bert import BertConfig
from mtbert.optim import fused_adamw
from mtbert.utils import paths
from mtbert.workbook import benchmarks

PROSE = prose("12")
CODE = "\n".join(cell.source for cell in cells_of(LESSONS["12"]) if cell.cell_type == "code")


def test_more_than_half_of_a_random_batch_of_real_rows_is_padding_and_windows_remove_most_of_it():
    fills = benchmarks.fills()
    assert "On the real data more than half of a random batch is padding" in PROSE and (fills.random < 0.5).all()
    removed = (fills["windows of ten"] - fills.random) / (1 - fills.random)
    assert "windows remove most of it" in PROSE and (removed > 0.5).all()
    assert "Sorting within windows comes close to sorting everything" in CODE
    assert ((fills["windows of ten"] - fills.random) / (fills.sorted - fills.random)).min() > 0.7
    assert "Packing removes all of it" in PROSE and (fills.packed == 1).all()


def test_the_reports_rows_and_times_are_those_of_the_facts():
    facts = read_facts().set_index("fact").value
    minutes = [facts[f"training of the {model} model"] for model in ("naive multitask", "combined")]
    assert f"the reports train on {facts['Quora train rows']:,.0f} pairs of Quora" in PROSE
    assert f"took about {minutes[0]:.0f} minutes and about two hours" in PROSE and minutes[1] == 120
    rows = 8 * facts["batches in an epoch"]
    assert "for an epoch of about as many rows" in PROSE and abs(rows / facts["Quora train rows"] - 1) < 0.05
    assert not re.search(r"\b14[01]_?\d{3}\b", CODE)


def test_the_first_rung_that_removes_padding_gains_most_of_the_recorded_ladder():
    ladder = benchmarks.ladder()
    assert "The first optimization is the one that the fill of the real data predicted" in PROSE
    assert ladder.gain[1:].idxmax() == "packed" == ladder.index[1]
    assert not read_table(paths.RESULTS / "ladder.csv").device.str.startswith("cuda").any()  # "not measured a GPU"
    assert "We have not measured a GPU" in PROSE


def test_the_chunk_of_the_packages_adamw_is_that_of_the_text():
    assert "chunks of 2¹⁸ weights: 4 MB for the four vectors" in PROSE
    assert fused_adamw._CHUNK == 2**18 and 4 * 4 * 2**18 / 2**20 == 4


def test_a_cpu_waits_for_products_and_a_gpu_for_memory():
    parts = flops.step_parts(BertConfig(), [30] * 48, 2)
    card = flops.DATASHEET["H200"]
    waiting = [part for part in parts if part.bytes / card.bandwidth > part.flops / card.peak_flops]
    share = sum(map(card.seconds, waiting)) / sum(map(card.seconds, parts))
    assert "the GPU spends more than half of this step on work that waits for memory" in PROSE and 0.5 < share < 0.6
    core = flops.DeviceSpec(peak_flops=1e11, bandwidth=4e10)  # about what one core reaches
    products = sum(core.seconds(part) for part in parts if part.name.endswith("products"))
    assert "On a CPU you wait for matrix products" in PROSE and products / sum(map(core.seconds, parts)) > 0.9
