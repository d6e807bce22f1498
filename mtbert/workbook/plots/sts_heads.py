"""Figures of notebook 08: from a cosine to a score, predicted against true, vectors in two dimensions."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from mtbert.workbook.plots.style import COLOURS

_LINES = [COLOURS[name] for name in ("sts", "sst", "quora", "cfimdb")]
_DASHES = ("-", "--", "-.", ":")
_MARKERS = "os^D"
_PEOPLE = "similarity given by people (0 to 5)"


def mappings(curves: Mapping[str, Callable[[Tensor], Tensor]], cosines: Tensor, title: str) -> Figure:
    """What each mapping makes of a cosine, and how strongly the score answers to it.

    curves: name -> function of a tensor of cosines. cosines: (points,), where to draw.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.6))
    for (name, curve), colour, dashes in zip(curves.items(), _LINES, _DASHES, strict=False):
        at = cosines.clone().requires_grad_()
        scores = curve(at)
        scores.sum().backward()
        left.plot(cosines, scores.detach(), dashes, color=colour, linewidth=2, label=name)
        right.plot(cosines, at.grad, dashes, color=colour, linewidth=2, label=name)
    left.set(xlabel="cosine of u and v", ylabel="predicted similarity", title=title)
    right.set(xlabel="cosine of u and v", ylabel="score per cosine", title="Its slope")
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def against_labels(predicted: Mapping[str, ArrayLike], labels: ArrayLike) -> Figure:
    """Predicted against given similarity, a panel per name, with the mean prediction of each whole label and the line
    on which both are equal.

    predicted: name -> (pairs,). labels: (pairs,), 0 to 5.
    """
    labels = _numbers(labels)
    figure, row = plt.subplots(
        1, len(predicted), figsize=(2.9 * len(predicted), 2.7), sharex=True, sharey=True, squeeze=False
    )
    for axes, (name, values) in zip(row[0], predicted.items(), strict=True):
        axes.plot(labels, _numbers(values, len(labels)), ".", color=COLOURS["sts"], alpha=0.35, markersize=6)
        places, means = calibration(values, labels)
        axes.plot(places, means, "o-", color="black", markersize=5, label="mean")
        axes.plot([0, 5], [0, 5], "--", color="0.5", linewidth=1, label="equal")
        axes.set(title=name, xlabel="given by people (0 to 5)")
    row[0][0].set_ylabel("predicted similarity")
    row[0][-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def calibration(predicted: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Mean label and mean prediction of the pairs of each whole label, 0 to 5, rounded; labels without pairs left out.

    predicted, labels: (pairs,).
    """
    labels = _numbers(labels)
    predicted = _numbers(predicted, len(labels))
    groups = [np.floor(labels + 0.5) == whole for whole in range(6)]
    groups = [group for group in groups if group.any()]
    return (
        np.array([labels[group].mean() for group in groups]),
        np.array([predicted[group].mean() for group in groups]),
    )


def embeddings(panels: Mapping[str, ArrayLike], labels: Sequence[float]) -> Figure:
    """The vectors of pairs in two dimensions, the two of a pair joined by a line whose colour is their similarity.

    panels: title -> (pairs, 2, width). Each panel has the two directions in which its own vectors of length 1 spread
    most (principal components).
    """
    figure, row = plt.subplots(1, len(panels), figsize=(3.7 * len(panels), 3.2), squeeze=False, layout="constrained")
    colours = plt.get_cmap("viridis")
    for axes, (title, pairs) in zip(row[0], panels.items(), strict=True):
        flat, share = in_two_dimensions(pairs)
        for ends, label in zip(flat, labels, strict=True):
            axes.plot(*ends.T, "o-", color=colours(label / 5), markersize=4, linewidth=1.4, alpha=0.85)
        axes.set(title=f"{title}: {share:.0%} of the spread", xlabel="component 1", ylabel="component 2")
    scale = plt.cm.ScalarMappable(plt.Normalize(0, 5), colours)
    figure.colorbar(scale, ax=list(row[0]), label=_PEOPLE)
    return figure


def in_two_dimensions(pairs: ArrayLike) -> tuple[np.ndarray, float]:
    """Vectors of length 1 on their first two principal components, (pairs, 2, 2), and the share of their variance that
    these hold.

    pairs: (pairs, 2, width).
    """
    pairs = np.asarray(pairs, dtype=float)
    vectors = pairs.reshape(-1, pairs.shape[-1])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = vectors - vectors.mean(0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    share = float((sizes[:2] ** 2).sum() / (sizes**2).sum())
    return (centred @ directions[:2].T).reshape(len(pairs), 2, 2), share


def by_label(cosines: Mapping[str, ArrayLike], labels: ArrayLike, title: str) -> Figure:
    """How the cosines of each whole label spread: a box per label and name."""
    whole = np.floor(_numbers(labels) + 0.5).astype(int)
    figure, axes = plt.subplots(figsize=(8.4, 3.2))
    width = 0.8 / len(cosines)
    for number, ((name, values), colour) in enumerate(zip(cosines.items(), _LINES, strict=False)):
        values = _numbers(values, len(whole))
        levels = [level for level in range(6) if (whole == level).any()]
        places = [level - 0.4 + (number + 0.5) * width for level in levels]
        drawn = axes.boxplot(
            [values[whole == level] for level in levels],
            positions=places,
            widths=0.85 * width,
            patch_artist=True,
            showfliers=False,
            medianprops={"color": "black"},
        )
        for box in drawn["boxes"]:
            box.set(facecolor=colour, alpha=0.8)
        axes.plot([], [], "s", color=colour, label=name)
    axes.set(xticks=range(6), xticklabels=range(6), xlabel=_PEOPLE, ylabel="cosine of u and v", title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def over_radius(radii: Sequence[float], distances: Mapping[str, Sequence[float]], title: str) -> Figure:
    """How far the outputs move when the embeddings move by so much, on logarithmic axes; one line per direction."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    for (name, values), colour, marker in zip(distances.items(), _LINES, _MARKERS, strict=False):
        axes.loglog(radii, _numbers(values, len(radii)), marker=marker, color=colour, label=name)
    axes.set(xlabel="largest change of a number in an embedding", ylabel="squared change of the score", title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def in_batch(scores: ArrayLike, title: str) -> Figure:
    """The matrix that a ranking loss sees: row i against column j, with the numbers written in."""
    scores = np.asarray(scores, dtype=float)
    figure, axes = plt.subplots(figsize=(4.4, 3.3))
    image = axes.imshow(scores, cmap="cividis")
    _write(axes, scores, image)
    ticks = {"xticks": range(scores.shape[1]), "yticks": range(len(scores))}
    axes.set(xlabel="v of row j", ylabel="u of row i", title=title, **ticks)
    figure.colorbar(image, label="cosine")
    return figure


def _write(axes: Axes, scores: np.ndarray, image) -> None:
    middle = (scores.min() + scores.max()) / 2
    for (i, j), value in np.ndenumerate(scores):
        axes.text(
            j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color="white" if value < middle else "black"
        )


def _numbers(values: ArrayLike, length: int | None = None) -> np.ndarray:
    """The values as one row of numbers; ValueError unless there are ``length`` of them."""
    found = np.asarray(values, dtype=float)
    if found.ndim != 1 or length not in (None, len(found)):
        raise ValueError(f"the values are {found.shape}, but should be ({'any' if length is None else length},)")
    return found
