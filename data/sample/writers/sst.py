"""Sentences about films, labeled from 0 (very bad) to 4 (very good).

Every clause has a score from -3 to 3. It is the level of its word (see ``film_words``), changed by the form around the
word: "a little dull" is milder than "dull", "very dull" stronger, and "never dull" is mild praise. The score of two
clauses is their mean; if they contrast ("but", "although"), the main one counts twice. The bounds in ``label_of`` turn
the score into a label. Idioms have a fixed label; statements of fact are neutral.
"""

from writers.common import Slots, tidy
from writers.film_words import (
    ADJECTIVES,
    BOOSTERS,
    CRAFT,
    DARK_BOOSTERS,
    EFFECTS,
    EXTREMES,
    FACTS,
    IDIOMS,
    NOUNS,
    SLOT_LISTS,
    SOFTENERS,
    STORY,
    STORY_ADJECTIVES,
)

SHARES = {0: 14, 1: 25, 2: 20, 3: 26, 4: 15}

# form -> (weight, {level of the word: score})
ADJECTIVE_FORMS = {
    "{word}": (12, {3: 3, 2: 2, 1: 1, -1: -1, -2: -2, -3: -3}),
    "{softener} {word}": (5, {2: 1, 1: 0.7, -1: -0.7, -2: -1}),
    "{booster} {word}": (4, {2: 3, -2: -3}),
    "{extreme} {word}": (3, {3: 3, -3: -3}),
    "not {word}": (3, {3: -0.8, 2: -1.3, -2: 0.9}),
    "not at all {word}": (2, {2: -2, -2: 1.2}),
    "never {word}": (3, {2: -2, -2: 1.2, -3: 0.5}),
    "never once {word}": (2, {2: -2.4, -2: 1.5}),
    "never less than {word}": (3, {2: 2.4, 3: 3, 1: 1}),
    "never more than {word}": (2, {1: -1}),
    "anything but {word}": (3, {3: -1.5, 2: -2, -2: 2, -1: 1.2}),
    "far from {word}": (3, {3: -1, 2: -1.6, -2: 1.2, -3: 0.5}),
    "hardly {word}": (2, {3: -0.9, 2: -1.3}),
    "not nearly as {word} as you might fear": (2, {-2: 0.9, -3: 0.5}),
    "not nearly as {word} as you would hope": (2, {2: -1}),
    "neither {word} nor {word2}": (2, {2: -1.6, -2: 1}),
    "{word} and {word2}": (4, {3: 3, 2: 2.4, 1: 1, -1: -1.2, -2: -2.4, -3: -3}),
    "more {word} than {opposite}": (2, {2: 1, -2: -1.2}),
}
NOUN_FORMS = {
    "{noun}": (6, {3: 3, 2: 2, -2: -2, -3: -3}),
    "hardly {noun}": (2, {3: -1, 2: -1.6, -2: 1, -3: 0.5}),
    "nothing short of {noun}": (3, {3: 3, -3: -3}),
    "something of {noun}": (3, {3: 2, 2: 1.5, -2: -1.5, -3: -2}),
    "anything but {noun}": (2, {2: -2, 3: -1.6, -2: 1.5}),
    "not quite {noun}": (2, {3: 0.9, -2: -0.9, -3: -1.2}),
    "very nearly {noun}": (2, {3: 1.8, -3: -2}),
}
OPENERS = (
    "from start to finish",
    "to be fair",
    "in the end",
    "to my surprise",
    "as far as I am concerned",
    "all things considered",
    "for what it is worth",
    "on a second viewing",
    "truth be told",
)
SIMPLE = 3  # adjectives of more words than this are used alone


def label_of(score):
    """The label of a score: 0 up to -2.2, 1 up to -0.65, 2 below 0.65, 3 below 2.2, and 4 above."""
    return sum(score > bound for bound in (-2.2, -0.65)) + sum(score >= bound for bound in (0.65, 2.2))


def aspect(pen):
    """An aspect of a film, its verb and whether it tells a story."""
    group = pen.any((CRAFT, STORY))
    plural = pen.chance(0.4)
    return pen.pick(group[plural]), "are" if plural else "is", group is STORY


