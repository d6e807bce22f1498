"""Answers to the exercise of notebook 00: usual mistakes by the property that they break."""

WRONG = {
    "cosine": [
        ("one number", lambda a, b: a * b),
        ("itself", lambda a, b: a @ b),
        ("the cosine of the angle", lambda a, b: 1 - (a / a.norm() - b / b.norm()).norm()),
        ("negative where", lambda a, b: (a @ b).abs() / (a.norm() * b.norm())),
    ]
}
