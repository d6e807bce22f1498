"""The model card of an exported run: README.md beside its weights, written from the run's record."""

from collections.abc import Mapping
from typing import Any

from mtbert.data.tasks import Task
from mtbert.experiments.results import encoder_name
from mtbert.nn.model import MultitaskModel
from mtbert.training.run import Run

_TERMS = {
    "sst": "Stanford Sentiment Treebank (Socher et al. 2013): sentences of film reviews from Rotten Tomatoes (Pang and "
    "Lee 2005). Published for research; no license is stated, and the reviews belong to their authors.",
    "quora": "Quora Question Pairs (Quora, 2017). Quora's terms of service allow non-commercial use only; the "
    "questions may not be republished.",
    "sts": "Semantic textual similarity, SemEval 2012 to 2017 (Agirre et al., Cer et al. 2017). The pairs come from "
    "news, captions and forums, each under its own terms; some allow research only.",
    "cfimdb": "Counterfactually revised IMDB reviews (Kaushik et al. 2020). Published for research; the original "
    "reviews (Maas et al. 2011) have no stated license and belong to their authors.",
    "yelp": "Yelp reviews. Yelp's dataset agreement allows academic use only; the reviews may not be republished.",
}
_CARD = """\
# {name}

One model for {tasks}: {trained} on the frozen encoder `{encoder}`.
`mtbert.load_model({load})` loads it, and `python -m mtbert ask --model {model} "A sentence."` tries it.

## Scores

On all rows of the dev files, after the weights were rounded to 16 bits. Dev also chose the best epoch and the learning
rate, so expect slightly lower scores on other rows of the same kind.

| task | metric | dev rows | score |
| --- | --- | ---: | ---: |
{scores}

## Intended use

It is made for teaching and for trying the package: to see what a small model with frozen layers can do, to compare
one's own runs with it, and to have answers without training. It is not made for decisions about people or for products.

## Limits

- English only, and only texts like those it was trained on. It has an answer to everything, also where the question
  makes no sense: a recipe has no sentiment, but gets one.
- A probability is the model's confidence, not the frequency with which it is right: it was not calibrated.
- Word order counts little. Two sentences with the same words and the roles exchanged look alike to it.
- Longer texts are cut off: {lengths} tokens are read.
- Its training texts were written by people on public web sites, and so were those of the encoder. Expect their
  prejudices, for example about names, countries and religions.

## Training

{training}

| setting | value |
| --- | --- |
{settings}

The other settings are in [recipe.json](recipe.json), the losses and scores of every epoch in [run.json](run.json).

## Data

The folder holds no training text: only weights, scores, and predictions for rows of data/sample, which were written for
this project. Each set has terms of its own. Check them before you use the model for anything but study and research.

{terms}

| file | rows | sha256 |
| --- | ---: | --- |
{files}

## Files

| file | content |
| --- | --- |
| `adapters.safetensors`, `heads.safetensors` | the trained weights, as 16-bit floats |
| `recipe.json`, `run.json` | settings, and the record of the training run |
| `sample-predictions.csv` | predictions for some rows of data/sample, to check that the model loads as it should |

The encoder's weights are not included. Loading compares their sha256 with the one that the model was trained on
(`{encoder_sha256}`) and refuses others.
"""


def model_card(name: str, run: Run, model: MultitaskModel) -> str:
    """The card as Markdown.

    Args:
        name: the model's name, that of its folder.
        run: the exported run.
        model: its model.
    """
    record, recipe = run.record, run.recipe
    encoder = encoder_name(recipe.encoder, record["encoder_sha256"])
    dev_rows = record["exported"]["dev_rows"]
    adapters = "" if recipe.adapter == "none" else f"{recipe.adapter} adapters and "
    parameters = sum(parameter.numel() for parameter in [*model.heads.parameters(), *model.adapters.parameters()])
    best, epochs = record["best_epoch"], len(run.epochs)
    return _CARD.format(
        name=name,
        tasks=", ".join(task.title for task in recipe.task_list),
        trained=f"{adapters}heads with {parameters / 1e6:.2f} million parameters",
        encoder=encoder,
        load=f'"{name}"',
        model=name,
        scores="\n".join(
            f"| {_title(task)} | {task.metric} | {dev_rows[name]:,} | {run.scores[name]:.3f} |"
            for name, task in zip(recipe.tasks, recipe.task_list, strict=True)
            if name in dev_rows
        ),
        lengths=_per_task(recipe.max_length),
        training=(
            f"The recipe `{recipe.name}` ran for {epochs} of {recipe.epochs} epochs, and epoch {best} had the best dev "
            f"scores. That took {record['seconds'] / 60:.1f} minutes on {record['device']}. Seed {recipe.seed}, "
            f"revision {record['revision']}."
        ),
        settings="\n".join(
            f"| {field} | {value} |"
            for field, value in {
                "trainable": recipe.trainable,
                "adapter": f"{recipe.adapter}, size {recipe.adapter_size or 'by default'}",
                "heads": _per_task(recipe.head),
                "pairs": _per_task(recipe.encoding),
                "pooling": recipe.pooling,
                "batch size": _per_task(recipe.batch_size),
                "learning rate": f"{recipe.lr:g}",
                "sampler": recipe.sampler,
                "steps": run.epochs[best - 1]["step"],
            }.items()
        ),
        terms="\n".join(f"- **{task.name}**: {_TERMS.get(task.name, task.title)}" for task in recipe.task_list),
        files="\n".join(
            f"| `{file}` | {facts['rows']:,} | `{facts['sha256']}` |" for file, facts in record["data"].items()
        ),
        encoder_sha256=record["encoder_sha256"],
    )


def _title(task: Task) -> str:
    return task.title[:1].upper() + task.title[1:]


def _per_task(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{task}: {value}" for task, value in values.items())
