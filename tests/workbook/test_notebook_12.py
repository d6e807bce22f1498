"""What the text of notebook 12 says of recorded measurements and of figures that others print."""

import re
from math import comb

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
    assert f"about {minutes[0]:.0f} minutes for an epoch of its plain model and around two hours" in PROSE
    assert minutes[1] == 120
    rows = 8 * facts["batches in an epoch"]
    assert "these epochs have about as many rows" in PROSE and abs(rows / facts["Quora train rows"] - 1) < 0.05
    assert not re.search(r"\b14[01]_?\d{3}\b", CODE)


def test_the_first_rung_that_removes_padding_gains_most_of_the_recorded_ladder():
    ladder = benchmarks.ladder()
    assert "*Packed* gains most, as the fill of the real data predicted" in PROSE
    assert ladder.gain[1:].idxmax() == "packed" == ladder.index[1]
    assert not read_table(paths.RESULTS / "ladder.csv").device.str.startswith("cuda").any()  # "not measured a GPU"
    assert "We have not measured a GPU" in PROSE


def test_what_sorting_gains_and_what_a_better_step_gains_on_the_recorded_rows():
    speed = benchmarks.steps()
    gain = speed.loc["transformers, grouped"] / speed.loc["transformers"]
    assert f"Sorting alone makes transformers {gain.min():.1f} to {gain.max():.1f} times as fast" in PROSE
    ours = speed.loc[["mtbert", "mtbert, grouped"]]
    left = ours.max() / speed.loc["transformers, grouped"]
    assert f"Only what remains, a factor of {left.min():.1f} to {left.max():.1f}, is a better step" in PROSE
    assert "Our own step hardly changes" in PROSE and (ours.max() / ours.min()).max() < 1.05
    assert "transformers is slowest of all" in PROSE and (speed.idxmin() == "transformers, packed").all()


def test_how_often_coins_win_so_many_of_nine_rounds():
    p = [2 * sum(comb(9, lost) for lost in range(most + 1)) / 2**9 for most in range(3)]
    assert "Nine wins of nine have a p of .004, eight .04, and seven .18" in PROSE
    assert [round(p[0], 3), round(p[1], 2), round(p[2], 2)] == [0.004, 0.04, 0.18]


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
