"""Conversations over a few invented companies: what was asked, what is asked now, and the passage that answers it."""

from __future__ import annotations

from dataclasses import dataclass

COMPANIES = {
    "halden": ("Halden Paper", "makes newsprint and board", "Norway", "Ingrid Moe", "Halden", 1984, 1200, 310, 355),
    "corvus": ("Corvus Air", "flies cargo at night", "Belgium", "Pieter Claes", "Liege", 1996, 860, 540, 495),
    "tessel": ("Tessel Bank", "lends to farmers", "the Netherlands", "Anouk de Wit", "Leeuwarden", 1921, 430, 95, 102),
    "marlin": ("Marlin Foods", "cans fish and beans", "Portugal", "Rui Tavares", "Matosinhos", 1958, 2400, 720, 810),
    "sorrel": ("Sorrel Optics", "grinds lenses for telescopes", "Austria", "Greta Lang", "Graz", 2003, 150, 41, 38),
}


def passages() -> dict[str, str]:
    """Texts by id: for each company one on each subject, alike but for names and numbers."""
    texts: dict[str, str] = {}
    for id, (name, trade, country, chief, town, year, staff, before, after) in COMPANIES.items():
        texts |= {
            f"{id}-trade": f"{name} is a company in {country} that {trade}.",
            f"{id}-chief": f"The chief executive of {name} is {chief}, who joined the board eight years ago.",
            f"{id}-seat": f"The headquarters of {name} stand in {town}, beside the old railway station.",
            f"{id}-founded": f"{name} was founded in {year} by two cousins with a loan from a friend.",
            f"{id}-staff": f"{name} employs {staff} people, a third of them on night shifts.",
            f"{id}-2021": f"In 2021 the revenue of {name} came to {before} million euros.",
            f"{id}-2022": f"In 2022 the revenue of {name} came to {after} million euros.",
            f"{id}-strike": f"A strike over wages stopped work at {name} for nine days in spring.",
            f"{id}-carbon": f"{name} wants to cut its carbon emissions by half before the end of the decade.",
        }
    return texts


@dataclass(frozen=True, slots=True)
class Dialogue:
    """`history` alternates questions and answers; `full` is the question as one would put it to a stranger."""

    history: tuple[str, ...]
    question: str
    full: str
    passage: str


LIST = "These companies are in the documents:\n1. Halden Paper\n2. Corvus Air\n3. Tessel Bank\n4. Marlin Foods"

