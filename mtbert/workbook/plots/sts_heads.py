"""Figures of notebook 08: from a cosine to a score, predicted against true, cosines by label."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import ArrayLike
from torch import Tensor

from mtbert.workbook.plots import style
from mtbert.workbook.plots.style import COLORS, DASHES, finish, line_per_name, subplots, write_cells

_LINES = [COLORS[name] for name in ("sts", "sst", "quora", "cfimdb")]
_LABEL = "human similarity score (0 to 5)"


def angles(first: float, second: float, scores: Mapping[str, float]) -> Figure:
    """Draw two unit vectors by their angles in degrees (left) and what heads make of them (right).

    Args:
        first: Angle of u.
        second: Angle of v.
        scores: Head -> score; the axis shows -1 to 6.
    """
    figure, (left, right) = style.panels(2, (11, 3.8), width_ratios=(1, 1.6))
    left.add_patch(Circle((0, 0), 1, fill=False, edgecolor="0.8"))
    for name, angle, color in (("u", first, COLORS["sts"]), ("v", second, COLORS["sst"])):
        x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        left.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2.5})
        left.text(1.17 * x, 1.17 * y, name, ha="center", va="center", style="italic", color=color, fontsize=17)
    cosine = np.cos(np.radians(first - second))
    left.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", title=f"cosine {cosine:.2f}")
    left.axis("off")
    right.axvspan(0, 5, color="0.93")
    right.barh(list(scores), list(scores.values()), color=_LINES[: len(scores)], height=0.6)
    for row, value in enumerate(scores.values()):
        right.text(max(value, 0) + 0.1, row, f"{value:.1f}", va="center")
    right.set(
        xlim=(-5.2, 6.2),
        xlabel="predicted similarity (gray: the range of the labels)",
        title="What four heads make of u and v",
    )
    right.invert_yaxis()
    return figure


def mappings(curves: Mapping[str, Callable[[Tensor], Tensor]], cosines: Tensor, title: str) -> Figure:
    """Draw mappings from a cosine to a score (left) and their slopes (right); curves: name -> function of a tensor."""
    figure, (left, right) = style.panels(2, (11, 3.8))
    for (name, curve), color, dashes in zip(curves.items(), _LINES, DASHES, strict=False):
        x = cosines.clone().requires_grad_()
        scores = curve(x)
        scores.sum().backward()
        left.plot(cosines, scores.detach(), dashes, color=color, linewidth=2, label=name)
        right.plot(cosines, x.grad, dashes, color=color, linewidth=2, label=name)
    left.set(xlabel="cosine of u and v", ylabel="predicted similarity", title=title)
    right.set(xlabel="cosine of u and v", ylabel="slope", title="Slopes of the mappings")
    return finish(right)


def against_labels(predicted: Mapping[str, ArrayLike], labels: ArrayLike) -> Figure:
    """Draw the labels against the predictions, with the mean label of each whole prediction; name -> (pairs,)."""
    figure, row = style.panels(len(predicted), (11, 3.8), sharex=True, sharey=True)
    for axes, (name, values) in zip(row, predicted.items(), strict=True):
        axes.plot(values, labels, ".", color=COLORS["sts"], alpha=0.35, markersize=6)
        predictions, means, _ = calibration(values, labels)
        axes.plot(predictions, means, "o-", color="black", markersize=5, label="mean")
        axes.plot([0, 5], [0, 5], "--", color="0.5", linewidth=1, label="calibrated")
        axes.set(title=name, xlabel="predicted similarity")
    row[0].set_ylabel("human score (0 to 5)")
    return finish(row[-1])


def calibration(predicted: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean prediction, the mean label, and the number of the pairs of each whole prediction, halves rounded up.

    Both arguments: (pairs,). If the scores are calibrated, the two means are equal: a score says what label to expect.
    Grouped by the label they differ even then at the ends, where predictions can be off in one direction only.
    """
    labels, predicted = np.asarray(labels, dtype=float), np.asarray(predicted, dtype=float)
    rounded = np.floor(predicted + 0.5)
    groups = [rounded == whole for whole in np.unique(rounded)]
    means = [(predicted[group].mean(), labels[group].mean(), group.sum()) for group in groups]
    return tuple(np.array(means).T)


def by_label(cosines: Mapping[str, ArrayLike], labels: ArrayLike, title: str) -> Figure:
    """Draw the cosines of each whole label (halves rounded up), a box per label and name; cosines: name -> (pairs,)."""
    whole = np.floor(np.asarray(labels, dtype=float) + 0.5).astype(int)
    levels = [level for level in range(6) if (whole == level).any()]
    figure, axes = subplots(figsize=(11, 4.2))
    width = 0.8 / len(cosines)
    look = {"widths": 0.85 * width, "patch_artist": True, "showfliers": False, "medianprops": {"color": "black"}}
    for index, ((name, values), color) in enumerate(zip(cosines.items(), _LINES, strict=False)):
        values = np.asarray(values, dtype=float)
        positions = [level - 0.4 + (index + 0.5) * width for level in levels]
        plot = axes.boxplot([values[whole == level] for level in levels], positions=positions, **look)
        for box in plot["boxes"]:
            box.set(facecolor=color, alpha=0.8)
        axes.plot([], [], "s", color=color, label=name)
    return finish(axes, xticks=range(6), xticklabels=range(6), xlabel=_LABEL, ylabel="cosine of u and v", title=title)


def over_radius(radii: Sequence[float], distances: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw how far scores move when the embeddings do, on logarithmic axes; distances: direction -> (radii,)."""
    figure, axes = subplots(figsize=(10, 4))
    line_per_name(axes, radii, distances, ("o-", "s-", "^-", "D-"), _LINES)
    axes.set(xscale="log", yscale="log")
    axes.set(xlabel="largest change of an embedding component", ylabel="squared change of the score")
    return finish(axes, title=title)


def in_batch(scores: ArrayLike, title: str) -> Figure:
    """Draw the matrix of a ranking loss, row i against column j, with its values; scores (rows, rows)."""
    scores = np.asarray(scores, dtype=float)
    figure, axes = subplots(figsize=(10, 4.4))
    image = axes.imshow(scores, cmap="viridis")
    write_cells(
        axes,
        np.vectorize("{:.2f}".format)(scores),
        scores < (scores.min() + scores.max()) / 2,
        "black",
        style.FONT_SIZE,
    )
    axes.set(xlabel="v of row j", ylabel="u of row i", title=title)
    axes.set(xticks=range(scores.shape[1]), yticks=range(len(scores)))
    figure.colorbar(image, label="cosine")
    return figure
