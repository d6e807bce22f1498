"""Answers to the exercise of notebook 00: a right one, and usual mistakes by the property that they break."""

RIGHT = {"cosine": [lambda a, b: a @ b / (a.norm() * b.norm())]}
WRONG = {
    "cosine": [
        ("one number", lambda a, b: a * b),
        ("itself", lambda a, b: a @ b),
        ("the cosine of the angle", lambda a, b: 1 - (a / a.norm() - b / b.norm()).norm()),
    ]
}
