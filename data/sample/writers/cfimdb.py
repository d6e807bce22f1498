"""Long film reviews, labeled 1 (the writer recommends the film) or 0 (the writer does not).

The verdict decides the label. Most remarks agree with it, but some disagree, other people are quoted with the opposite
opinion, and the plot is told without judgment, so that a review has to be read as a whole.
"""

from writers.common import Slots, lines, tidy, words
from writers.film_words import SLOT_LISTS
from writers.sst import aspect_clause

SHARES = {0: 50, 1: 50}
AGREEING = 0.77  # share of remarks that agree with the verdict
LONG_SHARE = 0.12  # share of reviews of about 512 tokens or more

OPENINGS = lines("""
    I saw {title} at a small cinema in {place} with about {few} other people.
    My {relative} picked {title} for our weekly film night, and I had no say in it.
    I had been meaning to watch {title} since it came out, and last {weekday} I finally did.
    Having read the book by {name} twice, I was curious about what they would make of it.
    Like most people my age, I grew up on {genre}s, so I went to {title} with my own ideas.
    {title} was shown late on {weekday} night, and I nearly went to bed instead.
    I was given the disc of {title} as a birthday present by my {relative}.
    Before I say anything about {title}, I should admit that I have never cared for {genre}s.
    There has been a lot of talk about {title}, and some of it has been rather heated.
    We went to see {title} because the other film was sold out.
    I am a great admirer of {name}, and I have seen everything from the first short films onwards.
    A long train ride to {place} gave me the chance to watch {title} without a break.""")

INTRODUCTIONS = lines("""
    {name2} plays a {job} who comes home to {place2} to settle an old debt.
    The story concerns a {job} and a {job2} who are forced to share a house for one winter.
    A {job} finds a {thing} that does not belong to anybody, and half the town wants it.""")

PREMISE = lines("""
    {name3}, in the part of the {job2}, turns up twenty minutes in with a secret.
    From then on, the plot moves between {place2} and the capital.
    There is a trial, a wedding and a fire, in that order.
    The {job} has lost a brother, and nobody will say how.
    In the second half, everyone meets again at a hotel near {place2}.
    Nobody knows who has the {thing}, and each suspects the other.
    The film then jumps forward ten years.
    A stranger arrives by the last bus and asks for the {job2}.
    Meanwhile, the {job2} is writing letters that are never sent.
    It all leads up to a long night on the {place3} road.
    The {job} has until {weekday} to sell the {thing} and leave.""")

# the n-th remarks of PRAISE and BLAME have the same subject
PRAISE = lines("""
    {name2} is very good in the early scenes, especially when there is nothing to say.
    The scene with the {thing} made me laugh out loud.
    I liked the way the camera follows the {job} through the crowd without a cut.
    {name3} has one speech near the end that is worth the price of the ticket.
    You can tell that a great deal of money and care went into the costumes.
    The music is lovely and never gets in the way.
    The first half hour moves along at a fine pace.
    There is a quarrel in a kitchen that feels as if it had been overheard.
    The last shot is beautiful.
    The jokes land more often than not.
    For once, the {job2} is allowed to be clever.
    I did not see the twist coming, and I usually do.
    The two leads are a pleasure to watch together.
    The photography makes {place2} look like the most desirable place on earth.
    I could feel the whole audience holding its breath during the trial.
    Even the smallest parts are cast with real thought.
    The dialogue has a dry wit that took me by surprise.
    By the time the {thing} changed hands, I had quite forgotten the clock.
    The friendship between the {job} and the {job2} rings true.
    It has a sense of mischief that is rare these days.""")

BLAME = lines("""
    {name2} is badly miscast and seems to know it.
    The scene with the {thing} goes on for ever.
    I could not tell you why the {job} does half of what the {job} does.
    {name3} mumbles, and I missed about one line in three.
    The costumes look as if they had been hired that morning.
    The music tells you what to feel at every turn.
    The first half hour is very slow.
    There is a quarrel in a kitchen that nobody could take seriously.
    The last shot is a cheap trick.
    Most of the jokes fall flat.
    The {job2} is given nothing to do but look worried.
    I saw the twist coming from a mile off.
    There is no spark at all between the two leads.
    {place2} is clearly a painted backdrop, and not a good one.
    People around me were whispering and looking at their phones during the trial.
    The smaller parts might as well have been played by furniture.
    The dialogue sounds like something out of a manual.
    By the time the {thing} changed hands, I was counting the lamps on the ceiling.
    The friendship between the {job} and the {job2} comes out of nowhere.
    It takes itself far too seriously.""")

# other people's opinions: praise and blame that are not the writer's own
OTHERS_PRAISE = lines("""
    My {relative} adored it and has been talking about it ever since.
    The papers have called it a masterpiece.
    {name4} called it the finest {genre} of the decade.
    The couple behind us clapped at the end.
    It won a prize at the festival in {place3}.
    Everyone at work told me that I would love it.""")

