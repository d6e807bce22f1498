"""The playground shows the encoder's and the model's own numbers, large enough for a projector."""

import matplotlib.text
import pytest
import torch
from ipywidgets.widgets.widget import _instances

import mtbert
from mtbert.nn.attention import packed_attention
from mtbert.workbook.playground import (
    EXAMPLE,
    Playground,
    attention_weights,
    own_runs,
    sample_sentences,
    text_box,
    unit_vectors,
)
from mtbert.workbook.plots.explore import explore


@pytest.fixture(scope="module")
def run(tmp_path_factory, sample):
    recipe = mtbert.recipe("tiny").replace(epochs=1, steps_per_epoch=1)
    return mtbert.train(recipe, tmp_path_factory.mktemp("runs") / "mine", sample, progress=False).folder


@pytest.fixture(scope="module")
def playground(run):
    return Playground(run, sentences=30)


def test_sample_sentences_are_different_and_from_all_three_sets():
    sentences = sample_sentences(1000)
    assert len(sentences) == len(set(sentences)) == 1000
    assert sum(sentence.endswith("?") for sentence in sentences) > 200
    assert sample_sentences(10) == [sentence for sentence in sentences if sentence in sample_sentences(10)]


def test_what_the_notebook_says_of_two_heads_and_of_cls():
    encoder = mtbert.load_encoder("minilm")
    encoder.bert.eval()
    weights = torch.stack([attention_weights(encoder, EXAMPLE, layer)[1] for layer in range(6)])
    assert weights[0, 2].diagonal(-1)[1:].min() > 0.9  # the token before
    assert weights[1, 8].diagonal(1)[1:-1].mean() > 0.5  # the next one
    assert (weights[:, :, 1:-1, 0].mean(-1) > 0.5).sum() > 12  # many heads rest on [CLS]


def test_attention_weights_are_those_of_the_layer(playground):
    encoder = playground.encoder
    pieces, weights = attention_weights(encoder, EXAMPLE, 1)
    assert pieces[0] == "[CLS]" and pieces[-1] == "[SEP]" and weights.shape == (2, len(pieces), len(pieces))
    batch = encoder.pack([EXAMPLE])
    with torch.no_grad():
        qkv = encoder.bert.layers[1].qkv(encoder.bert.layers[0](encoder.bert.embeddings(batch), batch))
        expected = packed_attention(qkv, batch, 2)
        value = qkv.view(len(pieces), 3, 2, -1)[:, 2]
        torch.testing.assert_close(torch.einsum("hqk,khd->qhd", weights, value).flatten(1), expected)


def test_a_sentence_is_its_own_nearest_neighbor(playground):
    vectors = unit_vectors(playground.encoder, playground.sentences)
    torch.testing.assert_close(vectors, playground.vectors)
    assert (vectors @ vectors.T).argmax(dim=1).tolist() == list(range(30))
    texts = [text.get_text() for text in playground.neighbors(playground.sentences[7]).axes[0].texts]
    assert texts[:2] == [playground.sentences[7], "1.00"]


@pytest.mark.parametrize("text", ["A.", EXAMPLE, "Unbelievably photogenic cinematography overwhelms everything. " * 9])
def test_every_figure_can_be_read_from_the_last_row(playground, text):
    figures = [
        playground.tokens(text),
        playground.attention(text, layer=1, head=0),
        playground.neighbors(text),
        playground.sentence(text),
        playground.pair(text, "A film."),
    ]
    for figure in figures:
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
        assert figure.get_figwidth() >= 10 and figure.get_figheight() <= 5.2  # 500 of 600 pixels in Lab
        assert not [text.get_text() for text in texts if text.get_fontsize() < 13]


@pytest.mark.filterwarnings("error:Glyph")
def test_letters_that_the_font_lacks_are_drawn_as_boxes(playground):
    text = "Ünï 🎬 电影"
    playground.tokens(text).draw_without_rendering()
    playground.attention(text, layer=0, head=0).draw_without_rendering()
    figure = playground.sentence(text)
    figure.draw_without_rendering()
    assert figure.get_suptitle() == "Ünï □ □□"


def test_a_run_of_ones_own_stands_beside_the_model(playground, run):
    figure = playground.sentence(EXAMPLE, own=str(run))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["mine", str(run)]
    (sst,) = figure.axes
    assert len(sst.patches) == 2 * 5


def test_a_run_without_a_task_for_the_texts_is_named_in_the_legend(playground, sample, tmp_path):
    recipe = mtbert.recipe("tiny").replace(tasks="sts", epochs=1, steps_per_epoch=1)
    own = str(mtbert.train(recipe, tmp_path / "sts", sample, progress=False).folder)
    (legend,) = playground.sentence(EXAMPLE, own).legends
    assert [text.get_text() for text in legend.get_texts()] == ["mine", f"{own} (has no such task)"]
    assert [len(axes.patches) for axes in playground.pair("A film.", "A book.", own).axes] == [2, 2]


def test_the_menu_offers_finished_runs(run, monkeypatch):
    monkeypatch.setattr("mtbert.utils.paths.RUNS", run.parent)
    assert own_runs().options == (("no other model", ""), (str(run), str(run)))
    monkeypatch.setattr("mtbert.utils.paths.RUNS", run / "none")
    assert own_runs().value == ""


def test_a_new_text_is_answered_in_place(playground):
    texts = []
    controls = explore(lambda text: texts.append(text) or playground.sentence(text), text=text_box("First."))
    controls["text"].value = "Second."
    assert texts == ["First.", "Second."]


def test_a_box_that_was_emptied_says_so(playground, monkeypatch):
    shown = []
    monkeypatch.setattr("mtbert.workbook.plots.explore.display", lambda bundle, **options: shown.append(bundle))
    box = text_box("First.")
    explore(playground.sentence, text=box)
    panel = _instances[shown[0]["application/vnd.jupyter.widget-view+json"]["model_id"]]
    box.value = " "
    assert panel.children[1].value == "<pre>text 1 is empty: write something in it</pre>"


def test_a_long_text_is_cut_in_the_map_of_a_head_and_the_title_says_so(playground):
    title = playground.attention("word " * 30, layer=0, head=0).axes[0].get_title()
    assert "18 of 32 tokens" in title
    assert "sums to 1" in playground.attention("A film.", layer=0, head=0).axes[0].get_title()
