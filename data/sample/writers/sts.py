"""Pairs of sentences, graded from 0 (unrelated) to 5 (same meaning).

A family has wordings of one meaning and three kinds of changes to it. The change decides the grade: 5 for the same
meaning in other words, 4 for an unimportant detail changed or left out, 3 for an important detail changed, 2 for the
same scene with a different action, 1 for the same topic only, 0 for nothing in common. The score of a pair is the mean
of five simulated annotators, some of whom are one off the grade.
"""

from writers.common import Slots, families, tidy, words
from writers.sts_families import CAPTIONS, FORUM, HEADLINES

GRADES = {5: 20, 4: 19, 3: 18, 2: 16, 1: 14, 0: 13}
OFF_BY_ONE = 0.16  # probability that an annotator is one above the grade, and one below
ANNOTATORS = 5

LISTS = {
    "who": words("""a man, a woman, a boy, a girl, an old lady, a soldier, a monk, a teenager, a farmer, a
        nurse, a tourist, a sailor, a clown"""),
    "colour": words("red, blue, green, white, black, yellow, grey, brown, orange, purple"),
    "fur": words("black, white, grey, brown, yellow, golden, spotted"),
    "wear": words("hat, shirt, jacket, scarf, jumper, apron, raincoat, cap"),
    "where": words("""in a park, in a kitchen, on a beach, in a garden, on a balcony, in a courtyard, at a
        market, on a terrace, in a barn"""),
    "town": words("""Marlow Bay, Harwell, Oldcastle, Port Anders, Lindhurst, Brackwater, Tarrow, Dunmoor,
        Selby Cross, Westmere, Ardenholm"""),
    "number": words("two, three, four, five, six, seven, eight, nine, eleven, twelve"),
    "percent": words("2, 3, 4, 5, 6, 7, 9, 11, 12"),
    "minutes": words("ten, fifteen, twenty, thirty, forty, forty-five, fifty"),
    "weekday": words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"),
    "firm": words("""Norrand Steel, Calder Foods, Blue Finch Air, Vell Motors, Ostra Bank, Pinder Rail,
        Hale Energy"""),
    "device": words("phone, laptop, tablet, printer, camera, router, keyboard, monitor"),
    "plant": words("tomatoes, roses, beans, peppers, strawberries, tulips, carrots, geraniums"),
    "dish": words("bread, soup, pancakes, rice, pizza, stew, apple pie, dumplings"),
}


def by_topic(topics):
    """The families of a genre as (topic, family)."""
    return tuple((topic, family) for topic, text in topics.items() for family in families(text))


GENRES = tuple(by_topic(genre) for genre in (CAPTIONS, HEADLINES, FORUM))
GENRE_WEIGHTS = {0: 45, 1: 30, 2: 25}


def votes(pen, grade):
    """The mean of the annotators, in steps of 0.2."""
    total = 0
    for _ in range(ANNOTATORS):
        mark = pen.random.random()
        vote = grade + (mark < OFF_BY_ONE) - (mark > 1 - OFF_BY_ONE)
        total += min(5, max(0, vote))
    return total / ANNOTATORS


def within_family(pen, family, grade):
    """Two sentences of one family that differ as much as the grade says."""
    same = family["="]
    first = pen.any(same)
    if grade == 5:
        return first, pen.any([text for text in same if text != first])
    return (same[0] if pen.chance(0.6) else first), pen.any(family[str(grade)])


def other_family(pen, genre, family, grade):
    """A family of the same topic (grade 1) or of another topic, sometimes of another genre (grade 0)."""
    if grade == 0 and pen.chance(0.3):
        genre = GENRES[pen.weighted(GENRE_WEIGHTS)]
    return pen.any([one for one in genre if one is not family and (one[0] == family[0]) == (grade == 1)])


def write(pen):
    """One pair as ((sentence, sentence), grade); ``votes`` turns the grade into a score."""
    grade = pen.any(tuple(GRADES))
    genre = GENRES[pen.weighted(GENRE_WEIGHTS)]
    family = pen.pick(genre)
    if grade >= 2:
        slots = Slots(pen, LISTS)
        pair = [text.format_map(slots) for text in within_family(pen, family[1], grade)]
    else:
        second = other_family(pen, genre, family, grade)
        pair = [pen.any(one[1]["="]).format_map(Slots(pen, LISTS)) for one in (family, second)]
    return tuple(pen.shuffled(tidy(text) for text in pair)), grade