def adjective(pen, level, story, plain=False):
    """An adjective of the level; ``plain`` ones are single words that an adverb or a negation may precede."""
    source = STORY_ADJECTIVES if story and pen.chance(0.45) else ADJECTIVES
    while True:
        word = pen.pick(source[level])
        if not plain or " " not in word:
            return word


def draw_form(pen, forms):
    """A form, a level that it allows, and the resulting score."""
    form = pen.weighted({form: weight for form, (weight, _) in forms.items()})
    level = pen.any(tuple(forms[form][1]))
    return form, level, forms[form][1][level]


def describe(pen, story):
    """A predicate adjective in some form, and its score."""
    form, level, score = draw_form(pen, ADJECTIVE_FORMS)
    plain = form != "{word}"
    word, other = (adjective(pen, level, story, plain) for _ in range(2))
    while other == word:
        other = adjective(pen, level, story, plain)
    text = form.format(
        word=word,
        word2=other,
        opposite=adjective(pen, -level, story, plain) if "{opposite}" in form else "",
        softener=pen.pick(SOFTENERS[1 if level > 0 else -1]),
        booster=pen.pick(BOOSTERS if level > 0 else DARK_BOOSTERS),
        extreme=pen.pick(EXTREMES),
    )
    return text, score


def aspect_clause(pen):
    """A clause about one aspect."""
    noun, verb, story = aspect(pen)
    text, score = describe(pen, story)
    return f"{noun} {verb} {text}", score


def whole(pen):
    """A way to name the film."""
    forms = ("it", "the film", "this {genre}", "{title}", "the new film by {name}", "the whole thing")
    return fill(pen, pen.any(forms))


def fill(pen, template):
    """A template with its slots filled."""
    return template.format_map(Slots(pen, SLOT_LISTS))


def film_clause(pen, subject=None):
    """A clause about the film as a whole: an adjective, a noun, or its effect on the viewer."""
    subject = subject or whole(pen)
    kind = pen.any(("adjective", "noun", "effect", "effect"))
    if kind == "adjective":
        text, score = describe(pen, True)
        return f"{subject} is {text}", score
    if kind == "noun":
        form, level, score = draw_form(pen, NOUN_FORMS)
        return f"{subject} is {form.format(noun=pen.pick(NOUNS[level]))}", score
    level = pen.any(tuple(EFFECTS))
    return f"{subject} {pen.pick(EFFECTS[level])}", level


def clause(pen):
    """Any clause."""
    return aspect_clause(pen) if pen.chance(0.55) else film_clause(pen)


def two_clauses(pen, opposed):
    """Two clauses of opposite or equal sign, the second about the film as "it" or about an aspect."""
    while True:
        first = clause(pen)
        second = aspect_clause(pen) if pen.chance(0.6) else film_clause(pen, "it")
        same_subject = first[0].split()[:2] == second[0].split()[:2]
        if not same_subject and (first[1] * second[1] < 0) == opposed and "as you" not in first[0]:
            return first, second


def single(pen):
    """One clause, sometimes with an opening phrase."""
    text, score = clause(pen)
    return (f"{pen.pick(OPENERS)}, {text}." if pen.chance(0.3) else f"{text}."), score


def side_by_side(pen):
    """Two clauses of equal sign; the score is their mean."""
    (first, score), (second, score2) = two_clauses(pen, opposed=False)
    clear = min(abs(score), abs(score2)) >= 1.2
    link = pen.any((", and", ";", ", and what is more,", ", and on top of that") if clear else (", and", ";"))
    return f"{first}{link} {second}.", (score + score2) / 2


def balanced(pen):
    """Two opposite clauses of equal weight; the score is their mean."""
    (first, score), (second, score2) = two_clauses(pen, opposed=True)
    form = pen.any(
        (
            "{0}; on the other hand, {1}.",
            "on the one hand, {0}; on the other, {1}.",
            "{0}, while {1}.",
            "for every scene where {0}, there is one where {1}.",
        )
    )
    if "scene where" in form and not (first.startswith("the ") and second.startswith("the ")):
        form = "{0}, while {1}."
    return form.format(first, second), (score + score2) / 2


