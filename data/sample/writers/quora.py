"""Pairs of questions, labeled 1.0 if they ask the same thing and 0.0 if not.

A family of activities has wordings with the same meaning, and others that share most of the words but mean something
else. A frame asks one thing about an activity ("how", "how long", "what does it cost" ...) in several wordings. A pair
is a duplicate if both the frame and the meaning of the activity agree. Open families do the same for whole questions.
An easy negative combines questions from two families.
"""

import re

from writers.common import Slots, families, lines, tidy, words
from writers.quora_families import ACTIVITIES, OPEN

SHARES = {1.0: 37, 0.0: 63}
EASY_SHARE = 0.36  # of the negatives

FRAMES = {
    "how": lines("""
        How do I {do}?
        How can I {do}?
        What is the best way to {do}?
        What is a good way to {do}?
        What do I have to do in order to {do}?
        Could anybody explain to me how to {do}?
        I would like to {do}. How should I set about it?
        Does anyone have tips for someone who wants to {do}?"""),
    "time": lines("""
        How long does it take to {do}?
        How much time do I need to {do}?
        Is it a matter of days, weeks or months to {do}?
        How many hours should I set aside to {do}?
        I want to {do}. How long will that keep me busy?"""),
    "cost": lines("""
        How much does it cost to {do}?
        What will I have to pay if I want to {do}?
        Is it expensive to {do}?
        How much money should I set aside to {do}?
        What is the usual price people pay to {do}?"""),
    "worth": lines("""
        Is it worth it to {do}?
        Does it make sense to {do}?
        Would you say it is a good idea to {do}?
        Should I {do}, or is that a waste of effort?
        What speaks for and against trying to {do}?"""),
    "mistakes": lines("""
        What mistakes do people make when they try to {do}?
        What usually goes wrong when people {do}?
        What should I avoid when I {do}?
        Which errors are common among people who {do}?"""),
}

FRAME_WEIGHTS = {"how": 5, "time": 2, "cost": 1.5, "worth": 2, "mistakes": 1.5}
THIRD_PERSON = {"I am": "they are", "I": "they", "my": "their", "myself": "themselves"}

LISTS = {
    "kilos": words("3, 5, 7, 10, 12, 15, 20, 25"),
    "language": words("""Spanish, Italian, Russian, Japanese, Swedish, Arabic, Greek, Turkish, Finnish,
        Polish, Korean, Dutch, Hungarian"""),
    "months": words("two, three, four, six, eight, nine, ten"),
    "days": words("two, three, four, five, six, eight, ten"),
    "instrument": words("""guitar, violin, piano, cello, flute, trumpet, banjo, harp, clarinet, saxophone,
        mandolin"""),
    "city": words("""Oslo, Rome, Paris, Madrid, Vienna, Lisbon, Berlin, Prague, Athens, Dublin, Warsaw,
        Helsinki, Zurich, Budapest, Brussels, Tallinn, Seville, Naples, Krakow"""),
    "pet": words("dog, cat, rabbit, parrot, hamster, goat, guinea pig, ferret, donkey"),
    "dish": words("""pancakes, bread, lasagne, potato soup, risotto, apple pie, pizza, dumplings, curry,
        waffles, paella, goulash, noodle salad, cheesecake"""),
    "ingredient": words("""eggs, butter, milk, garlic, flour, onions, sugar, salt, cheese, honey,
        chocolate, wheat, cream"""),
    "food": words("butter, milk, garlic, salt, honey, chocolate, cheese, white bread, raw meat, cake"),
    "young": words("6, 8, 9, 10, 12, 14, 16"),
    "many": words("six, eight, twelve, twenty, thirty, forty, fifty"),
    "plant": words("""tomatoes, roses, strawberries, beans, sunflowers, carrots, lettuces, tulips,
        pumpkins, peppers, cucumbers, raspberries, geraniums"""),
    "pest": words("slugs, birds, ants, mice, deer, beetles, wasps, caterpillars, squirrels"),
    "race": words("marathon, triathlon, half marathon, bicycle race, rowing race, ski race, boxing match"),
    "sport": words("""tennis, judo, swimming, rowing, football, climbing, fencing, volleyball, boxing, ice
        skating, handball, archery, gymnastics"""),
    "age": words("12, 14, 16, 18, 25, 30, 35, 40, 50, 60"),
    "years": words("22, 25, 28, 30, 35, 40, 45, 50, 55"),
    "job": words("""nurse, pilot, baker, teacher, lawyer, plumber, journalist, carpenter, translator,
        train driver, dentist, architect, firefighter, vet"""),
    "leave": words("""a pay rise, a day off, a shorter week, more time, a written contract, a letter of
        reference, a new chair, an answer"""),
    "device": words("""an old phone, a laptop, a tablet, a memory stick, a camera, a home computer, a
        smart watch, an external drive, a work computer"""),
    "computer": words("""an old phone, a laptop, a tablet, a home computer, a smart watch, a work
        computer, a games console, a shared computer"""),
    "text": words("speech, letter of thanks, poem, shopping list, summary, report, diary entry, short talk"),
    "event": words("""a wedding, an exam, a job interview, a funeral, a long flight, a concert, an
        operation, a school play, a court hearing, a storm"""),
    "subject": words("""mathematics, history, chemistry, physics, geography, biology, grammar, statistics,
        drawing"""),
    "person": words("landlord, neighbour, boss, brother, aunt, dentist, business partner, cousin, tenant"),
    "host": words("landlord, flatmate, uncle, host family, boarding school, sister, hotel, landlady"),
    "dispute": words("""a broken fence, loud music, an unpaid bill, a barking dog, a parking space, a
        leaking roof, a lost key, a fallen tree, a dirty staircase"""),
    "sum": words("500, 800, 1000, 2000, 3000, 5000, 7500, 10000"),
    "ailment": words("""a cough, a headache, back pain, a sore throat, a cold, a rash, hiccups, a stiff
        neck, chapped lips"""),
    "stain": words("""red wine, coffee, ink, grass stains, candle wax, blood, mud, chewing gum, beetroot
        juice"""),
    "fabric": words("""a wool jumper, a white shirt, a carpet, a sofa, a silk scarf, a tablecloth, leather
        shoes"""),
    "room": words("kitchen, cellar, bathroom, garage, greenhouse, garden shed, bedroom, caravan, attic"),
}

