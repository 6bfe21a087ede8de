"""Pairs of questions written by hand: those that look alike and ask for something else, and those that ask the same."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.cache.pairs import Pair

# A pair a line, its questions divided by a bar.
DIFFERENT = {
    "units": """
        What is 10² in decimal?|What is 102 in decimal?
        How long is 5' in metres?|How long is 5" in metres?
        Is 5 % of sugar too much?|Is 5 of sugar too much?
        How many litres are in 3 m³?|How many litres are in 3 m?
        How far is 10 miles?|How far is 10 kilometres?
        Is 30 °C warm?|Is 30 °F warm?
        What is 5! in total?|What is 5 in total?
        How much is 3-4 spoons of salt?|How much is 34 spoons of salt?
        How many MB are 5 GB?|How many Mb are 5 GB?
        Can I drink 2 dl of it?|Can I drink 2 cl of it?
        Is 100s long enough?|Is 100 long enough?
    """,
    "dates": """
        What happened in the 1990s?|What happened in 1990?
        What happened on 3/4/2020?|What happened on 4/3/2020?
        Call me in 5 minutes.|Call me at 5 minutes.
        Is it due by Friday?|Is it due on Friday?
        Was it sold before 2010?|Was it sold in 2010?
        What is on 1 May?|What is on 1 June?
        How did rents change since 2015?|How did rents change until 2015?
        Is he here at noon?|Is he here after noon?
        Who won in 2012?|Who won in 2021?
        Which day is the second Monday?|Which second is the Monday?
    """,
    "currencies": """
        Is $5 a fair price?|Is €5 a fair price?
        How much is 100 dollars in euros?|How much is 100 euros in dollars?
        Is 10 USD enough?|Is 10 AUD enough?
        What does 1,5 million cost?|What does 15 million cost?
        Who owes 20 pounds?|Who owes 20 pence?
    """,
    "quantifiers": """
        Why do few people like rain?|Why do a few people like rain?
        Does it take little time?|Does it take a little time?
        Do all birds fly?|Do most birds fly?
        Did both teams win?|Did the teams win?
        Is every student here?|Is any student here?
        Who ate at least two?|Who ate at most two?
        Do cats always purr?|Do cats often purr?
        Is half of it sold?|Is all of it sold?
        Did one of them leave?|Did none of them leave?
        Which of the brothers can swim?|Which of the brother can swim?
        Name the largest city of Peru.|Name the largest cities of Peru.
        Why did a number of people leave?|Why did the number of people leave?
    """,
    "comparatives": """
        Is it big?|Is it huge?
        Is Oslo as cold as Bergen?|Is Oslo colder than Bergen?
        Which is the better phone?|Which is the best phone?
        Is tea less bitter than coffee?|Is tea more bitter than coffee?
        Is it older than ten?|Is it as old as ten?
        Who is the youngest?|Who is the oldest?
        Who is more than 18?|Who is no more than 18?
        Is it a good school?|Is it a better school?
        Which universities are famous?|Which universities are prestigious?
    """,
    "modal verbs and tenses": """
        Can I leave?|May I leave?
        Should I pay?|Must I pay?
        Do I have to pay?|Do I pay?
        Could Napoleon have won?|Can Napoleon have won?
        What will happen?|What happens?
        Who will pay?|Who pays?
        I had a dog, what now?|I have a dog, what now?
        Would he come?|Will he come?
        Might it rain?|Must it rain?
        Need I sign?|Shall I sign?
        Has the shop closed?|Had the shop closed?
        Is he leaving?|Has he left?
    """,
    "who did what to whom": """
        Who was paid?|Who paid?
        Was Smith beaten?|Has Smith beaten?
        Have the men been killed?|Have the men killed?
        Who called him?|Who named him?
        Do you know the man who called Bob?|Do you know the man called Bob?
        Who did order the attack?|Who did the attack?
        What does he do?|What is he?
        Who has it?|Who is it?
        Who did it?|Who was it?
        What is this for?|What is this?
        Who is he with?|Who is he?
        Should I tell her about my dog?|Should I tell her about his dog?
        Did he see the car?|Did he see her car?
        What is on the box?|What is in the box?
        What is on the box?|What is the box?
        Was the play written for Mary?|Was the play written by Mary?
        Did Ann's brother marry Eve?|Did Ann marry Eve's brother?
        Is he the son of the king?|Is the king the son of him?
        Who sold the farm to Tom?|Who sold Tom to the farm?
        Who was she fired by?|Who was she fired for?
        What did the doctor treat?|Who did the doctor treat?
    """,
    "abbreviations": """
        What is an app for a job?|What is an application for a job?
        What is the US army?|What is the us army?
        Is IT hard?|Is it hard?
        What is the WHO plan?|What is the who plan?
        What is a PC?|What is a PCB?
        What is Dr. No?|What is no doctor?
        What does AC mean?|What does DC mean?
        What does Latin America export?|What does Latin US export?
        Who is in the EU?|Who is in the EEA?
    """,
    "code": """
        What does x != y mean?|What does x = y mean?
        What does a && b do?|What does a & b do?
        What is .NET?|What is net?
        What does getName return?|What does getname return?
        What is foo_bar?|What is foobar?
        What is f'(x)?|What is f(x)?
        What is x.y?|What is xy?
        What is a lens?|What is len?
        What is a str?|What is a string?
        What is x²?|What is x2?
        What does i++ do?|What does i-- do?
        What does {} mean?|What does [] mean?
        What is :hover?|What is hover?
        What does rm -r do?|What does rm -f do?
        How do I remove a user from a group?|How do I erase a user from a group?
        What does a[0] mean?|What does a(0) mean?
        How do I type letters?|How do I sort letters?
    """,
    "versions": """
        What is new in Python 3.1?|What is new in Python 3.11?
        What is new in version 1 12?|What is new in version 11 2?
        Is 2.0.1 stable?|Is 2.1.0 stable?
        Is iOS 17 out?|Is iOS 17.1 out?
        What is USB 3?|What is USB 3.2?
        Does v2 work?|Does v3 work?
        What is HTTP/2?|What is HTTP/3?
        Is Windows 10 supported?|Is Windows 11 supported?
    """,
    "words that look alike": """
        Where are the plans?|Where are the planes?
        Where is the park in London?|Where is the parking in London?
        How long is the train to Berlin?|How long is the training to Berlin?
        What does a house cost in Paris?|What does housing cost in Paris?
        Is it evening?|Is it even?
        Who is William?|Who is Williams?
        Where did Edward live?|Where did Edwards live?
        Is it human?|Is it humane?
        Is he notable?|Is he not able?
        Is he nowhere?|Is he now here?
        What is the area of France?|What is the region of France?
        Is he on drugs?|Is he on medication?
        Which is the main school?|Which is the primary school?
        How do I pick a lock?|How do I choose a lock?
        How do I change a tyre?|How do I modify a tyre?
        What is my mail address?|What is my email address?
        How many writers live here?|How many novelists live here?
        Was he arrested?|Was he detained?
        Who produced the film?|Who created the film?
        How much further is it?|How much extra is it?
        How do I stretch my leg?|How do I extend my leg?
        When was he released?|When was he issued?
        Is the meeting over?|Is the meet over?
    """,
    "other languages": """
        ¿Qué has comido?|¿Qué he comido?
        ¿Cuándo termino?|¿Cuándo terminó?
        ¿Cuántos años tienes?|¿Cuántos anos tienes?
        Où Paul a mangé?|Où Paul mange?
        Wo ist der Hund?|Wo ist die Hündin?
        Was will er in Berlin?|Was er in Berlin?
        Wer hat das Auto gekauft?|Wer hat das Auto nicht gekauft?
        Is het in de stad of in het dorp?|Is het in de stad in het dorp?
        Chi ha amato Maria?|Chi ama Maria?
        Quem viu o João?|Quem o João viu?
        Wer ist schon da?|Wer ist schön da?
        Hva koster en bil?|Hva koster to biler?
    """,
    "of all kinds": """
        Does the shop sell to adults?|Does the shop sell adults?
        Who spoke for Anna?|Who spoke with Anna?
        How do I upload a file from S3?|How do I upload a file to S3?
        Is it safe to drink before driving?|Is it safe to drink after driving?
        Can a dog eat grapes?|Can a grape eat dogs?
        What is the speed of 10 knots in mph?|What is the speed of 10 mph in knots?
        What is 0.5 kg in pounds?|What is 5 kg in pounds?
        When is the deadline in 2024?|When is the deadline in 2025?
        Should I take 2 pills every 3 hours?|Should I take 3 pills every 2 hours?
        Is 9 am later than 9 pm?|Is 9 pm later than 9 am?
        What is the price in CHF?|What is the price in CZK?
        How do I mount a disk read-only?|How do I mount a disk?
        Is there more than one answer?|Is there one answer?
        Not all dogs bark, do they?|All dogs bark, do they not?
        What if nobody comes?|What if somebody comes?
        Who hasn't paid?|Who has paid?
        Which files are unused?|Which files are used?
        Is the valve open or closed?|Is the valve open and closed?
        What does "foo" mean in C?|What does "bar" mean in C?
        How do I call super() in Python?|How do I call self() in Python?
        What does git reset --hard do?|What does git reset --soft do?
        What is the difference between a list and a tuple?|What is the difference between a list and a set?
        Does useEffect run twice?|Does useeffect run twice?
        Is TLS 1.2 secure?|Is TLS 1.3 secure?
        How do I downgrade pip to 23.1?|How do I upgrade pip to 23.1?
        Was Rome founded by Romulus?|Was Romulus founded by Rome?
        Who taught Plato?|Who did Plato teach?
        Who is Ann's mother-in-law?|Who is Ann's mother?
        Could I have passed?|Should I have passed?
        Do I need to sign?|Do I want to sign?
        Are you allowed to swim?|Are you able to swim?
        Is it likely to rain?|Is it unlikely to rain?
        How far is the nearest bank?|How far is the farthest bank?
        How old was he when she was born?|How old was she when he was born?
        Is the earth bigger than the moon?|Is the moon bigger than the earth?
        Why did prices rise in May?|Why did prices fall in May?
        What is the boiling point of water?|What is the freezing point of water?
        What is the capital of the Congo?|What is the capital of Congo, Ohio?
        What is the time in Lima?|What is the time to Lima?
        When can I first vote?|When can I vote first?
        Only I saw him, why?|I saw only him, why?
        Is a light year long?|Is a year light long?
        How long is a second?|What is the second long?
        Was he elected in May or in June?|Was he elected in May and June?
        Does he live in Georgia, USA?|Does he live in Georgia?
        How do I translate English to French?|How do I translate French to English?
        Is the US dollar strong?|Is the dollar strong?
        How many days until Friday?|How many days since Friday?
        Does it cost over 100 dollars?|Does it cost 100 dollars?
        Which train goes through Ulm?|Which train goes to Ulm?
        Is Bob married to Eve?|Was Bob married to Eve?
        Is it hot in here?|Is it hot here in June?
        The teacher said the student was late on Monday.|The student said the teacher was late on Monday.
        The company will pay the workers in May.|The company paid the workers in May.
        The red car hit the blue truck near Oslo.|The blue truck hit the red car near Oslo.
        The box on the table belongs to my sister.|The box in the table belongs to my sister.
        The court did not free the two men in 2010.|The court did free the two men in 2010.
        My brother lent me his old car last summer.|My brother lent her his old car last summer.
        The plan was approved by most members of the board.|The plan was approved by all members of the board.
        The firm has sold its shop to the city.|The firm has sold its shop for the city.
        The firm has sold its shop in the city.|The firm had sold its shop in the city.
        The soldiers were killed by the rebels near the river.|The soldiers killed the rebels near the river.
        The soldiers have been killed near the river in May.|The soldiers have killed near the river in May.
        Please move the files to the old server today.|Please move the files from the old server today.
        Explain the rise of prices in the last two years.|Explain the rise of prices over the last two years.
        Our team must finish the report before next week.|Our team may finish the report before next week.
    """,
}
SAME = {
    "ways to ask": """
        How do I reset my password?|How can I reset my password?
        What is the capital of France?|Could you tell me what the capital of France is?
        What's the boiling point of water?|What is the boiling point of water?
        How do I cook rice?|Please tell me how to cook rice.
        How can I delete my account?|How do I remove my account?
        Do you know where the station is?|Where is the station?
        Can you explain what a mutex is?|Can you please explain what a mutex is?
        hi, how do I cancel my order|How do I cancel my order?
        What is the best way to learn Spanish?|What's the best way to learn Spanish?
        I would like to know who wrote Hamlet.|Who wrote Hamlet?
    """,
    "synonyms and spelling": """
        How do I purchase a ticket?|How do I buy a ticket?
        What is the colour of the sky?|What is the color of the sky?
        When does the film begin?|When does the movie start?
        How can I fix my bicycle?|How do I repair my bicycle?
        Is the phone cheap?|Is the telephone inexpensive?
        Can I select two photos?|Can I choose 2 photographs?
        Why is the answer wrong?|Why is the response incorrect?
        What are the advantages of solar power?|What are the benefits of solar power?
        How many kids does he have?|How many children does he have?
        Where do wealthy people live?|Where do rich people reside?
    """,
    "order and dates": """
        What happened in Oslo on 8 May 2015?|What happened on May 8th, 2015 in Oslo?
        Who owns the River Leurda?|Who owns the Leurda River?
        In 1999, who was king?|Who was king in 1999?
        When is the exam in September?|When is the test in Sept?
    """,
}


def lookalikes() -> Iterator[Pair]:
    for same, kinds in ((False, DIFFERENT), (True, SAME)):
        for kind, text in kinds.items():
            for line in text.strip().splitlines():
                one, other = line.strip().split("|")
                yield Pair(one=one, other=other, same=same, kind=kind)
