"""Families of sentences by genre and topic.

= marks wordings with the same meaning; 4, 3 and 2 mark a changed unimportant detail, a changed important detail, and a
different action. A blank line ends a family.
"""

CAPTIONS = {
    "music": """
        = {who} is playing the guitar {where}.
        = {who} plays a guitar {where}.
        = a guitar is being played by {who} {where}.
        4 {who} in a {colour} {wear} is playing the guitar {where}.
        4 {who} is all alone, playing the guitar.
        4 {who} is quietly playing an old guitar {where}.
        3 {who2} is playing the guitar {where}.
        3 {who} is playing the drums {where}.
        2 {who} is repairing a guitar {where}.
        2 {who} is sleeping beside a guitar {where}.

        = {who} with a {colour} {wear} is singing on a stage.
        = on a stage, {who} in a {colour} {wear} is singing.
        = {who} wearing a {colour} {wear} sings a song on a stage.
        4 {who} with a {colour2} {wear} is singing on a stage.
        4 {who} is singing a song on a small stage.
        3 {who2} with a {colour} {wear} is singing on a stage.
        3 {who} with a {colour} {wear} is singing in a bath.
        2 {who} with a {colour} {wear} is sweeping a stage.
        2 {who} with a {colour} {wear} is falling off a stage.

        = {number} people are dancing to a brass band.
        = a brass band is playing while {number} people dance.
        = to the sound of a brass band, {number} people dance.
        4 {number} people in bright clothes are dancing to a brass band.
        4 {number2} people are dancing to a brass band.
        3 {number} bears are dancing to a brass band.
        3 {number} people are dancing to a single violin.
        2 {number} people are walking away from a brass band.
        2 {number} people are throwing coins to a brass band.
        """,
    "animals": """
        = a {fur} dog is running across a field.
        = a {fur} dog runs through a field.
        = across a field runs a {fur} dog.
        4 a {fur2} dog is running across a field.
        4 a {fur} dog with a collar is running across a wet field.
        3 a {fur} horse is running across a field.
        3 a {fur} dog is running along a railway line.
        2 a {fur} dog is digging a hole in a field.
        2 a {fur} dog is asleep in a field.

        = a cat is lying on a {colour} sofa next to {who}.
        = next to {who}, a cat lies on a {colour} sofa.
        = on a {colour} sofa, a cat is lying at the side of {who}.
        4 a cat is lying on a {colour2} sofa next to {who}.
        4 a fat cat is lying on an old {colour} sofa next to {who}.
        3 a cat is lying on a {colour} sofa next to a parrot.
        3 a baby is lying on a {colour} sofa next to {who}.
        2 a cat is scratching a {colour} sofa next to {who}.
        2 a cat is jumping from a {colour} sofa onto {who}.

        = {number} cows are drinking from a river.
        = {number} cows drink water at a river.
        = at the edge of a river, {number} cows are drinking.
        4 {number} brown cows are drinking from a river.
        4 {number2} cows are drinking from a narrow river.
        3 {number} elephants are drinking from a river.
        3 {number} cows are drinking from a bathtub.
        2 {number} cows are swimming across a river.
        2 {number} cows are standing on a bridge over a river.

        = {who} is feeding a {colour} bird {where}.
        = {who} gives food to a {colour} bird {where}.
        = a {colour} bird is being fed by {who} {where}.
        4 {who} is feeding a small {colour} bird {where}.
        4 {who} is feeding a {colour2} bird {where}.
        3 {who} is feeding a snake {where}.
        3 {who2} is feeding a {colour} bird {where}.
        2 {who} is drawing a {colour} bird {where}.
        2 {who} is chasing a {colour} bird {where}.
        """,
    "food": """
        = {who} is slicing an onion {where}.
        = {who} cuts an onion into slices {where}.
        = an onion is being sliced by {who} {where}.
        4 {who} is slicing a large onion {where}.
        4 {who} is slicing an onion with a long knife.
        3 {who} is slicing a cake {where}.
        3 {who2} is slicing an onion {where}.
        2 {who} is throwing an onion {where}.
        2 {who} is planting an onion {where}.

        = {who} in a {colour} {wear} is eating {dish} {where}.
        = {who}, dressed in a {colour} {wear}, eats {dish} {where}.
        = {where}, {who} in a {colour} {wear} is having {dish} for a meal.
        4 {who} in a {colour2} {wear} is eating {dish} {where}.
        4 {who} is eating {dish}.
        3 {who} in a {colour} {wear} is eating {dish2} {where}.
        3 {who2} in a {colour} {wear} is eating {dish} {where}.
        2 {who} in a {colour} {wear} is selling {dish} {where}.
        2 {who} in a {colour} {wear} is dropping {dish} {where}.

        = {who} pours milk into a {colour} bowl.
        = milk is poured into a {colour} bowl by {who}.
        = {who} is filling a {colour} bowl with milk.
        4 {who} pours milk into a {colour2} bowl.
        4 {who} slowly pours cold milk into a {colour} bowl.
        3 {who} pours paint into a {colour} bowl.
        3 {who2} pours milk into a {colour} bowl.
        2 {who} is washing a {colour} bowl.
        2 {who} is putting a {colour} bowl on a shelf.
        """,
    "sport": """
        = {who} is riding a {colour} bicycle down a hill.
        = {who} rides down a hill on a {colour} bicycle.
        = down a hill comes {who} on a {colour} bicycle.
        4 {who} is riding a {colour2} bicycle down a hill.
        4 {who} in a {wear} is riding a bicycle down a steep hill.
        3 {who} is riding a {colour} motorcycle down a hill.
        3 {who2} is riding a {colour} bicycle down a hill.
        2 {who} is pushing a {colour} bicycle up a hill.
        2 {who} is locking a {colour} bicycle to a fence.

        = {number} children are playing football {where}.
        = {number} kids play a game of football {where}.
        = {where}, {number} children are kicking a ball about.
        4 {number} children in {colour} shirts are playing football {where}.
        4 {number2} children are playing football {where}.
        3 {number} priests are playing football {where}.
        3 {number} children are playing chess {where}.
        2 {number} children are fighting {where}.
        2 {number} children are listening to a story {where}.

        = {who} is diving into a pool from a high tower.
        = {who} dives from a high tower into a pool.
        = from a high tower, {who} makes a dive into a pool.
        4 {who} in {colour} shorts is diving into a pool from a high tower.
        4 {who} is diving into a deep pool from a high tower.
        3 {who2} is diving into a pool from a high tower.
        3 {who} is diving into the sea from a boat.
        2 {who} is climbing out of a pool under a high tower.
        2 {who} is cleaning a pool below a high tower.
        """,
    "street": """
        = {who} is waiting for a bus in the rain.
        = {who} waits at a bus stop while it rains.
        = in the rain, {who} is standing at a stop until the bus comes.
        4 {who} with a {colour} umbrella is waiting for a bus in the rain.
        4 {who} is waiting for a {colour} bus in heavy rain.
        3 {who2} is waiting for a bus in the rain.
        3 {who} is waiting for a bus in bright sunshine.
        2 {who} is running after a bus in the rain.
        2 {who} is painting a bus in the rain.

        = a {colour} car is parked in front of a bakery.
        = in front of a bakery stands a parked {colour} car.
        = someone has parked a {colour} car outside a bakery.
        4 a {colour2} car is parked in front of a bakery.
        4 a small {colour} car is parked in front of a closed bakery.
        3 a {colour} tank is parked in front of a bakery.
        3 a {colour} car is parked in front of a prison.
        2 a {colour} car is crashing into a bakery.
        2 a {colour} car is driving past a bakery.

        = {who} is selling {colour} balloons to {who2}.
        = {who2} is buying {colour} balloons from {who}.
        = {colour} balloons are being sold to {who2} by {who}.
        4 {who} is selling {colour3} balloons to {who2}.
        4 {who} is selling big {colour} balloons to {who2} in the street.
        3 {who2} is selling {colour} balloons to {who}.
        3 {who} is selling {colour} shoes to {who2}.
        2 {who} is hiding {colour} balloons from {who2}.
        2 {who} is bursting {colour} balloons in front of {who2}.
        """,
}

