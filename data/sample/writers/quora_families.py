"""The families of questions: = marks wordings with the same meaning, - wordings with a similar one.

A blank line ends a family; $ marks activities that have a price.
"""

ACTIVITIES = """
    = lose {kilos} kilos of weight
    = get rid of {kilos} kilos of body weight
    = slim down by {kilos} kilos
    - gain {kilos} kilos of weight
    - lose {kilos2} kilos of weight

    $ priced
    = learn {language} in {months} months
    = become able to speak {language} within {months} months
    = pick up {language} in the space of {months} months
    - teach {language} for {months} months
    - learn {language2} in {months} months
    - learn {language} in {months2} months

    = learn {language} without a teacher
    = teach myself {language}
    = study {language} on my own
    - learn {language} with a teacher
    - become a teacher of {language}

    $ priced
    = play the {instrument}
    = make music on the {instrument}
    - sell a {instrument}
    - play the {instrument2}
    - repair a {instrument}

    $ priced
    = tune a {instrument}
    = bring a {instrument} into tune
    - buy a {instrument}
    - tune a {instrument2}

    $ priced
    = buy a used {instrument}
    = get hold of a second-hand {instrument}
    - buy a new {instrument}
    - sell a used {instrument}

    $ priced
    = travel from {city} to {city2} by train
    = take the train to {city2} from {city}
    = reach {city2} by rail when starting in {city}
    - travel from {city2} to {city} by train
    - travel from {city} to {city2} by bus
    - travel from {city} to {city3} by train

    $ priced
    = fly from {city} to {city2} with a {pet}
    = take a {pet} on a plane from {city} to {city2}
    - fly from {city2} to {city} with a {pet}
    - fly from {city} to {city2} without a {pet}

    $ priced
    = move from {city} to {city2}
    = leave {city} and settle in {city2}
    = relocate to {city2} from {city}
    - move from {city2} to {city}
    - visit {city2} from {city}

    $ priced
    = rent a flat in {city}
    = find somewhere to live as a tenant in {city}
    - rent out a flat in {city}
    - buy a flat in {city}
    - rent a car in {city}

    $ priced
    = open a bank account in {city} as a foreigner
    = become the customer of a bank in {city} without being a citizen
    - close a bank account in {city} as a foreigner
    - open a restaurant in {city} as a foreigner

    $ priced
    = spend {days} days in {city}
    = plan a stay of {days} days in {city}
    - spend {days2} days in {city}
    - spend {days} days in {city2}

    = cook {dish} without {ingredient}
    = prepare {dish} if there is no {ingredient} in the house
    = make {dish} and leave out the {ingredient}
    - cook {dish} with {ingredient}
    - cook {dish2} without {ingredient}

    = keep {dish} fresh for {days} days
    = store {dish} for {days} days without a loss of freshness
    - keep {dish2} fresh for {days} days
    - freeze {dish} for {months} months

    $ priced
    = make {dish} for {many} guests
    = serve {dish} to a party of {many}
    - make {dish} for {many2} guests
    - order {dish} for {many} guests

    = grow {plant} from seed
    = raise {plant} out of seeds
    - grow {plant} from cuttings
    - grow {plant2} from seed
    - collect seed from {plant}

    = grow {plant} on a balcony
    = have {plant} in pots on my balcony
    - grow {plant2} on a balcony
    - grow {plant} in a greenhouse

    = keep {pest} away from {plant}
    = protect {plant} against {pest}
    = stop {pest} from eating {plant}
    - attract {pest} to {plant}
    - keep {pest2} away from {plant}
    - keep {pest} away from {plant2}

    = water {plant} before a holiday
    = give {plant} water ahead of going away
    - water {plant} after a holiday
    - water {plant} during a holiday

    $ priced
    = train a {pet} to come when called
    = get a {pet} to come back on command
    - train a {pet2} to come when called
    - train a {pet} to stay when called

    $ priced
    = adopt a {pet} in {city}
    = take in a {pet} that needs a home in {city}
    - give up a {pet} in {city}
    - adopt a child in {city}

    = prepare for a {race} in {months} months
    = get into shape for a {race} with {months} months to go
    - prepare for a {race} in {months2} months
    - recover from a {race} in {months} months
    - prepare for a {race2} in {months} months

    $ priced
    = take up {sport} at the age of {age}
    = start with {sport} when I am {age}
    = begin {sport} at {age}
    - give up {sport} at the age of {age}
    - take up {sport} at the age of {age2}
    - take up {sport2} at the age of {age}

    $ priced
    = become a {job} at the age of {years}
    = start a career as a {job} when I am {years}
    - become a {job2} at the age of {years}
    - become a {job} at the age of {years2}

    $ priced
    = become a {job} without a degree
    = work as a {job} without having been to university
    - become a {job} with a degree
    - become a {job2} without a degree
    - hire a {job} without a degree

    = switch from being a {job} to being a {job2}
    = stop working as a {job} and become a {job2}
    - switch from being a {job2} to being a {job}
    - work as a {job} and a {job2} at once

    = ask my boss for {leave}
    = request {leave} from my employer
    - refuse my boss {leave}
    - ask my landlord for {leave}

    = move files from {device} to {device2}
    = transfer data to {device2} from {device}
    - move files from {device2} to {device}
    - delete files from {device} and {device2}

    $ priced
    = recover deleted photos from {device}
    = get back pictures that I erased on {device}
    - delete recovered photos from {device}
    - recover deleted photos from {device2}

    = make {computer} run faster
    = speed up {computer}
    - make {computer} run cooler
    - make {computer2} run faster

    = protect {computer} with a password
    = lock {computer} so that a password is needed
    - reset the password of {computer}
    - use {computer} without a password

    = write a {text} before {event}
    = get a {text} written ahead of {event}
    - write a {text} after {event}
    - write a {text} about {event}
    - write a {text2} before {event}

    = study for an exam in {subject}
    = prepare for a {subject} test
    - set an exam in {subject}
    - study for an exam in {subject2}

    = get better at {subject}
    = improve my {subject}
    - teach {subject} better
    - get better at {subject2}

    $ priced
    = sue my {person} over {dispute}
    = take my {person} to court because of {dispute}
    - be sued by my {person} over {dispute}
    - sue my {person2} over {dispute}

    = settle a quarrel with my {person} about {dispute}
    = make peace with my {person} over {dispute}
    - start a quarrel with my {person} about {dispute}
    - settle a quarrel with my {person2} about {dispute}

    = lend money to my {person}
    = give my {person} a loan
    - borrow money from my {person}
    - lend money to my {person2}

    = save {sum} euros in {months} months
    = put aside {sum} euros within {months} months
    - spend {sum} euros in {months} months
    - save {sum2} euros in {months} months

    = pay back a loan of {sum} euros early
    = clear a debt of {sum} euros ahead of time
    - pay back a loan of {sum} euros late
    - take out a loan of {sum} euros

    = treat {ailment} without medicine
    = cure {ailment} without taking drugs
    - treat {ailment} with medicine
    - treat {ailment2} without medicine

    = prevent {ailment} in the winter
    = avoid getting {ailment} when it is cold
    - prevent {ailment} in the summer
    - prevent {ailment2} in the winter

    $ priced
    = remove {stain} from {fabric}
    = get {stain} out of {fabric}
    = clean {fabric} that has {stain} on it
    - remove {stain2} from {fabric}
    - remove {stain} from {fabric2}

    $ priced
    = paint a {room}
    = give a {room} a new coat of paint
    - paint a picture of a {room}
    - paint a {room2}
    - clean a {room}

    $ priced
    = heat a {room} without electricity
    = keep a {room} warm with no electric power
    - cool a {room} without electricity
    - heat a {room} with electricity

    = sleep better before {event}
    = get a good night's rest ahead of {event}
    - sleep better after {event}
    - eat better before {event}

    = stay calm during {event}
    = keep my nerves under control in the middle of {event}
    - stay awake during {event}
    - stay calm after {event}
"""