def contrast(pen):
    """Two opposite clauses; the main one counts twice."""
    (light, score), (heavy, score2) = two_clauses(pen, opposed=True)
    form = pen.any(
        (
            "{0}, but {1}.",
            "although {0}, {1}.",
            "{0}, and yet {1}.",
            "{1}, even though {0}.",
            "{0}. All the same, {1}.",
            "never mind that {0}: {1}.",
            "granted, {0}, but {1}.",
            "it may be true that {0}; what counts is that {1}.",
            "{1}, even if {0}.",
        )
    )
    return form.format(light, heavy), (score + 2 * score2) / 3


def fragment(pen):
    """A headline without a verb; the score is the mean of its two adjectives."""
    level, level2 = (pen.any(tuple(ADJECTIVES)) for _ in range(2))
    first = adjective(pen, level, True, plain=True)
    noun, _, story = aspect(pen)
    second = adjective(pen, level2, story, plain=True)
    while second == first:
        second = adjective(pen, level2, story, plain=True)
    detail = noun.removeprefix("the ").removeprefix("two ")
    link = "with" if level * level2 > 0 else pen.any(("redeemed by", "with")) if level2 > 0 else "let down by"
    article = "" if detail.endswith("s") or detail in UNCOUNTED else "a "
    text = fill(pen, f"a {first} {{genre}} {link} {article}{second} {detail}.")
    return text, (level + level2) / 2


UNCOUNTED = (
    "acting",
    "music",
    "camera work",
    "direction",
    "editing",
    "casting",
    "set design",
    "lighting",
    "staging",
    "sound",
    "photography",
    "choreography",
    "pacing",
    "dialogue",
    "humour",
    "narration",
)


def unfulfilled(pen):
    """Praise or blame in the conditional, which mildly says the opposite."""
    level = pen.any((3, 2, -2, -3))
    noun, verb, _ = aspect(pen)
    word = adjective(pen, level, True, plain=True)
    if level > 0:
        form = pen.any(
            (
                "with a better hand on {noun}, {{title}} might have been {word}.",
                "{{title}} could have been {word}, had anyone taken trouble over {noun}.",
                "it would have been {word} if only they had thought about {noun}.",
                "{{name}} wants it to be {word}, and wanting is not enough.",
            )
        )
        return fill(pen, form.format(noun=noun, word=word)), -1.2
    form = pen.any(
        (
            "in other hands {{title}} would have been {word}; here it never is.",
            "it could so easily have been {word}, and thanks to {noun} it is not.",
            "I kept waiting for it to turn {word}, and I waited in vain.",
            "anyone who calls this {{genre}} {word} was not paying attention to {noun}.",
        )
    )
    return fill(pen, form.format(noun=noun, word=word)), 1.2


def against_expectation(pen):
    """The opinion of others, or an expectation, and the writer's own, which gives the score."""
    level = pen.any((3, 2, -2, -3))
    own = pen.any(tuple(ADJECTIVES))
    while own * level > 0:
        own = pen.any(tuple(ADJECTIVES))
    form = pen.any(
        (
            "I expected something {said} and found something {own}.",
            "the posters promise something {said}; the film itself is {own}.",
            "my {{relative}} found {{title}} {said}, but to my mind it is {own}.",
            "critics have called it {said}, which is odd, because it is {own}.",
            "people will tell you that {{title}} is {said}; do not believe them, for it is {own}.",
            "where the last film by {{name}} was {said}, this one is {own}.",
            "it is {own}, whatever my {{relative}} says about it being {said}.",
        )
    )
    others, writers = (adjective(pen, one, True, plain=True) for one in (level, own))
    return fill(pen, form.format(said=others, own=writers)), own


def idiom(pen):
    """An idiom or an ironic phrase with a fixed label."""
    label = pen.any(tuple(IDIOMS))
    return fill(pen, pen.pick(IDIOMS[label])), {0: -3, 1: -1.5, 3: 1.5, 4: 3}[label]


def fact(pen):
    """A statement of fact, or an open verdict."""
    return fill(pen, pen.pick(FACTS)), 0


WRITERS = {
    single: 4,
    side_by_side: 3,
    balanced: 2,
    contrast: 6,
    fragment: 2,
    unfulfilled: 1.2,
    against_expectation: 2,
    idiom: 1.6,
    fact: 1.6,
}


def write(pen):
    """One sentence as ((text,), label)."""
    text, score = pen.weighted(WRITERS)(pen)
    return (tidy(text),), label_of(score)