HEADLINES = {
    "accidents": """
        = {number} killed in bus crash near {town}
        = bus crash near {town} leaves {number} dead
        = {number} people die as bus crashes close to {town}
        4 {number} killed in {weekday} bus crash near {town}
        4 {number} killed in bus crash on hill road near {town}
        3 {number} killed in bus crash near {town2}
        3 {number} hurt in bus crash near {town}
        2 {number} arrested after bus theft near {town}
        2 {number} rescued from stranded bus near {town}

        = fire destroys school in {town}
        = school in {town} destroyed by fire
        = flames reduce {town} school to ashes
        4 fire destroys old school in {town}
        4 fire destroys school in {town} on {weekday}
        3 fire destroys hospital in {town}
        3 fire destroys school in {town2}
        2 mayor opens new school in {town}
        2 thieves break into school in {town}

        = ferry with {number} on board sinks off {town}
        = boat carrying {number} goes down near {town}
        = {number} on board as ferry sinks off coast of {town}
        4 small ferry with {number} on board sinks off {town} in storm
        4 ferry with {number2} on board sinks off {town}
        3 ferry with {number} on board sinks off {town2}
        3 ferry with {number} on board runs late off {town}
        2 new ferry with {number} decks presented in {town}
        2 ferry workers in {town} begin {number}-day strike
        """,
    "economy": """
        = {firm} to cut {number} hundred jobs in {town}
        = {number} hundred jobs to go at {firm} in {town}
        = {firm} plans to dismiss {number} hundred workers in {town}
        4 {firm} to cut {number} hundred jobs in {town} by spring
        4 {firm} to cut nearly {number} hundred jobs in {town}
        3 {firm} to create {number} hundred jobs in {town}
        3 {firm2} to cut {number} hundred jobs in {town}
        2 {firm} fined after accident in {town}
        2 {firm} buys {number} hundred flats in {town}

        = shares in {firm} rise {percent} percent
        = {firm} shares up by {percent} percent
        = {firm} stock gains {percent} percent
        4 shares in {firm} rise {percent} percent on {weekday}
        4 shares in {firm} rise {percent2} percent
        3 shares in {firm} fall {percent} percent
        3 shares in {firm2} rise {percent} percent
        2 {firm} shareholders reject {percent} percent bonus
        2 {firm} to sell {percent} percent of its offices

        = {town} raises bus fares by {percent} percent
        = bus fares in {town} go up by {percent} percent
        = bus passengers in {town} to pay {percent} percent more
        4 {town} raises bus fares by {percent} percent from {weekday}
        4 {town} raises bus fares by {percent2} percent
        3 {town} lowers bus fares by {percent} percent
        3 {town} raises house rents by {percent} percent
        2 {town} buys {percent} new buses
        2 {town} bus drivers reject {percent} percent pay offer
        """,
    "politics": """
        = mayor of {town} steps down after {number} years
        = {town} mayor resigns after {number} years in office
        = after {number} years, {town} loses its mayor as he quits
        4 mayor of {town} steps down on {weekday} after {number} years
        4 mayor of {town} steps down after nearly {number} years
        3 mayor of {town2} steps down after {number} years
        3 mayor of {town} re-elected after {number} years
        2 mayor of {town} sues paper after {number} years
        2 mayor of {town} marries after {number} years

        = {number} thousand march against airport in {town}
        = crowd of {number} thousand protests against airport in {town}
        = {town}: {number} thousand take to the streets over airport
        4 {number} thousand march peacefully against airport in {town}
        4 {number2} thousand march against airport in {town} on {weekday}
        3 {number} thousand march for airport in {town}
        3 {number} thousand march against prison in {town}
        2 {number} thousand stranded at airport in {town}
        2 {number} thousand lose luggage at airport in {town}

        = peace talks in {town} end without result
        = no result as peace talks in {town} close
        = negotiators leave {town} without a peace deal
        4 peace talks in {town} end without result after {number} days
        4 {weekday} peace talks in {town} end without result
        3 peace talks in {town} end in agreement
        3 trade talks in {town} end without result
        2 peace talks in {town} postponed to {weekday}
        2 peace march in {town} draws {number} thousand
        """,
    "sport news": """
        = {town} beat {town2} to win cup final
        = cup final won by {town} against {town2}
        = {town} lift the cup with win over {town2}
        4 {town} beat {town2} on {weekday} to win cup final
        4 {town} beat {town2} narrowly to win cup final
        3 {town2} beat {town} to win cup final
        3 {town} beat {town2} to win opening match
        2 {town} and {town2} agree to exchange players
        2 {town} to build stadium together with {town2}

        = {town} swimmer breaks record at {weekday} meeting
        = record falls to swimmer from {town} at {weekday} meeting
        = {weekday} meeting: swimmer from {town} sets new record
        4 young {town} swimmer breaks record at {weekday} meeting
        4 {town} swimmer breaks record at {weekday2} meeting
        3 {town} swimmer breaks arm at {weekday} meeting
        3 {town} runner breaks record at {weekday} meeting
        2 {town} swimmer banned from {weekday} meeting
        2 {town} swimmer arrives late for {weekday} meeting
        """,
}

