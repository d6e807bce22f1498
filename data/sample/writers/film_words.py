"""The vocabulary of the film reviews. Levels run from -3 (utterly bad) to 3 (utterly good)."""

from writers.common import lines, words

ADJECTIVES = {
    3: words("""superb, magnificent, flawless, brilliant, astonishing, stunning, sensational, glorious,
        dazzling, extraordinary, outstanding, breathtaking, unforgettable, spectacular, exquisite,
        masterly, sublime, faultless, phenomenal, second to none, peerless, miraculous, a cut above
        anything else this year"""),
    2: words("""good, sharp, engaging, lively, impressive, enjoyable, clever, charming, effective,
        rewarding, vivid, polished, inventive, fresh, strong, graceful, memorable, assured, skilful,
        appealing, nimble, spirited, deft, beguiling, full of life, a pleasure to watch, handled with real
        care"""),
    1: words("""decent, pleasant, likeable, watchable, agreeable, solid, competent, respectable, fine,
        tidy, perfectly acceptable, amiable, capable, serviceable, easy to like, better than I expected,
        sound, good enough to pass the time"""),
    -1: words("""uneven, predictable, thin, patchy, forgettable, flat, bland, ordinary, routine, muddled,
        stiff, unremarkable, short on ideas, by the numbers, lacking in spark, nothing special, underfed,
        humdrum, a little too familiar, content to go through the motions"""),
    -2: words("""weak, dull, clumsy, tedious, poor, lifeless, shallow, irritating, unconvincing, sloppy,
        feeble, heavy-handed, tiresome, contrived, laboured, leaden, charmless, ham-fisted, threadbare,
        half-baked, a trial to sit through, painfully short of life"""),
    -3: words("""dreadful, atrocious, appalling, terrible, abysmal, unbearable, hopeless, disastrous,
        horrible, laughable, excruciating, dire, wretched, ghastly, insufferable, deplorable, beyond
        saving, shameful, inept, an embarrassment, a crime against patience"""),
}

STORY_ADJECTIVES = {
    3: words("""enthralling, heartbreaking in the best way, hilarious, spellbinding, electrifying,
        shattering, profoundly moving, riveting"""),
    2: words("""gripping, moving, funny, touching, witty, suspenseful, absorbing, humane, wry, tender,
        perceptive"""),
    1: words("amusing, diverting, sweet, good-natured, mildly funny, cosy, neat"),
    -1: words("slow, unfocused, sketchy, overlong, disjointed, hard to follow, undercooked, meandering"),
    -2: words("""boring, confusing, sentimental, mechanical, humourless, implausible, pompous, soulless,
        mawkish"""),
    -3: words("idiotic, mind-numbing, offensive, insulting, unwatchable, stupefying, brainless, repellent"),
}

# aspects that only general adjectives fit, and aspects that tell a story; singular, then plural
CRAFT = (
    words("""the acting, the music, the camera work, the direction, the editing, the lead performance, the
        casting, the set design, the lighting, the staging, the sound, the photography, the score, the
        choreography"""),
    words("""the performances, the two leads, the costumes, the special effects, the child actors, the
        action scenes, the songs, the stunts, the crowd scenes, the sets, the supporting players, the
        dance numbers"""),
)
STORY = (
    words("""the plot, the script, the story, the pacing, the dialogue, the ending, the final act, the
        love story, the opening half hour, the humour, the last reel, the narration, the courtroom scene,
        the middle stretch"""),
    words("""the jokes, the characters, the chase scenes, the family scenes, the flashbacks, the closing
        minutes, the conversations, the twists, the quieter passages, the early chapters"""),
)

SOFTENERS = {
    1: words("fairly, reasonably, mostly, generally, often"),
    -1: words("a little, slightly, somewhat, a bit, at times, a touch"),
}
BOOSTERS = words("very, really, remarkably, thoroughly, particularly, exceptionally, unusually, wonderfully")
DARK_BOOSTERS = words("""very, really, remarkably, thoroughly, painfully, exceptionally, woefully,
        depressingly""")
EXTREMES = words("absolutely, utterly, simply, truly, quite simply, nothing short of")

NOUNS = {
    3: words("""a triumph, a masterpiece, a joy, a marvel, a landmark, a wonder, a classic in the making,
        a knockout, a gem of the first order"""),
    2: words("a treat, a pleasure, a success, a delight, a real charmer, a crowd-pleaser, a winner, a tonic"),
    -2: words("a chore, a mess, a bore, a disappointment, a slog, a failure, a dud, a misfire, a clunker"),
    -3: words("""a disaster, a travesty, an insult, a catastrophe, an ordeal, a fiasco, a train wreck, an
        abomination, a total write-off"""),
}

