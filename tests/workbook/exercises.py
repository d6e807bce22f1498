"""The exercises of the notebooks, their folded solutions, and wrong answers as small edits of right ones."""

import ast
import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from workbook.lessons import NOTEBOOKS, cells_of


class Exercise:
    """A cell tagged ``exercise``, the check below it, and the folded hint and solution after that."""

    def __init__(self, path: Path, cells: list, at: int, index: int):
        self.name = f"{path.stem}-{index + 1}"
        self.title, self.stub, self.check, self.answers = (cells[at + offset].source for offset in (-1, 0, 1, 2))
        code = [ast.parse(cell.source).body for cell in cells[:at] if cell.cell_type == "code"]
        imports = [node for body in code for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        self.imports = ast.unparse(ast.Module(imports, []))

    @property
    def solution(self) -> str:
        folded = re.search(r"<summary>Solution</summary>\s*```python\n(.*?)```", self.answers, re.DOTALL)
        assert folded, f"{self.name}: no folded solution in the cell after the check"
        return folded[1]

    def names(self, source: str) -> dict:
        """What the source defines after the notebook's imports."""
        names: dict = {}
        exec(self.imports + "\n" + source, names)  # noqa: S102
        return names


@cache
def exercises(path: Path) -> list[Exercise]:
    cells = cells_of(path)
    tagged = [at for at, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", [])]
    return [Exercise(path, cells, at, index) for index, at in enumerate(tagged)]


@cache
def solutions(module: str) -> dict[str, Callable]:
    """The folded solution of each exercise that ``checks.<module>`` checks, by the name of its check, in order."""
    functions = {}
    for exercise in (exercise for path in NOTEBOOKS for exercise in exercises(path)):
        check = re.fullmatch(rf"checks\.{module}\.(\w+)\((\w+)\)", exercise.check)
        if check:
            functions[check[1]] = exercise.names(exercise.solution)[check[2]]
            functions[check[1]].source = exercise.solution
    return functions


def edited(function: Callable, *edits: str) -> Callable:
    """The function with pieces of its source replaced: ``edited(f, "old => new", ...)``."""
    source = getattr(function, "source", None) or inspect.getsource(function)
    for old, new in (edit.split(" => ") for edit in edits):
        assert old in source, f"{old!r} is not in the source of {function.__name__}"
        source = source.replace(old, new)
    of_class = inspect.isclass(function)
    part = next(filter(inspect.isfunction, vars(function).values())) if of_class else inspect.unwrap(function)
    names = dict(part.__globals__)
    exec(source, names)  # noqa: S102
    return names[function.__name__]