OPEN = """
    = Why is {food} bad for {pet}s?
    = For what reason should {pet}s not eat {food}?
    = What harm does {food} do to a {pet}?
    - Why is {food} good for {pet}s?
    - Why is {food2} bad for {pet}s?

    = Who earns more, a {job} or a {job2}?
    = Is a {job} paid better than a {job2}, or is it the other way round?
    = Which of the two has the higher income: the {job} or the {job2}?
    - Who works more, a {job} or a {job2}?
    - Who earns more, a {job} or a {job3}?

    = Is {language} easier to learn than {language2}?
    = Does one learn {language} with less effort than {language2}?
    = Compared with {language2}, is {language} the simpler language to learn?
    - Is {language2} easier to learn than {language}?
    - Is {language} older than {language2}?

    = Which month is best for a visit to {city}?
    = When in the year should I go and see {city}?
    = What time of the year is ideal for a trip to {city}?
    - Which month is worst for a visit to {city}?
    - Which part of {city} is best for a visit?

    = Is {city} cheaper than {city2}?
    = Does life cost less in {city} than in {city2}?
    = Would I spend less money living in {city} than in {city2}?
    - Is {city2} cheaper than {city}?
    - Is {city} warmer than {city2}?
    - Is {city} safer than {city2}?

    = What does a {job} do all day?
    = What does the daily work of a {job} look like?
    = What are the everyday duties of a {job}?
    - What does a {job2} do all day?
    - What does a {job} earn a day?

    = Can a {pet} live with a {pet2}?
    = Do {pet}s and {pet2}s get along in one home?
    = Is it possible to keep a {pet2} and a {pet} together?
    - Can a {pet} live without a {pet2}?
    - Can a {pet} live as long as a {pet2}?

    = How old is a {pet} when it is fully grown?
    = At what age does a {pet} stop growing?
    = When has a {pet} reached its full size?
    - How old is a {pet} when it dies?
    - How heavy is a {pet} when it is fully grown?

    = Why do {plant} turn yellow?
    = What makes the leaves of {plant} go yellow?
    = My {plant} are losing their green colour. What is the cause?
    - Why do {plant2} turn yellow?
    - When do {plant} turn red?

    = Should children under {young} do {sport}?
    = Is {sport} suitable for a child who is not yet {young}?
    = Would you let somebody younger than {young} do {sport}?
    - Should people over {young} do {sport}?
    - Should children under {young} watch {sport}?

    = What is the difference between {sport} and {sport2}?
    = How does {sport} differ from {sport2}?
    = In what way are {sport2} and {sport} not the same?
    - What do {sport} and {sport2} have in common?
    - What is the difference between {sport} and {sport3}?

    = Can my {host} throw me out because of {dispute}?
    = Is my {host} allowed to make me leave over {dispute}?
    - Can I throw my {host} out because of {dispute}?
    - Can my {host} fine me because of {dispute}?

    = Is {subject} harder than {subject2} at university?
    = Do students find {subject} more difficult than {subject2}?
    - Is {subject2} harder than {subject} at university?
    - Is {subject} more useful than {subject2} at university?

    = Which is healthier, {dish} or {dish2}?
    = Is {dish} better for your health than {dish2}, or worse?
    = From the point of view of health, should I eat {dish} or {dish2}?
    - Which is tastier, {dish} or {dish2}?
    - Which is healthier, {dish} or {dish3}?

    = What can I use instead of {ingredient} in {dish}?
    = What is a good substitute for {ingredient} when making {dish}?
    = I have run out of {ingredient}. What else can go into {dish}?
    - What is the point of {ingredient} in {dish}?
    - What can I use instead of {ingredient2} in {dish}?

    = How many people in {city} speak {language}?
    = What is the number of speakers of {language} in {city}?
    = Is {language} spoken by many people in {city}?
    - How many people in {city} speak {language2}?
    - How many people in {city} teach {language}?

    = Does {ailment} go away by itself?
    = Will {ailment} pass without any treatment?
    = If I do nothing about {ailment}, will it stop on its own?
    - Does {ailment2} go away by itself?
    - Does {ailment} come back after treatment?

    = Did {sport} come before {sport2}?
    = Is {sport} the older of the two, compared with {sport2}?
    - Did {sport2} come before {sport}?
"""