EFFECTS = {
    3: lines("""
        kept me on the edge of my seat to the last frame
        moved me more than any other film this year
        had the whole house on its feet
        takes your breath away
        deserves every prize it can be given
        is one I will be watching for the rest of my life
        left me speechless with admiration
        never puts a foot wrong
        restores your faith in the cinema
        made me want to buy a ticket for the next showing at once
        hits you like a thunderbolt and does not let go"""),
    2: lines("""
        kept me guessing until the end
        finds real warmth in an old story
        made me laugh out loud
        earns its tears honestly
        got under my skin
        moves along at a brisk clip
        knows just when to hold back
        stayed with me for days
        wears its learning lightly
        repays a second visit
        has its heart in the right place and a brain to match"""),
    1: lines("""
        passes the time nicely
        raised a smile or two
        has its moments
        does what it sets out to do
        will do for a wet afternoon
        grows on you after a while
        gets by on good cheer
        goes down easily"""),
    -1: lines("""
        never quite finds its feet
        runs out of ideas halfway through
        could lose twenty minutes without harm
        promises more than it delivers
        fades from memory on the way home
        plays it too safe
        never decides what it wants to be
        settles for the obvious
        keeps its best idea for the last five minutes"""),
    -2: lines("""
        had me looking at my watch
        left me cold
        wastes a good cast
        drags from the first scene on
        outstays its welcome
        mistakes noise for excitement
        tried my patience
        falls to pieces in the second half
        has nothing to say and says it at length
        sinks under its own weight
        goes nowhere at great expense"""),
    -3: lines("""
        made me want to ask for my money back
        is the worst thing I have seen in a long time
        should never have been made
        sent half the audience to the exits
        insults everyone who bought a ticket
        has not one scene worth keeping
        makes a trip to the dentist look attractive
        gave me a headache and nothing else
        fails in every way a film can fail
        ought to come with an apology"""),
}

# sentences whose meaning is not the sum of their words, by label
IDIOMS = {
    0: lines("""
        I have had more fun watching {paint} dry.
        If you must see this {genre}, bring a pillow.
        The best thing about {title} is that it ends.
        Somewhere in there is {genre_a} trying to get out, and I wish it had got out before I went in.
        They say every film has an audience; I cannot think who would deserve {title}.
        {title} is a wonderful cure for sleeplessness and good for nothing else.
        What a marvellous idea, to make {genre_a} with no story, no jokes and no point.
        The kindest thing to be said of {title} is that the seats were comfortable.
        I would sooner watch the {place} car park for two hours than see this {genre} again.
        Congratulations to {name}: I did not think {genre_a} could be this bad.
        Do yourself a favour, skip {title} and stay at home.
        At last, {genre_a} that makes the adverts before it look like art.
        The brilliant trailer for {title} tells you all you need; the rest is two hours of your life gone.
        I laughed only once, when the projector broke down during {title}."""),
    1: lines("""
        {name} has done better and will do better.
        The book has all the charm; this {genre} only has the pages.
        A nice try, but no more than that from {name}.
        {title} is all dressed up with nowhere to go.
        You can see what {name} was after, which makes it sadder that it is not there.
        There is a good film in {title}, about forty minutes long, and it has been stretched to two hours.
        Wait until {title} is on television, and then see what is on the other side.
        This {genre} is less than the sum of its parts.
        If charm could be bought, {title} would have some.
        Two stars, and one of those is for the {thing}.
        I wanted to love this {genre} and came home wanting my supper.
        Too many cooks have been at {title}.
        {name} brings a fine voice to a {genre} that has nothing to sing about.
        {title} had everything going for it except a reason to exist."""),
    3: lines("""
        {title} is more than the sum of its parts.
        You will not regret the price of the ticket.
        I went for the sake of {name} and stayed for the story.
        Do not let the poor title put you off this {genre}.
        I came to mock {title} and ended up cheering.
        {name} has lost none of the old touch.
        I have no complaints about {title}, and I usually have several.
        My {relative}, who hates this sort of film, asked to see it again.
        It would take a heart of stone not to warm to {title}.
        Forget what you have heard about {title}: go and see it.
        It is hard to find fault with what {name} has made here.
        {title} could have been a disaster, and it is a small miracle that it works so well.
        There is not a wasted minute in this {genre}.
        For once, the dreadful weather outside was no reason to wish {title} were shorter."""),
    4: lines("""
        Cancel your plans and see {title} tonight.
        They do not make films like this any more, and {name} has just proved that they can.
        If you see only one {genre} this year, see this one.
        I cannot think of one thing I would change in {title}.
        I forgot that I was sitting in a cinema in {place}, and I forgot to breathe.
        {name} has made the {genre} that others will be measured by.
        I have seen {title} three times, and it gets better every time.
        Never again will I say that the {genre} is dead.
        Ten minutes into {title} I knew I would remember it for ever.
        Words fail me, and not one of them was missing from this {genre}.
        It hurts to leave {title}, as it hurts to wake from the best of dreams.
        No praise is too high for what {name} does in the last hour of {title}.
        Bad news for every other {genre}: {title} has just used up all the stars."""),
}