FORUM = {
    "cooking advice": """
        = you should let the {dish} rest for {minutes} minutes before serving.
        = before serving, leave the {dish} to stand for {minutes} minutes.
        = give the {dish} {minutes} minutes to rest and only then call the guests to the table.
        4 you should let the {dish} rest for at least {minutes} minutes before serving.
        4 I always let the {dish} rest for {minutes} minutes before serving.
        3 you should let the {dish} rest for {minutes} days before serving.
        3 you should never let the {dish} rest before serving.
        2 you should keep stirring the {dish} for {minutes} minutes before serving.
        2 you should taste the {dish} before paying the bill.

        = I would not add salt to the {dish} until the last {minutes} minutes.
        = salt should only go into the {dish} in the last {minutes} minutes.
        = wait with the salt for the {dish} until {minutes} minutes before the end.
        4 I would not add sea salt to the {dish} until the last {minutes} minutes.
        4 in my view, you need not add salt to the {dish} until about the last {minutes} minutes.
        3 I would not add sugar to the {dish} until the last {minutes} minutes.
        3 I would add salt to the {dish} in the first {minutes} minutes.
        2 I would not turn off the heat under the {dish} until the last {minutes} minutes.
        2 I would not leave the {dish} alone for {minutes} minutes.
        """,
    "gardening advice": """
        = water your {plant} early in the morning, not at noon.
        = the right time to water {plant} is the early morning rather than noon.
        = do not give {plant} water at noon; do it at the start of the day.
        4 water your young {plant} early in the morning, not at noon.
        4 if you can, water your {plant} before seven in the morning, not at noon.
        3 water your {plant} at noon, not early in the morning.
        3 water your {plant2} early in the morning, not at noon.
        2 pick your {plant} early in the morning, not at noon.
        2 cover your {plant} at noon when the sun is strong.

        = slugs will leave your {plant} alone if you put sand around them.
        = put sand around your {plant}, and the slugs will keep off.
        = a ring of sand protects {plant} against slugs.
        4 slugs will usually leave your {plant} alone if you put coarse sand around them.
        4 slugs will leave your {plant} alone if you put some sand or ash around them.
        3 slugs will come to your {plant} if you put beer around them.
        3 birds will leave your {plant} alone if you put a net around them.
        2 your {plant} will dry out if you put sand around them.
        2 your {plant} will grow straight if you tie them to sticks.
        """,
    "computer advice": """
        = switch your {device} off and on again before you call anyone.
        = before you call for help, restart your {device}.
        = try to restart the {device} first, and only then phone somebody.
        4 switch your old {device} off and on again before you call anyone.
        4 switch your {device} off for {minutes} seconds and on again before you call anyone.
        3 throw your {device} away before you call anyone.
        3 switch your {device2} off and on again before you call anyone.
        2 write down the number of your {device} before you call anyone.
        2 insure your {device} before you lend it to anyone.

        = my {device} stopped working after the last update.
        = since the last update, my {device} has been out of order.
        = the latest update has broken my {device}.
        4 my new {device} stopped working after the last update.
        4 my {device} stopped working {minutes} minutes after the last update on {weekday}.
        3 my {device} stopped working after a fall.
        3 my {device} started working after the last update.
        2 my {device} was stolen after the last meeting.
        2 my {device} asks for a password after every update.
        """,
    "travel advice": """
        = take the early train to {town} if you want to find a seat.
        = if you want a seat, go to {town} on the early train.
        = you will only find a seat to {town} on the early train.
        4 take the early train to {town} on {weekday} if you want to find a seat.
        4 I would take the early train to {town} if you want to find a good seat.
        3 take the late train to {town} if you want to find a seat.
        3 take the early train to {town2} if you want to find a seat.
        2 take the early train to {town} if you want to see the sunrise.
        2 miss the early train to {town} and you will find a taxi.

        = you do not need a car in {town}, because everything is within {minutes} minutes on foot.
        = in {town}, you can walk everywhere in {minutes} minutes, so leave the car at home.
        = a car is of no use in {town}; nothing is more than {minutes} minutes away on foot.
        4 you do not really need a car in {town}, because almost all is within {minutes} minutes on foot.
        4 you do not need a car in {town}, because everything is within {minutes2} minutes on foot.
        3 you need a car in {town}, because nothing is within {minutes} minutes on foot.
        3 you do not need a car in {town2}, because everything is within {minutes} minutes on foot.
        2 you can hire a car in {town} within {minutes} minutes.
        2 you can not leave a car in {town} for more than {minutes} minutes.
        """,
    "money advice": """
        = ask your bank for a lower rate before you sign on {weekday}.
        = before you sign on {weekday}, try to get a lower rate from your bank.
        = do not sign on {weekday} until you have asked the bank to lower the rate.
        4 ask your bank for a slightly lower rate before you sign on {weekday}.
        4 ask your local bank for a lower rate before you sign on {weekday2}.
        3 ask your boss for a lower rate before you sign on {weekday}.
        3 ask your bank for a lower rate after you have signed on {weekday}.
        2 ask your bank for a copy of everything you sign on {weekday}.
        2 leave your bank before you sign anything on {weekday}.

        = put {percent} percent of your wages aside every month.
        = every month, save {percent} percent of what you earn.
        = of each month's wages, {percent} percent should be saved.
        4 put about {percent} percent of your wages aside every month.
        4 put {percent2} percent of your wages aside every month.
        3 put {percent} percent of your wages aside every ten years.
        3 spend {percent} percent of your wages on clothes every month.
        2 give {percent} percent of your wages away every month.
        2 {percent} percent of your wages will go in taxes every month.
        """,
}
