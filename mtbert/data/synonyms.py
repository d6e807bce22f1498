"""A small table of synonyms, written for this project.

EDA's authors take synonyms from WordNet, whose data no well-kept package on PyPI carries. These are common words of
film talk, questions, news and captions, in groups of one meaning and one form (number, tense). Words that carry a
sentiment of their own are left out, so that a replaced word leaves a review's label alone.
"""

_GROUPS = """
film movie picture
films movies pictures
actor performer player
actors performers players
director filmmaker
story tale narrative
stories tales narratives
script screenplay
plot storyline
scene sequence
scenes sequences
audience viewers crowd
viewer spectator
viewers spectators
ending finish conclusion
beginning start opening
character figure role
characters figures roles
theme subject topic
themes subjects topics
genre category
soundtrack score
photography camerawork cinematography
dialogue conversation talk
documentary nonfiction
remake adaptation
sequel continuation
screen display
performance portrayal
performances portrayals
work piece
book volume novel
books volumes novels
song tune
songs tunes
author writer
authors writers
word term
words terms
idea notion concept
ideas notions concepts
way manner method
ways methods
reason cause
reasons causes
kind sort type
kinds sorts types
part portion section
parts portions sections
thing item object
things items objects
place spot location
places spots locations
house home residence
houses homes
city town
cities towns
street road
streets roads
country nation
countries nations
world globe
land ground
area region zone
areas regions zones
car automobile vehicle
cars automobiles vehicles
truck lorry
trucks lorries
plane airplane aircraft
planes airplanes
ship vessel boat
ships vessels boats
bike bicycle
bikes bicycles
job position occupation
jobs positions occupations
company firm business
companies firms businesses
boss manager supervisor
worker employee
workers employees
student pupil learner
students pupils learners
teacher instructor
teachers instructors
doctor physician
doctors physicians
lawyer attorney
lawyers attorneys
police officers
leaders heads
government administration
law statute
laws statutes
election vote ballot
money cash funds
price cost charge
prices costs charges
percent percentage
amount quantity sum
number count
numbers counts
computer machine pc
computers machines
phone telephone mobile
phones telephones mobiles
internet web net
website site page
websites sites pages
program software application
programs applications
language tongue
question query inquiry
questions queries inquiries
answer reply response
answers replies responses
difference distinction gap
differences distinctions gaps
example instance sample
examples instances samples
meaning sense
goal aim target
goals aims targets
plan scheme
plans schemes
result outcome
results outcomes
test exam trial
tests exams trials
child kid youngster
children kids youngsters
boy lad
boys lads
girl lass
girls lasses
man guy
men guys
woman lady
women ladies
person individual
people persons folks
friend companion mate
friends companions mates
baby infant
babies infants
dog hound
dogs hounds
cat feline
cats felines
food meal
meals dishes
coat jacket
shirt top
hat cap
stone rock
stones rocks
sea ocean
forest wood
hill mound
path trail track
river stream
field meadow
ball sphere
game match
games matches
picture image photo
pictures images photos
sofa couch
table desk
bag sack
box crate
period span
begin start commence
begins starts commences
began started commenced
beginning starting commencing
end finish stop
ends finishes stops
ended finished stopped
make create produce
makes creates produces
made created produced
making creating producing
build construct
built constructed
building constructing
buy purchase
buys purchases
bought purchased
buying purchasing
get obtain receive
gets obtains receives
got obtained received
getting obtaining receiving
give hand offer
gives hands offers
gave handed offered
giving handing offering
take grab
takes grabs
took grabbed
taking grabbing
show present display
shows presents displays
showed presented displayed
showing presenting displaying
see watch view
sees watches views
saw watched viewed
watching viewing
look glance gaze
looks glances gazes
looked glanced gazed
looking glancing gazing
say state remark
says states remarks
said stated remarked
saying stating remarking
tell inform
tells informs
told informed
speak talk
speaks talks
speaking talking
ask inquire
asks inquires
asked inquired
asking inquiring
explain clarify
explains clarifies
learn study
learns studies
learning studying
think believe reckon
thinks believes reckons
thought believed reckoned
understand grasp comprehend
understands grasps comprehends
know realize
choose pick select
chooses picks selects
chose picked selected
choosing picking selecting
need require
needs requires
needed required
want wish desire
wants wishes desires
wanted wished desired
use employ utilize
uses employs utilizes
used employed utilized
using employing utilizing
keep retain hold
keeps retains holds
kept retained held
go travel move
goes travels moves
went travelled moved
going travelling moving
walk stroll march
walks strolls marches
walked strolled marched
walking strolling marching
run sprint jog
runs sprints jogs
running sprinting jogging
jump leap hop
jumps leaps hops
jumping leaping hopping
ride drive
rides drives
riding driving
cut slice chop
cuts slices chops
cutting slicing chopping
cook prepare
cooks prepares
cooking preparing
eat consume
eats consumes
eating consuming
throw toss
throws tosses
throwing tossing
carry bring
carries brings
carrying bringing
sit rest
sits rests
sitting resting
hold clutch grip
holding clutching gripping
increase raise
increased raised
rise climb
rises climbs
rose climbed
fall drop decline
falls drops declines
fell dropped declined
change alter modify
changes alters modifies
changed altered modified
find discover locate
finds discovers locates
found discovered located
finding discovering locating
send mail
sent mailed
leave depart exit
leaves departs exits
arrive come
arrives comes
arrived came
happen occur
happens occurs
happened occurred
help assist aid
helps assists aids
helped assisted aided
try attempt
tries attempts
tried attempted
trying attempting
seem appear
seems appears
seemed appeared
become grow
becomes grows
became grew
announce declare report
announced declared reported
big large
bigger larger
biggest largest
small little
smaller littler
long lengthy
short brief
quick fast rapid
quickly fast rapidly
slow unhurried
slowly gradually
new recent
old aged
young youthful
whole entire complete
main chief principal
important major significant
different distinct
similar alike
same identical
certain particular specific
easy simple
possible feasible
real actual
really truly actually
very extremely highly
quite rather fairly
almost nearly
often frequently
usually normally generally
sometimes occasionally
always constantly
again anew
maybe perhaps possibly
also too
about regarding concerning
near beside
under beneath below
over above
many numerous
several various
enough sufficient
first initial
last final
early initial
modern contemporary
"""


def _table() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for line in _GROUPS.split("\n"):
        group = line.split()
        for word in group:
            known = found.setdefault(word, [])
            known += [other for other in group if other != word and other not in known]
    return {word: tuple(others) for word, others in found.items()}


SYNONYMS: dict[str, tuple[str, ...]] = _table()
