"""Check of the practice exercise in notebook 00."""

import torch

from mtbert.workbook.checks.engine import check, same, shaped


@check
def cosine(answer, draw):
    """answer(a, b) -> the cosine of the angle between them; a, b (n,)."""
    a, b = draw.normal(2, draw.whole(3, 9))
    yield "returns one number"
    shaped(answer(a, b))
    yield "is 1 for a vector and itself"
    same(answer(a, a), 1.0)
    yield "does not change when one of the vectors gets longer"
    same(answer(3 * a, b), answer(a, b))
    yield "is the cosine of the angle, which is negative where the angle is larger than a right one"
    for other in (b, -b):
        same(answer(a, other), torch.cosine_similarity(a, other, dim=0))