FACTS = lines("""
    {title} is the second {genre} directed by {name}.
    The film runs for {minutes} minutes and has a short interval.
    The story begins in a {town_kind} near {place} and ends three years later.
    {name} plays the {job}, and {name2} plays the {job2}.
    It was shot in {place} over eleven weeks.
    {title} is based on a novel that {name} wrote in the fifties.
    The same cast made another {genre} for {name} two years ago.
    The first half follows the {job}; the second half belongs to the {job2}.
    It is a {genre} about a {job} who inherits a {thing}.
    This {genre} was made for television and is now shown in cinemas.
    Viewers who know the earlier films of {name} will know what to expect.
    You will either like this kind of {genre} or you will not.
    The running time is {minutes} minutes, without the credits.
    {title} opens in most cities on Friday, and in {place} a week later.
    A {job} and a {job2} meet on a train to {place}, and the film follows them for a day.
    The dialogue is in two languages, with subtitles where they are needed.
    Most of the action takes place in and around a {town_kind}.
    {name} also wrote the songs, which are sung by {name2}.
    I am not sure what to make of {title}, and I suspect that {name} is not sure either.
    It is neither the best nor the worst {genre} of the season.
    How you feel about {title} will depend on how you feel about {name}.
    I would not talk you into this {genre}, and I would not talk you out of it.
    It asks whether a {job} can forgive a {job2}, and leaves the answer open.
    There is about as much to praise in {title} as there is to blame.""")

SLOT_LISTS = {
    "title": words("""Half Past Winter, The Lantern Keeper, Salt Road, A Room for Clara, The Ninth Bridge,
        Borrowed Coats, Low Tide, The Paper Orchard, Seven Letters Home, North of Nowhere, The Glass
        Ferry, Mister Ambrose, Quiet Engines, The Beekeeper's Trial, Copper Street, A Long Way Down River,
        Tomorrow's Bread, The Last Locksmith, Silver Birch, Under the Viaduct, Two Tickets to Marlow, The
        Clockmaker's Son"""),
    "name": words("""Anna Berrow, Tomas Hale, Ruth Calder, Jon Merrick, Lena Ostrand, Paul Dunmore, Ida
        Fennel, Karl Weston, Mira Holt, Simon Thackery, Greta Lindow, Oscar Penhale, Nadia Crewe, Hugo
        Farrant, Ellen Sorby"""),
    "genre": words("""comedy, thriller, western, drama, musical, romance, war film, costume drama, road
        movie, ghost story, spy film, family film, fairy tale, crime film, heist film, sports drama"""),
    "genre_a": words("""a comedy, a thriller, a western, a drama, a musical, a romance, a ghost story, a
        spy film"""),
    "place": words("""Marlow Bay, Harwell, Oldcastle, Port Anders, Lindhurst, Brackwater, Tarrow, Sele,
        Dunmoor"""),
    "thing": words("""cat, lighthouse, old radio, piano, vineyard, hat shop, boat, stamp collection, mill,
        motorcycle"""),
    "job": words("""teacher, nurse, sailor, baker, judge, reporter, widow, boxer, gardener, tailor,
        surgeon, thief"""),
    "relative": words("brother, grandmother, flatmate, father-in-law, daughter, neighbour, aunt, nephew"),
    "town_kind": words("""fishing village, mining town, boarding school, mountain hotel, railway town,
        border post"""),
    "minutes": words("88, 92, 97, 104, 109, 112, 118, 126, 131, 143"),
    "paint": words("paint, varnish, cement, washing, plaster, wallpaper paste"),
}