ACTIVITY_FAMILIES, OPEN_FAMILIES = families(ACTIVITIES), families(OPEN)


def different(pen, options, entry):
    """An entry of the list other than the one given."""
    return pen.any([option for option in options if option != entry])


def ask(wording, activity):
    """A question about an activity; in a question about other people, "my" becomes "their"."""
    if re.search(r"\b(people|someone)\b", wording):
        for first_person, third_person in THIRD_PERSON.items():
            activity = re.sub(rf"\b{first_person}\b", third_person, activity)
    return wording.replace("{do}", activity)


def activity_pair(pen, duplicate):
    """Two questions about an activity: same frame and meaning, or a different frame or meaning."""
    family = pen.pick(ACTIVITY_FAMILIES)
    same, near = family["="], family["-"]
    frames = {frame: weight for frame, weight in FRAME_WEIGHTS.items() if frame != "cost" or "$" in family}
    frame = pen.weighted(frames)
    wording, first = pen.any(FRAMES[frame]), pen.any(same)
    if duplicate:
        second = different(pen, same, first) if pen.chance(0.75) else first
        return ask(wording, first), ask(pen.any(FRAMES[frame]), second)
    if pen.chance(0.3):
        other = different(pen, tuple(frames), frame)
        return ask(wording, first), ask(pen.any(FRAMES[other]), first)
    second = wording if pen.chance(0.6) else pen.any(FRAMES[frame])
    return ask(wording, first), ask(second, pen.any(near))


def open_pair(pen, duplicate):
    """Two whole questions from a family."""
    family = pen.pick(OPEN_FAMILIES)
    same, near = family["="], family["-"]
    first = pen.any(same)
    return first, different(pen, same, first) if duplicate else pen.any(near)


def unrelated_pair(pen):
    """Two questions from different families; shared slots may give them a word in common."""
    first = pen.pick(ACTIVITY_FAMILIES)
    second = different(pen, ACTIVITY_FAMILIES + OPEN_FAMILIES, first)
    return tuple(question(pen, family) for family in (first, second))


def question(pen, family):
    """One question from a family of either kind."""
    text = pen.any(family["="])
    return text if text.endswith("?") else ask(pen.any(FRAMES[pen.any(("how", "worth", "mistakes"))]), text)


def write(pen):
    """One pair as ((question, question), label)."""
    label = float(pen.chance(0.5))
    if not label and pen.chance(EASY_SHARE):
        pair = unrelated_pair(pen)
    else:
        pair = (activity_pair if pen.chance(0.72) else open_pair)(pen, bool(label))
    slots = Slots(pen, LISTS)
    texts = [tidy(text.format_map(slots)) for text in pair]
    return tuple(pen.shuffled(texts)), label
