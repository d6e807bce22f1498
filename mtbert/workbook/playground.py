"""The playground: boxes for sentences of one's own, and what the encoder and the trained models make of them.

ask_box()                                       # a sentence, and what the model that comes with mtbert says

playground = Playground()                       # the same in parts
explore(playground.attention, text=text_box("A film."), layer=(0, 5), head=(0, 11))
"""

import math
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from ipywidgets import Dropdown, Layout, Text
from matplotlib.figure import Figure
from torch import Tensor

import mtbert
from mtbert.data import TASKS, read_split
from mtbert.data.batch import PackedBatch
from mtbert.data.tokens import TokenizedDataset
from mtbert.experiments.answers import SHIPPED, Answers, ask, load_once
from mtbert.experiments.old_runs import stored_runs
from mtbert.nn.bert import Layer
from mtbert.nn.model import MultitaskModel
from mtbert.nn.pretrained import Encoder
from mtbert.utils import paths
from mtbert.workbook.plots import playground as draw
from mtbert.workbook.plots.explore import explore
from mtbert.workbook.plots.style import use_style

EXAMPLE = "The plot is thin, but the two leads are superb."
_LENGTH = 200  # characters of the longest sample sentence


class Playground:
    """Figures about texts, from a trained model and its encoder.

    Args:
        model: the model: "workbook", which comes with mtbert, or the folder of a run.
        sentences: how many sentences of the sample data to look for neighbors in.
    """

    def __init__(self, model: str | Path = SHIPPED, sentences: int = 1000):
        self.name, self.model = Path(model).name, mtbert.load_model(model)
        self.encoder = self.model.encoder
        self.sentences = sample_sentences(sentences)

    @cached_property
    def vectors(self) -> Tensor:
        """The unit vectors of all sentences, (sentences, hidden)."""
        return unit_vectors(self.encoder, self.sentences)

    def tokens(self, text: str) -> Figure:
        """What the tokenizer makes of a text."""
        batch = self.encoder.pack([text])
        return draw.tokens(_pieces(self.encoder, batch), batch.ids.tolist())

    def attention(self, text: str, layer: int, head: int) -> Figure:
        """Where the tokens of a text look in one head of the encoder."""
        pieces, weights = attention_weights(self.encoder, text, layer)
        return draw.attention(pieces, weights[head].numpy(), layer, head)

    def neighbors(self, text: str, count: int = 8) -> Figure:
        """The sentences of the sample data whose vectors are nearest to a text's."""
        cosines = (self.vectors @ unit_vectors(self.encoder, [text])[0]).topk(count)
        return draw.neighbors(
            [self.sentences[i] for i in cosines.indices], cosines.values.tolist(), len(self.sentences)
        )

    def ask(self, *texts: str) -> Answers:
        """What the model's tasks answer about a text or a pair; nothing if it has no task for it."""
        return _ask(self.model, *texts)

    def sentence(self, text: str, own: str = "") -> Figure:
        """What the tasks on single sentences answer; ``own`` is the folder of a run to compare with."""
        return self._answers(own, text)

    def pair(self, left: str, right: str, own: str = "") -> Figure:
        """What the tasks on pairs answer."""
        return self._answers(own, left, right)

    def _answers(self, own: str, *texts: str) -> Figure:
        by_model = {self.name: self.ask(*texts)}
        if own:
            by_model[own] = _ask(load_once(paths.ROOT / own), *texts)
        return draw.answers(by_model, texts)


def _ask(model: MultitaskModel, *texts: str) -> Answers:
    suitable = any(len(task.text_columns) == len(texts) for task in model.tasks.values())
    return ask(*texts, model=model) if suitable else Answers()


def ask_box(text: str = EXAMPLE, model: str | Path = SHIPPED) -> None:
    """Show a box for a sentence, and what a trained model says about it."""
    use_style()
    explore(Playground(model).sentence, text=text_box(text))


def text_box(text: str, name: str = "text") -> Text:
    """A box for a text; what depends on it is drawn again when Enter is pressed or the box is left."""
    style = {"description_width": "4em", "font_size": "16px"}
    return Text(text, description=name, continuous_update=False, layout=Layout(width="900px"), style=style)


def own_runs(most: int = 20) -> Dropdown:
    """A menu of finished runs in runs/, the newest first, to compare a model with."""
    stored = [run for run in stored_runs(paths.RUNS) if run.run.finished] if paths.RUNS.is_dir() else []
    names = [paths.display_path(run.folder) for run in sorted(stored, key=lambda run: run.days)[:most]]
    options = [("no other model", ""), *((name, name) for name in names)]
    layout, style = Layout(width="500px"), {"description_width": "4em"}
    return Dropdown(options=options, value="", description="beside", layout=layout, style=style)


def sample_sentences(count: int) -> list[str]:
    """Different sentences of the sample data, evenly from the sets of films, questions and scenes."""
    sets = [read_split(paths.SAMPLE, TASKS[name], "train") for name in ("sst", "quora", "sts")]
    texts = [dict.fromkeys(t for row in rows.examples for t in row.texts if len(t) <= _LENGTH) for rows in sets]
    share = math.ceil(count / len(texts))
    return [sentence for of_set in texts for sentence in [*of_set][:share]][:count]


@torch.no_grad()
def unit_vectors(encoder: Encoder, texts: list[str]) -> Tensor:
    """The mean vector of each text, scaled to length 1: (texts, hidden)."""
    encoder.bert.eval()
    dataset = TokenizedDataset.from_texts([(text,) for text in texts], encoder.tokenizer)
    sequences = dataset.encode("cross", encoder.config.max_position_embeddings, encoder.tokenizer)
    vectors = torch.empty(len(texts), encoder.config.hidden_size)
    for rows, batch in sequences.batches(4096):
        vectors[rows] = mtbert.pool(encoder.bert(batch), batch, "mean")
    return torch.nn.functional.normalize(vectors, dim=1)


@torch.no_grad()
def attention_weights(encoder: Encoder, text: str, layer: int) -> tuple[list[str], Tensor]:
    """The tokens of a text, and where they look in a layer: (heads, tokens, tokens), every row sums to 1."""
    encoder.bert.eval()
    batch = encoder.pack([text])
    hidden = encoder.bert.embeddings(batch)  # (tokens, hidden)
    *below, chosen = [cast(Layer, module) for module in encoder.bert.layers[: layer + 1]]
    for lower in below:
        hidden = lower(hidden, batch)
    query, key, _ = chosen.qkv(hidden).view(len(hidden), 3, chosen.heads, -1).unbind(1)  # (tokens, heads, d)
    scores = torch.einsum("qhd,khd->hqk", query, key) / math.sqrt(query.shape[-1])
    return _pieces(encoder, batch), scores.softmax(-1)


def _pieces(encoder: Encoder, batch: PackedBatch) -> list[str]:
    return [str(piece) for piece in encoder.tokenizer.convert_ids_to_tokens(batch.ids)]