OTHERS_BLAME = lines("""
    My {relative} walked out after an hour.
    The papers have called it a disaster.
    {name4} called it the dullest {genre} of the decade.
    The couple behind us groaned at the end.
    It was booed at the festival in {place3}.
    Everyone at work told me to stay away.""")

TURNS = words("still, that said, on the other hand, then again, even so, mind you, to be fair, all the same")

VERDICTS = {
    1: lines("""
        When all is said and done, I came out happy, and I will be going again.
        None of that matters much, because it works.
        I would not have missed it, and neither should you.
        Give it a chance and put up with the rest; it is worth it.
        I bought a ticket for my {relative} the very next day.
        If I had to choose one {genre} to take to a desert island, I would take this one, warts and all.
        I have thought about it every day since, and I do not say that often.
        My doubts had gone by the time the lights came up.
        It has its faults, and I would forgive it twice as many.
        I gave it eight out of ten, and I am known to be mean with my points.
        Go and see it while it is still on a big screen.
        I went in with low hopes and was proved wrong."""),
    0: lines("""
        When all is said and done, I came out cross, and I will not be going again.
        None of that helps much, because it does not work.
        I could have done without it, and so can you.
        Do not be taken in by the good parts; there are too few of them.
        I told my {relative} to save the money.
        If I were stuck on a desert island with this {genre}, I would learn to swim.
        I had forgotten most of it by the next day, and I do not regret it.
        My hopes had gone by the time the lights came up.
        It has its merits, and it would need twice as many.
        I gave it three out of ten, and I am known to be generous with my points.
        Wait until it is on television, and then find something else to do.
        I went in with high hopes and was proved wrong."""),
}

EARLY_VERDICTS = {
    1: lines("""
        I may as well say it at once: I enjoyed this one.
        Let me begin with the end: I left the cinema in the best of moods.
        The short version is that I would see it again.
        I am on the side of those who like this film, and I will try to say why.
        This one goes on my shelf."""),
    0: lines("""
        I may as well say it at once: I did not enjoy this one.
        Let me begin with the end: I left the cinema in a foul mood.
        The short version is that I would not see it again.
        I am not on the side of those who like this film, and I will try to say why.
        This one does not go on my shelf."""),
}

LISTS = SLOT_LISTS | {
    "few": words("five, six, eight, nine, ten, twelve, fifteen, twenty"),
    "weekday": words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"),
    "genre": words("western, thriller, musical, romance, war film, ghost story, drama, crime film, spy film"),
}


def remark(pen, positive):
    """A remark about the film, stock or about one aspect, and its subject."""
    if pen.chance(0.65):
        stock = PRAISE if positive else BLAME
        text = pen.pick(stock)
        return text, stock.index(text)
    while True:
        text, score = aspect_clause(pen)
        if abs(score) >= 0.9 and (score > 0) == positive:
            return f"{text}.", text.split()[1]


def body(pen, label, count):
    """The remarks, most of which agree with the verdict, each on a different subject.

    A turn of phrase often marks a change of tone.
    """
    sentences, subjects, before = [], set(), None
    while len(sentences) < count:
        positive = pen.chance(AGREEING) == bool(label)
        text, subject = remark(pen, positive)
        if subject in subjects:
            continue
        subjects.add(subject)
        turn = before is not None and before != positive and pen.chance(0.55)
        sentences.append(f"{pen.pick(TURNS)}, {lower_first(text)}" if turn else text)
        before = positive
    return sentences


def lower_first(text):
    """A sentence as it continues an opening phrase."""
    keep = text.startswith(("I ", "{"))
    return text if keep else text[0].lower() + text[1:]


def in_order(pen, options, count):
    """``count`` different entries, in the order of the list."""
    chosen = pen.several(options, count)
    return [option for option in options if option in chosen]


def write(pen):
    """One review as ((text,), label)."""
    label = int(pen.chance(0.5))
    long = pen.chance(LONG_SHARE)
    premise = [pen.any(INTRODUCTIONS), *in_order(pen, PREMISE, pen.any((9, 10) if long else (1, 2, 3)))]
    remarks = body(pen, label, pen.any((30, 33, 36) if long else (8, 10, 12, 14)))
    others = pen.several(OTHERS_BLAME if label == pen.chance(0.75) else OTHERS_PRAISE, pen.any((0, 1, 1, 2)))
    middle = remarks + others if pen.chance(0.5) else others + remarks
    verdict = pen.several(VERDICTS[label], pen.any((1, 1, 2)))
    parts = [pen.pick(OPENINGS), *premise, *middle, *verdict]
    if pen.chance(0.2):
        parts = [pen.any(EARLY_VERDICTS[label]), *parts[: -len(verdict)]]
    text = " ".join(parts).format_map(Slots(pen, LISTS))
    return (tidy(text),), label
