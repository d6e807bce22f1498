"""Reviews of shops and restaurants, labeled from 0 (one star) to 4 (five stars).

Each star rating has its plans. A plan gives the value of every sentence, from -2 to 2: five stars praise without
reserve, four have a small complaint, three are balanced, two have one good word, one has none.
"""

from writers.common import Slots, lines, tidy, words

SHARES = {label: 20 for label in range(5)}

PLANS = {
    0: ((-2, -2), (-2, -1, -2), (-1, -2, -2, -2), (0, -2, -1, -2), (0, -2, -2, -1, -2)),
    1: ((-1, -1), (1, -1, -1), (0, -1, 1, -1), (-1, -2, 1, -1), (0, 1, -1, -1, -1)),
    2: ((1, -1), (0, 1, -1), (-1, 1, 0), (0, 1, -1, 1, -1), (0, -1, 1), (2, -1, -1, 1)),
    3: ((1, 1), (1, -1, 1, 1), (0, 1, 1), (0, 2, -1, 1), (1, 2, -1, 1)),
    4: ((2, 2), (2, 1, 2), (0, 2, 2, 2), (1, 2, 2), (0, 2, 1, 2, 2)),
}

ANYWHERE = {
    2: lines("""
        {owner} could not have been kinder to us.
        I have told all my friends about this place.
        I would give six stars if I could.
        This is the best {business} in {town} by a long way.
        We will be back, and we will bring the whole family.
        Nothing was too much trouble for anybody there.
        I have been coming here for {years} years, and it has never let me down.
        They went out of their way to put a small mistake right at once."""),
    1: lines("""
        The staff were friendly.
        The prices are fair.
        It is easy to park nearby.
        Everything was clean and tidy.
        They answered my questions patiently.
        I would go again if I were in {town}.
        We did not have to wait long.
        They open early, which suits me well."""),
    0: lines("""
        I came here on a {weekday} in {month}.
        It is next to the {landmark} in {town}.
        My {relative} had a voucher, so we gave it a try.
        They moved here from the other side of {town} {years} years ago.
        I live just around the corner.
        It was about half full when we went in."""),
    -1: lines("""
        We had to wait {minutes} minutes for somebody to notice us.
        It costs more than it should.
        The music was too loud for a conversation.
        The opening hours on the door are not the ones they keep.
        Nobody seemed to know where anything was.
        There is hardly any room to move.
        The website had promised something else.
        It could do with a good clean."""),
    -2: lines("""
        I have never been treated so rudely in my life.
        They took my money and then refused to talk to me.
        I would give no stars if I could.
        Stay away from this place.
        {owner} shouted at my {relative} in front of everybody.
        I asked for my money back and was laughed at.
        It is a disgrace that a {business} like this is still open.
        I left without buying anything, and I will never set foot in there again."""),
}

FOOD = {
    2: lines("""
        The {dish} was the best I have ever eaten.
        I still dream of their {dish}.
        Every plate looked like a painting and tasted even better.
        The {dish} alone is worth the trip to {town}."""),
    1: lines("""
        The {dish} was tasty and hot.
        I liked the {dish}, and the portion was generous.
        The coffee is better than most.
        They have plenty of choice for people who do not eat meat."""),
    -1: lines("""
        The {dish3} was lukewarm by the time it came.
        The {dish3} needed salt and rather more flavour.
        I had ordered the {dish3} and got the {dish2}.
        The portion was small for the price."""),
    -2: lines("""
        The {dish} was raw in the middle and burnt at the edges.
        I was ill for two days after the {dish}.
        There was a hair in the {dish}, and nobody said sorry.
        The {dish} tasted of washing-up water."""),
}

GOODS = {
    2: lines("""
        They mended my {thing} while I waited and would not take a penny for it.
        I have never seen such a wonderful choice, and {owner} knows every piece of it.
        My {thing} works better now than on the day it was new.
        They stayed open late just to hand me my {thing}."""),
    1: lines("""
        They had the {thing} I was looking for.
        The {thing} was ready on the day they had promised.
        I got good advice about my {thing}.
        The range is small, but it is well chosen."""),
    -1: lines("""
        It took them {minutes} minutes to find my {thing}.
        They did not have the {thing2} that was in the window.
        My {thing} was ready a week later than they had said.
        They tried to sell me a new {thing} when I only wanted a part."""),
    -2: lines("""
        They broke my {thing} and blamed me for it.
        My {thing} fell to pieces on the way home.
        They charged me twice for the {thing} and then denied it.
        They have had my {thing} for {years} months and do not answer the telephone."""),
}

FOOD_PLACES = words("cafe, restaurant, pizza place, bakery, noodle bar, tea room, steak house, fish bar")
LISTS = {
    "owner": words("the owner, the manager, the man at the counter, the woman at the till, the young waiter"),
    "town": words("Marlow Bay, Harwell, Oldcastle, Port Anders, Lindhurst, Brackwater, Tarrow, Dunmoor"),
    "years": words("two, three, four, five, six, eight, nine"),
    "minutes": words("twenty, thirty, forty, fifty, twenty-five, thirty-five"),
    "weekday": words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"),
    "month": words("January, March, April, May, June, August, October, November, December"),
    "landmark": words("station, library, old mill, post office, harbour, town hall, swimming pool, museum"),
    "relative": words("sister, father, husband, neighbour, wife, cousin, mother, boss"),
    "dish": words("""mushroom soup, lasagne, lemon cake, fish pie, vegetable curry, roast chicken, onion
        tart, apple strudel, pea soup, lamb stew, cheese omelette, rice pudding"""),
}
SHOP_THINGS = {
    "bicycle shop": words("bicycle, bicycle pump, child seat, helmet"),
    "watchmaker": words("watch, alarm clock, wall clock, pocket watch"),
    "shoe shop": words("left boot, walking shoe, right sandal, leather slipper"),
    "hardware store": words("lawnmower, kettle, ladder, electric drill"),
    "music shop": words("violin, accordion, guitar, record player"),
    "repair shop": words("sewing machine, toaster, radio, vacuum cleaner"),
    "camera shop": words("camera, lens, tripod, film projector"),
    "tailor": words("winter coat, suit, wedding dress, waistcoat"),
}
SHOPS = tuple(SHOP_THINGS)


def slot_lists(business):
    """The slot values for a kind of business; a shop has no waiter but goods of its own."""
    lists = {**LISTS, "business": (business,)}
    if business in SHOPS:
        lists["owner"] = (*LISTS["owner"][:4], "the assistant")
        lists["thing"] = SHOP_THINGS[business]
    return lists


def sentences(pen, plan, special):
    """One sentence for each value of the plan, half of them about the food or the goods."""
    chosen = []
    for value in plan:
        text = None
        while text is None or text in chosen:
            own = value in special and pen.chance(0.5)
            text = pen.any(special[value] if own else ANYWHERE[value])
        chosen.append(text)
    return chosen


def write(pen):
    """One review as ((text,), label)."""
    label = pen.any(tuple(PLANS))
    food = pen.chance(0.6)
    business = pen.any(FOOD_PLACES if food else SHOPS)
    parts = sentences(pen, pen.any(PLANS[label]), FOOD if food else GOODS)
    if pen.chance(0.7):
        parts[0] = (
            pen.any(
                (
                    f"{business} in {{town}}. ",
                    f"we tried this {business} with some friends. ",
                    f"a {business} that I had often walked past. ",
                )
            )
            + parts[0]
        )
    return (tidy(" ".join(parts).format_map(Slots(pen, slot_lists(business)))),), label