LEANING = (
    Dialogue(
        ("What was Halden Paper's revenue in 2021?", "310 million."),
        "And in 2022?",
        "What was Halden Paper's revenue in 2022?",
        "halden-2022",
    ),
    Dialogue(
        ("What was the revenue of Corvus Air in 2022?", "495 million."),
        "and the year before, 2021?",
        "What was the revenue of Corvus Air in 2021?",
        "corvus-2021",
    ),
    Dialogue(
        ("What was the revenue of Tessel Bank in 2021?", "95 million."),
        "What about Marlin Foods?",
        "What was the revenue of Marlin Foods in 2021?",
        "marlin-2021",
    ),
    Dialogue(
        ("Who is the chief executive of Sorrel Optics?", "Greta Lang."),
        "How about Corvus Air?",
        "Who is the chief executive of Corvus Air?",
        "corvus-chief",
    ),
    Dialogue(
        ("Who runs Marlin Foods?", "Rui Tavares."),
        "How many people does it employ?",
        "How many people does Marlin Foods employ?",
        "marlin-staff",
    ),
    Dialogue(
        ("What does Sorrel Optics make?", "Lenses."),
        "When was it founded?",
        "When was Sorrel Optics founded?",
        "sorrel-founded",
    ),
    Dialogue(
        ("When was Tessel Bank founded?", "In 1921."),
        "Where is its headquarters?",
        "Where is the headquarters of Tessel Bank?",
        "tessel-seat",
    ),
    Dialogue(
        ("When was Tessel Bank founded?", "In 1921."),
        "Who is their chief executive?",
        "Who is the chief executive of Tessel Bank?",
        "tessel-chief",
    ),
    Dialogue(
        ("Where are the headquarters of Halden Paper?", "In Halden."),
        "Was there a strike there?",
        "Was there a strike at Halden Paper?",
        "halden-strike",
    ),
    Dialogue(
        ("Was there a strike at Marlin Foods?", "Yes, nine days."),
        "And at Corvus Air?",
        "Was there a strike at Corvus Air?",
        "corvus-strike",
    ),
    Dialogue(
        ("Which companies do you know?", LIST),
        "When was the second one founded?",
        "When was Corvus Air founded?",
        "corvus-founded",
    ),
    Dialogue(
        ("Which companies do you know?", LIST),
        "Who is the boss of the last one?",
        "Who is the chief executive of Marlin Foods?",
        "marlin-chief",
    ),
    Dialogue(
        ("Which companies do you know?", LIST),
        "Tell me about the revenue of number 3 in 2022.",
        "What was the revenue of Tessel Bank in 2022?",
        "tessel-2022",
    ),
    Dialogue(
        ("What are the climate goals of Sorrel Optics?", "Half by 2030."),
        "Why?",
        "Why does Sorrel Optics cut its carbon emissions?",
        "sorrel-carbon",
    ),
    Dialogue(
        ("What was Halden Paper's revenue in 2021?", "310 million.", "And in 2022?", "355 million."),
        "How many employees does it have?",
        "How many employees does Halden Paper have?",
        "halden-staff",
    ),
    Dialogue(
        ("What was Halden Paper's revenue in 2021?", "310 million.", "And in 2022?", "355 million."),
        "And Tessel Bank?",
        "What was the revenue of Tessel Bank in 2022?",
        "tessel-2022",
    ),
    Dialogue(
        ("What does Corvus Air do?", "It flies cargo."),
        "Headquarters?",
        "Where are the headquarters of Corvus Air?",
        "corvus-seat",
    ),
    Dialogue(
        ("What does Corvus Air do?", "It flies cargo."),
        "Does it have climate goals?",
        "Does Corvus Air have climate goals?",
        "corvus-carbon",
    ),
    Dialogue(
        ("Tell me about Marlin Foods.", "It cans fish."),
        "What did they earn in 2021?",
        "What did Marlin Foods earn in 2021?",
        "marlin-2021",
    ),
    Dialogue(
        ("Tell me about Marlin Foods.", "It cans fish."),
        "What did they earn in 2022?",
        "What did Marlin Foods earn in 2022?",
        "marlin-2022",
    ),
    Dialogue(
        ("Who is the chief executive of Halden Paper?", "Ingrid Moe."),
        "How long has she been on the board?",
        "How long has the chief executive of Halden Paper been on the board?",
        "halden-chief",
    ),
    Dialogue(
        ("How many people work for Sorrel Optics?", "150."),
        "And for Tessel Bank?",
        "How many people work for Tessel Bank?",
        "tessel-staff",
    ),
    Dialogue(
        ("How many people work for Sorrel Optics?", "150."),
        "how many of those on night shifts",
        "How many people of Sorrel Optics work on night shifts?",
        "sorrel-staff",
    ),
    Dialogue(
        ("Where is Sorrel Optics?", "In Graz."),
        "And what does that company make?",
        "What does Sorrel Optics make?",
        "sorrel-trade",
    ),
    Dialogue(
        ("Wer leitet Halden Paper?", "Ingrid Moe."), "Und Tessel Bank?", "Wer leitet Tessel Bank?", "tessel-chief"
    ),
    Dialogue(
        ("Quel est le revenu de Corvus Air en 2021 ?", "540 millions."),
        "Et en 2022 ?",
        "Quel est le revenu de Corvus Air en 2022 ?",
        "corvus-2022",
    ),
)

# What was said before has nothing to do with these, or only seems to.
ALONE = (
    Dialogue(
        ("What was Halden Paper's revenue in 2021?", "310 million."),
        "Who is the chief executive of Corvus Air?",
        "",
        "corvus-chief",
    ),
    Dialogue(
        ("Who runs Marlin Foods?", "Rui Tavares."), "Where are the headquarters of Tessel Bank?", "", "tessel-seat"
    ),
    Dialogue(
        ("When was Tessel Bank founded?", "In 1921."), "How many people does Sorrel Optics employ?", "", "sorrel-staff"
    ),
    Dialogue(("Which companies do you know?", LIST), "When was Sorrel Optics founded?", "", "sorrel-founded"),
    Dialogue(
        ("What does Sorrel Optics make?", "Lenses."), "What was the revenue of Marlin Foods in 2022?", "", "marlin-2022"
    ),
    Dialogue(
        ("Was there a strike at Marlin Foods?", "Yes."),
        "How does Halden Paper want to cut its carbon emissions?",
        "",
        "halden-carbon",
    ),
    Dialogue(
        ("Where is Sorrel Optics?", "In Graz."),
        "Did a strike over wages stop work at Tessel Bank, and how long did it last?",
        "",
        "tessel-strike",
    ),
    Dialogue(
        ("Who runs Halden Paper?", "Ingrid Moe."),
        "Which company cans fish and beans, and in which country is it?",
        "",
        "marlin-trade",
    ),
)
