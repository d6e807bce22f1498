"""A user's sentences and pairs, checked."""

from collections.abc import Iterable, Sequence

from mtbert.utils.errors import UserError, shorten

Text = str | tuple[str, str]  # a sentence or a pair
_FORMS = {(1,): "one sentence", (2,): "a pair of sentences", (1, 2): "a sentence or a pair of sentences"}


def text_rows(texts: Sequence[Text], sizes: tuple[int, ...], context: str = "") -> list[tuple[str, ...]]:
    """Sentences as tuples of one, pairs as tuples of two; ``sizes`` are allowed: (1,), (2,) or (1, 2).

    UserError, beginning with ``context``, if there is no text, or one of them has the wrong form or is empty.
    """
    if isinstance(texts, str):
        raise UserError(f"{context}{shorten(texts)} is one text: give a list of them")
    if not isinstance(texts, Iterable):
        raise UserError(f"{context}{shorten(texts)} is no text: give a list of sentences or pairs")
    rows = [tuple(text) if isinstance(text, Sequence) and not isinstance(text, str) else (text,) for text in texts]
    for row_number, row in enumerate(rows, start=1):
        if len(row) not in sizes or not all(isinstance(text, str) for text in row):
            raise UserError(f"{context}text {row_number}: {shorten(row)} is not {_FORMS[sizes]}")
        if not all(text.strip() for text in row):
            which = "text" if len(row) == 1 else "a text of pair"
            raise UserError(f"{context}{which} {row_number} is empty: write something in it")
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            problem = "has an unpaired surrogate, which is no character: remove it"
            raise UserError(f"{context}text {row_number}: {shorten(row)} {problem}") from None
    if not rows:
        raise UserError("no text given: give at least one sentence or pair")
    return rows
