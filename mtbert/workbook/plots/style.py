"""The workbook's one style: colours that everybody can tell apart, and a caption that says what to see."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mtbert.utils import paths

PALETTE = sns.color_palette("colorblind")
COLOURS = {name: PALETTE[i] for i, name in enumerate(("sst", "quora", "sts", "cfimdb", "yelp"))}
COLOURS["plain"] = (0.35, 0.35, 0.35)


def use_style() -> None:
    """Set the workbook's style for every figure that follows."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update(
        {
            "figure.dpi": 72,
            "figure.figsize": (8, 3.4),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "legend.frameon": False,
            "font.size": 11,
        }
    )


def of_shape(values: ArrayLike, *shape: int | None) -> np.ndarray:
    """The values as an array of floats; ValueError unless it has that shape (None: any size)."""
    found = np.asarray(values, dtype=float)
    if found.ndim != len(shape) or any(want not in (None, has) for has, want in zip(found.shape, shape, strict=True)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"the values are {found.shape}, but should be ({wanted})")
    return found


def caption(figure: Figure, text: str) -> None:
    """A line under the figure that says what to see."""
    figure.tight_layout()
    figure.text(0.01, -0.1 / figure.get_figheight(), text, ha="left", va="top", fontsize=10, style="italic", wrap=True)


def keep(figure: Figure, name: str) -> None:
    """Write the figure to figures/NAME.png."""
    paths.FIGURES.mkdir(exist_ok=True)
    figure.savefig(paths.FIGURES / f"{name}.png", dpi=150, bbox_inches="tight")
