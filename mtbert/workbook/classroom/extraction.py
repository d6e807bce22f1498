"""Takes an exercise out of a notebook: its function, and the imports and definitions that it needs, and no more.

The bytecode of each top-level statement tells which names it binds and which it reads. So a notebook whose other cells
train, plot or fail can be graded in milliseconds.
"""

import ast
import dis
import linecache
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType

_READS, _BINDS = ("LOAD_NAME", "LOAD_GLOBAL"), ("STORE_NAME", "STORE_GLOBAL")


class ExtractionError(Exception):
    """The function is not there; the message is what the student should know."""


@dataclass
class Statement:
    """A top-level statement.

    Attributes:
        code: It, compiled.
        node: Its syntax tree.
        binds: The names that it binds.
        reads_now: The global names that it reads when it runs.
        reads_later: Those that functions defined in it read when they are called.
    """

    code: CodeType
    node: ast.stmt
    binds: set[str]
    reads_now: set[str]
    reads_later: set[str] = field(default_factory=set)


def program(cells: Sequence[str], original: Sequence[Statement], id: str, function: str) -> tuple[list[CodeType], str]:
    """What to execute in order to get the learner's function.

    Args:
        cells: The sources of the learner's code cells.
        original: The statements of the notebook as it was given out, for names that the learner deleted.
        id: The exercise, "attention.weights".
        function: The function's name in the original.

    Returns:
        The compiled statements in order, and the name of the function, which the learner may have changed.

    Raises:
        ExtractionError: if no cell defines the function, or the one that does is not Python.
    """
    mine, broken = statements(cells, "cell")
    end, name = _checked(mine, id)
    own = {bound for statement in mine if not _is_import(statement) for bound in statement.binds}
    if name not in own:
        name = function
    if name not in own:
        raise ExtractionError(_missing(function, cells, broken))
    return [statement.code for statement in _needed(name, end, mine, original)], name


def statements(cells: Sequence[str], label: str) -> tuple[list[Statement], dict[int, SyntaxError]]:
    """The top-level statements of code cells, and the errors of the cells that are not Python, by index."""
    found, broken = [], {}
    for index, text in enumerate(cells):
        filename = f"<{label} {index + 1}>"
        try:
            tree, text = _parse(text)
            linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
            found += [_statement(node, filename) for node in tree.body]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # a null byte; a thousand brackets
            broken[index] = error if isinstance(error, SyntaxError) else SyntaxError(str(error))
    return found, broken


def _parse(text: str) -> tuple[ast.Module, str]:
    """The syntax tree of a cell, and its text with IPython's magics as Python."""
    try:
        return ast.parse(text), text
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        text = TransformerManager().transform_cell(text)
        return ast.parse(text), text


def _statement(node: ast.stmt, filename: str) -> Statement:
    code = compile(ast.Module([node], []), filename, "exec", dont_inherit=True)
    reads, binds = _globals(code)
    later: set[str] = set()
    for function in _functions(code):
        later |= _globals(function)[0]
    return Statement(code, node, binds, reads, later)


def _globals(code: CodeType) -> tuple[set[str], set[str]]:
    """The global names that a piece of bytecode reads and binds."""
    reads, binds = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in _READS:
            reads.add(instruction.argval)
        elif instruction.opname in _BINDS:
            binds.add(instruction.argval)
    return reads, binds


def _functions(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _functions(constant)


def _is_import(statement: Statement) -> bool:
    return isinstance(statement.node, ast.Import | ast.ImportFrom)


def _checked(statements: Sequence[Statement], id: str) -> tuple[int, str]:
    """Where the check is called for the last time, and with which name; the end and "" if it is not called."""
    for index in reversed(range(len(statements))):
        for node in ast.walk(statements[index].node):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if ast.unparse(node.func).endswith(f"checks.{id}"):
                first = node.args[0] if node.args else None
                return index, first.id if isinstance(first, ast.Name) else ""
    return len(statements), ""


def _missing(function: str, cells: Sequence[str], broken: dict[int, SyntaxError]) -> str:
    for index, error in broken.items():
        if re.search(rf"\b{function}\b", cells[index]):
            line = (error.text or "").strip()
            return f"SyntaxError: {error.msg} (line {error.lineno}{': ' if line else ''}{line})"
    return f"no cell defines {function}"


def _needed(name: str, end: int, mine: Sequence[Statement], given: Sequence[Statement]) -> list[Statement]:
    """The statements on which a name depends, those of the original notebook first, in their order."""
    chosen: dict[tuple[bool, int], Statement] = {}
    wanted = [(name, end, True)]
    while wanted:
        name, limit, is_mine = wanted.pop()
        key = next(filter(None, _candidates(name, limit, is_mine, mine, given)), None)
        if key is None or key in chosen:
            continue
        is_mine, index = key
        statement = chosen[key] = (mine if is_mine else given)[index]
        wanted += [(read, index, is_mine) for read in statement.reads_now]
        wanted += [(read, end if is_mine else len(given), is_mine) for read in statement.reads_later]
    stars = [s for s in (*given, *mine) if isinstance(s.node, ast.ImportFrom) and s.node.names[0].name == "*"]
    return stars + [chosen[key] for key in sorted(chosen)]


def _candidates(
    name: str, limit: int, is_mine: bool, mine: Sequence[Statement], given: Sequence[Statement]
) -> Iterator[tuple[bool, int] | None]:
    """Where a name may be bound, best first: the last binding before the limit, the first after it, the original's."""
    if is_mine:
        yield next(((True, i) for i in reversed(range(limit)) if name in mine[i].binds), None)
        yield next(((True, i) for i in range(limit, len(mine)) if name in mine[i].binds), None)
        limit = len(given)
    yield next(((False, i) for i in reversed(range(limit)) if name in given[i].binds), None)
