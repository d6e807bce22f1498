"""Pairs of questions, labelled 1.0 if they ask the same thing and 0.0 if not.

A subject lists activities: entries of `same` mean the same, entries of `near` share most of their words and
mean something else. A frame asks one thing about an activity ("how", "how long", "what does it cost" ...) in
several wordings. A pair is a duplicate if both the frame and the meaning of the activity agree. Open families
do the same for whole questions. An easy negative joins questions from two subjects.
"""

import re

from writers.common import Slots, lines, tidy, words

SHARES = {1.0: 37, 0.0: 63}
EASY_SHARE = 0.22  # of the negatives

FRAMES = {
    "how": lines("""
        How do I {do}?
        How can I {do}?
        What is the best way to {do}?
        What is a good way to {do}?
        What do I have to do in order to {do}?
        Could anybody explain to me how to {do}?
        I would like to {do}. How should I go about it?
        Does anyone have tips for someone who wants to {do}?"""),
    "time": lines("""
        How long does it take to {do}?
        How much time does one need to {do}?
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

# activities: same | same ... # near | near ...; where it makes sense to ask for the price, $ comes first
ACTIVITIES = lines("""
    lose {kilos} kilos|get rid of {kilos} kilos of body weight|slim down by {kilos} kilos # gain {kilos} kilos|lose {kilos2} kilos
    $ learn {language} in {months} months|become able to speak {language} within {months} months|pick up {language} in the space of {months} months # teach {language} for {months} months|learn {language2} in {months} months|learn {language} in {months2} months
    learn {language} without a teacher|teach myself {language}|study {language} on my own # learn {language} with a teacher|become a teacher of {language}
    $ play the {instrument}|make music on the {instrument} # sell a {instrument}|play the {instrument2}|repair a {instrument}
    $ tune a {instrument}|bring a {instrument} into tune # buy a {instrument}|tune a {instrument2}
    $ buy a used {instrument}|get hold of a second-hand {instrument} # buy a new {instrument}|sell a used {instrument}
    $ travel from {city} to {city2} by train|take the train to {city2} from {city}|reach {city2} by rail when starting in {city} # travel from {city2} to {city} by train|travel from {city} to {city2} by bus|travel from {city} to {city3} by train
    $ fly from {city} to {city2} with a {pet}|take a {pet} on a plane from {city} to {city2} # fly from {city2} to {city} with a {pet}|fly from {city} to {city2} without a {pet}
    $ move from {city} to {city2}|leave {city} and settle in {city2}|relocate to {city2} from {city} # move from {city2} to {city}|visit {city2} from {city}
    $ rent a flat in {city}|find somewhere to live as a tenant in {city} # rent out a flat in {city}|buy a flat in {city}|rent a car in {city}
    $ open a bank account in {city} as a foreigner|become the customer of a bank in {city} without being a citizen # close a bank account in {city} as a foreigner|open a restaurant in {city} as a foreigner
    $ spend {days} days in {city}|plan a stay of {days} days in {city} # spend {days2} days in {city}|spend {days} days in {city2}
    cook {dish} without {ingredient}|prepare {dish} if there is no {ingredient} in the house|make {dish} and leave out the {ingredient} # cook {dish} with {ingredient}|cook {dish2} without {ingredient}
    keep {dish} fresh for {days} days|store {dish} so that it lasts {days} days # keep {dish2} fresh for {days} days|freeze {dish} for {months} months
    $ make {dish} for {many} guests|serve {dish} to a party of {many} # make {dish} for {many2} guests|order {dish} for {many} guests
    grow {plant} from seed|raise {plant} out of seeds # grow {plant} from cuttings|grow {plant2} from seed|collect seed from {plant}
    grow {plant} on a balcony|have {plant} in pots on my balcony # grow {plant2} on a balcony|grow {plant} in a greenhouse
    keep {pest} away from {plant}|protect {plant} against {pest}|stop {pest} from eating {plant} # attract {pest} to {plant}|keep {pest2} away from {plant}|keep {pest} away from {plant2}
    water {plant} before a holiday|give {plant} water ahead of going away # water {plant} after a holiday|water {plant} during a holiday
    $ train a {pet} to come when called|get a {pet} to come back on command # train a {pet2} to come when called|train a {pet} to stay when called
    $ adopt a {pet} in {city}|take in a {pet} that needs a home in {city} # give up a {pet} in {city}|adopt a child in {city}
    prepare for a {race} in {months} months|get into shape for a {race} with {months} months to go # prepare for a {race} in {months2} months|recover from a {race} in {months} months|prepare for a {race2} in {months} months
    $ take up {sport} at the age of {age}|start with {sport} when I am {age}|begin {sport} at {age} # give up {sport} at the age of {age}|take up {sport} at the age of {age2}|take up {sport2} at the age of {age}
    $ become a {job} at the age of {years}|start a career as a {job} when I am {years} # become a {job2} at the age of {years}|become a {job} at the age of {years2}
    $ become a {job} without a degree|work as a {job} without having been to university # become a {job} with a degree|become a {job2} without a degree|hire a {job} without a degree
    switch from being a {job} to being a {job2}|stop working as a {job} and become a {job2} # switch from being a {job2} to being a {job}|work as a {job} and a {job2} at once
    ask my boss for {leave}|request {leave} from my employer # refuse my boss {leave}|ask my landlord for {leave}
    move files from {device} to {device2}|transfer data to {device2} from {device} # move files from {device2} to {device}|delete files from {device} and {device2}
    $ recover deleted photos from {device}|get back pictures that I erased on {device} # delete recovered photos from {device}|recover deleted photos from {device2}
    make {computer} run faster|speed up {computer} # make {computer} run cooler|make {computer2} run faster
    protect {computer} with a password|lock {computer} so that a password is needed # reset the password of {computer}|use {computer} without a password
    write a {text} before {event}|get a {text} written ahead of {event} # write a {text} after {event}|write a {text} about {event}|write a {text2} before {event}
    study for an exam in {subject}|prepare for a {subject} test # set an exam in {subject}|study for an exam in {subject2}
    get better at {subject}|improve my {subject} # teach {subject} better|get better at {subject2}
    $ sue my {person} over {dispute}|take my {person} to court because of {dispute} # be sued by my {person} over {dispute}|sue my {person2} over {dispute}
    settle a quarrel with my {person} about {dispute}|make peace with my {person} over {dispute} # start a quarrel with my {person} about {dispute}|settle a quarrel with my {person2} about {dispute}
    lend money to my {person}|give my {person} a loan # borrow money from my {person}|lend money to my {person2}
    save {sum} euros in {months} months|put aside {sum} euros within {months} months # spend {sum} euros in {months} months|save {sum2} euros in {months} months
    pay back a loan of {sum} euros early|clear a debt of {sum} euros ahead of time # pay back a loan of {sum} euros late|take out a loan of {sum} euros
    treat {ailment} without medicine|cure {ailment} without taking drugs # treat {ailment} with medicine|treat {ailment2} without medicine
    prevent {ailment} in the winter|avoid getting {ailment} when it is cold # prevent {ailment} in the summer|prevent {ailment2} in the winter
    $ remove {stain} from {fabric}|get {stain} out of {fabric}|clean {fabric} that has {stain} on it # remove {stain2} from {fabric}|remove {stain} from {fabric2}
    $ paint a {room}|give a {room} a new coat of paint # paint a picture of a {room}|paint a {room2}|clean a {room}
    $ heat a {room} without electricity|keep a {room} warm with no electric power # cool a {room} without electricity|heat a {room} with electricity
    sleep better before {event}|get a good night's rest ahead of {event} # sleep better after {event}|eat better before {event}
    stay calm during {event}|keep my nerves under control in the middle of {event} # stay awake during {event}|stay calm after {event}
    """)

# whole questions that mean the same # questions that are near
OPEN = lines("""
    Why is {ingredient} bad for {pet}s?|For what reason should {pet}s not eat {ingredient}?|What harm does {ingredient} do to a {pet}? # Why is {ingredient} good for {pet}s?|Why is {ingredient2} bad for {pet}s?
    Who earns more, a {job} or a {job2}?|Is a {job} paid better than a {job2}, or is it the other way round?|Which of the two has the higher income: the {job} or the {job2}? # Who works more, a {job} or a {job2}?|Who earns more, a {job} or a {job3}?
    Is {language} easier to learn than {language2}?|Does one learn {language} with less effort than {language2}?|Compared with {language2}, is {language} the simpler language to learn? # Is {language2} easier to learn than {language}?|Is {language} older than {language2}?
    Which month is best for a visit to {city}?|When in the year should I go and see {city}?|What time of the year is ideal for a trip to {city}? # Which month is worst for a visit to {city}?|Which part of {city} is best for a visit?
    Is {city} cheaper than {city2}?|Does life cost less in {city} than in {city2}?|Would I spend less money living in {city} than in {city2}? # Is {city2} cheaper than {city}?|Is {city} warmer than {city2}?|Is {city} safer than {city2}?
    What does a {job} do all day?|What does the daily work of a {job} look like?|What are the everyday duties of a {job}? # What does a {job2} do all day?|What does a {job} earn a day?
    Can a {pet} live with a {pet2}?|Do {pet}s and {pet2}s get along in one home?|Is it possible to keep a {pet2} and a {pet} together? # Can a {pet} live without a {pet2}?|Can a {pet} live as long as a {pet2}?
    How old is a {pet} when it is fully grown?|At what age does a {pet} stop growing?|When has a {pet} reached its full size? # How old is a {pet} when it dies?|How heavy is a {pet} when it is fully grown?
    Why do {plant} turn yellow?|What makes the leaves of {plant} go yellow?|My {plant} are losing their green colour. What is the cause? # Why do {plant2} turn yellow?|When do {plant} turn red?
    Should children under {age} do {sport}?|Is {sport} suitable for a child who is not yet {age}?|Would you let somebody younger than {age} do {sport}? # Should people over {age} do {sport}?|Should children under {age} watch {sport}?
    What is the difference between {sport} and {sport2}?|How does {sport} differ from {sport2}?|In what way are {sport2} and {sport} not the same? # What do {sport} and {sport2} have in common?|What is the difference between {sport} and {sport3}?
    Can my {host} throw me out because of {dispute}?|Is my {host} allowed to make me leave over {dispute}? # Can I throw my {host} out because of {dispute}?|Can my {host} fine me because of {dispute}?
    Is {subject} harder than {subject2} at university?|Do students find {subject} more difficult than {subject2}? # Is {subject2} harder than {subject} at university?|Is {subject} more useful than {subject2} at university?
    Which is healthier, {dish} or {dish2}?|Is {dish} better for your health than {dish2}, or worse?|From the point of view of health, should I eat {dish} or {dish2}? # Which is tastier, {dish} or {dish2}?|Which is healthier, {dish} or {dish3}?
    What can I use instead of {ingredient} in {dish}?|What is a good substitute for {ingredient} when making {dish}?|I have run out of {ingredient}. What else can go into {dish}? # Why is there {ingredient} in {dish}?|What can I use instead of {ingredient2} in {dish}?
    How many people in {city} speak {language}?|What is the number of speakers of {language} in {city}?|Is {language} spoken by many people in {city}? # How many people in {city} speak {language2}?|How many people in {city} teach {language}?
    Does {ailment} go away by itself?|Will {ailment} pass without any treatment?|If I do nothing about {ailment}, will it stop on its own? # Does {ailment2} go away by itself?|Does {ailment} come back after treatment?
    Did {sport} come before {sport2}?|Is {sport} the older of the two, compared with {sport2}? # Did {sport2} come before {sport}?
    """)

LISTS = {
    "kilos": words("3, 5, 7, 10, 12, 15, 20, 25"),
    "language": words("""Spanish, Italian, Russian, Japanese, Swedish, Arabic, Greek, Turkish, Finnish, Polish, Korean,
        Dutch, Hungarian"""),
    "months": words("two, three, four, six, eight, nine, ten"),
    "days": words("two, three, four, five, six, eight, ten"),
    "instrument": words("guitar, violin, piano, cello, flute, trumpet, banjo, harp, clarinet, saxophone, mandolin"),
    "city": words("""Oslo, Rome, Paris, Madrid, Vienna, Lisbon, Berlin, Prague, Athens, Dublin, Warsaw, Helsinki,
        Zurich, Budapest, Brussels, Tallinn, Seville, Naples, Krakow"""),
    "pet": words("dog, cat, rabbit, parrot, hamster, goat, guinea pig, ferret, donkey"),
    "dish": words("""pancakes, bread, lasagne, potato soup, risotto, apple pie, pizza, dumplings, curry, waffles,
        paella, goulash, noodle salad, cheesecake"""),
    "ingredient": words("""eggs, butter, milk, garlic, flour, onions, sugar, salt, cheese, honey, chocolate, wheat,
        cream"""),
    "many": words("six, eight, twelve, twenty, thirty, forty, fifty"),
    "plant": words("""tomatoes, roses, strawberries, beans, sunflowers, carrots, lettuces, tulips, pumpkins, peppers,
        cucumbers, raspberries, geraniums"""),
    "pest": words("slugs, birds, ants, mice, deer, beetles, wasps, caterpillars, squirrels"),
    "race": words("marathon, triathlon, half marathon, bicycle race, rowing race, ski race, boxing match"),
    "sport": words("""tennis, judo, swimming, rowing, football, climbing, fencing, volleyball, boxing, ice skating,
        handball, archery, gymnastics"""),
    "age": words("12, 14, 16, 18, 25, 30, 35, 40, 50, 60"),
    "years": words("22, 25, 28, 30, 35, 40, 45, 50, 55"),
    "job": words("""nurse, pilot, baker, teacher, lawyer, plumber, journalist, carpenter, translator, train driver,
        dentist, architect, firefighter, vet"""),
    "leave": words("""a pay rise, a day off, a shorter week, more time, a written contract, a letter of reference,
        a new chair, an answer"""),
    "device": words("""an old phone, a laptop, a tablet, a memory stick, a camera, a home computer, a smart watch,
        an external drive, a work computer"""),
    "computer": words("""an old phone, a laptop, a tablet, a home computer, a smart watch, a work computer,
        a games console, a shared computer"""),
    "text": words("speech, letter of thanks, poem, shopping list, summary, report, diary entry, short talk"),
    "event": words("""a wedding, an exam, a job interview, a funeral, a long flight, a concert, an operation,
        a school play, a court hearing, a storm"""),
    "subject": words("mathematics, history, chemistry, physics, geography, biology, grammar, statistics, drawing"),
    "person": words("landlord, neighbour, boss, brother, aunt, dentist, business partner, cousin, tenant"),
    "host": words("landlord, flatmate, uncle, host family, boarding school, sister, hotel, landlady"),
    "dispute": words("""a broken fence, loud music, an unpaid bill, a barking dog, a parking space, a leaking roof,
        a lost key, a fallen tree, a dirty staircase"""),
    "sum": words("500, 800, 1000, 2000, 3000, 5000, 7500, 10000"),
    "ailment": words("""a cough, a headache, back pain, a sore throat, a cold, a rash, hiccups, a stiff neck,
        chapped lips"""),
    "stain": words("red wine, coffee, ink, grass stains, candle wax, blood, mud, chewing gum, beetroot juice"),
    "fabric": words("a wool jumper, a white shirt, a carpet, a sofa, a silk scarf, a tablecloth, leather shoes"),
    "room": words("kitchen, cellar, bathroom, garage, greenhouse, garden shed, bedroom, caravan, attic"),
}


def parse(entry):
    """The wordings that mean the same and those that only look alike."""
    entry = entry.removeprefix("$ ")
    same, near = entry.split(" # ")
    return same.split("|"), near.split("|")


def different(pen, options, text):
    """An entry of the list other than the text."""
    return pen.any([option for option in options if option != text])


def ask(wording, activity):
    """A question about an activity; a question about other people speaks of them, not of me."""
    if re.search(r"\b(people|someone|one)\b", wording):
        for mine, theirs in THIRD_PERSON.items():
            activity = re.sub(rf"\b{mine}\b", theirs, activity)
    return wording.replace("{do}", activity)


def activity_pair(pen, duplicate):
    """Two questions about an activity: same frame and meaning, or one of the two changed."""
    entry = pen.pick(ACTIVITIES)
    same, near = parse(entry)
    frames = {frame: weight for frame, weight in FRAME_WEIGHTS.items() if frame != "cost" or entry[0] == "$"}
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
    same, near = parse(pen.pick(OPEN))
    first = pen.any(same)
    return first, different(pen, same, first) if duplicate else pen.any(near)


def unrelated_pair(pen):
    """Two questions from different subjects; the slots they share may give them a word in common."""
    first, _ = activity_pair(pen, True) if pen.chance(0.7) else open_pair(pen, True)
    return first, (activity_pair(pen, True) if pen.chance(0.7) else open_pair(pen, True))[0]


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
