"""What is said on the calls: one script for each number that can be dialled. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tool:
    """A tool the model calls in a turn: its name, its arguments as a log line shows them, and its result."""

    name: str
    arguments: str
    result: str


@dataclass(frozen=True)
class Turn:
    """One turn: what the model heard, whether it used a tool, what it answers and for how many 20 ms frames."""

    heard: str
    reply: str
    frames: int = 110
    kind: str = "answer"
    tool: Tool | None = None
    # The frame of the reply at which the model's connection is reset; None: it holds.
    dies_at: int | None = None


@dataclass(frozen=True)
class Script:
    """One business's agent: who answers, in which language, and the turns in order."""

    business_id: int
    name: str
    language: str
    greeting: str
    turns: tuple[Turn, ...]
    greeting_frames: int = 75
    instructions: str = "You answer the telephone of a small business. Be brief, be kind, book appointments. " * 12
    customers: dict[str, str] = field(default_factory=dict)


SCRIPTS: dict[str, Script] = {
    "+97235550101": Script(
        456,
        "מספרת דיזנגוף",
        "he",
        "שלום, הגעתם למספרת דיזנגוף. איך אפשר לעזור?",
        (
            Turn(
                "שלום, אני רוצה לקבוע תור לתספורת",
                "יש לי זמינות ביום חמישי בשתיים, בשלוש ובחמש. מה מתאים?",
                kind="appointment",
                tool=Tool("check_availability", "2024-01-25 14:00", "Available slots: 3"),
            ),
            Turn("חמישי בשלוש, בבקשה", "מצוין דוד, קבעתי לך תור ליום חמישי בשלוש. להתראות!", kind="appointment"),
        ),
        customers={"+972501234567": "David"},
    ),
    "+12065550102": Script(
        512,
        "Harbor Dental",
        "en",
        "Harbor Dental, good morning. How can I help?",
        (
            Turn(
                "I need to move my appointment on Friday.",
                "Of course. I see Friday at ten. Which day would suit you instead?",
                kind="reschedule",
                tool=Tool("find_appointment", "phone=+1206*******", "Found 1 appointment: Friday 10:00"),
            ),
            Turn("Monday afternoon, if you can.", "Let me see what is free on Monday", kind="reschedule", dies_at=45),
        ),
        customers={"+12065550199": "Maya"},
    ),
    "+14155550103": Script(
        613,
        "Bay Bikes",
        "en",
        "Bay Bikes, what can I do for you?",
        (
            Turn(
                "Do you have a tandem for Sunday?",
                "There is none left for Sunday, I am sorry. On Saturday there are two.",
                kind="inventory",
                tool=Tool("check_inventory", "tandem 2024-01-28", "Found 0 slots"),
            ),
            Turn("Saturday then, and two helmets.", "Saturday it is, with two helmets. See you then!", kind="order"),
        ),
    ),
    "+442075550104": Script(
        777,
        "Kew Plumbing",
        "en",
        "Kew Plumbing, is this an emergency?",
        (
            Turn(
                "Water is coming through the ceiling!",
                "I am sending somebody now. Please turn off the main tap, which is usually under the sink, and then",
                frames=160,
                kind="emergency",
                tool=Tool("dispatch", "priority=1", "Engineer 7 arrives in 25 minutes"),
            ),
            Turn("Found it, it is off. How long?", "Twenty-five minutes. Keep your telephone near.", kind="emergency"),
        ),
        customers={"+442075550177": "Oliver"},
    ),
    "+33155550105": Script(
        820,
        "Café Lumière",
        "fr",
        "Café Lumière, bonjour !",
        (
            Turn(
                "Bonjour, une table pour quatre ce soir ?",
                "Bien sûr, à vingt heures en terrasse. À quel nom ?",
                kind="booking",
                tool=Tool("book_table", "4 personnes 20:00", "Table 12"),
            ),
            Turn("Au nom de Zoë Müller.", "C'est noté, à ce soir !", kind="booking"),
        ),
        customers={"+33655550166": "Zoë"},
    ),
}
