"""A class's bets: who holds the vote, what is asked, and how many bet on what; in memory, and no longer than the vote.

A phone is a random token that it made itself: no name, no address and no time is kept, and with the reveal the tokens
go too. What is left of a vote then are its counts, which only the page that held it is told.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from explorer.errors import ParameterError
from explorer.messages import Message

#: Classes that vote at once, bets on one question, and seconds after which a class that nobody leads is forgotten;
#: where all places are taken, after the shorter time.
MOST_ROOMS, MOST_BETS, FORGOTTEN_S, YIELDED_S = 32, 2000, 2 * 3600.0, 600.0
#: Letters that nobody mixes up when they are typed from a screen.
_LETTERS = "abcdefghkmnpqrstuvwxyz23456789"
_NAME_LENGTH = 5
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass
class Question:
    """What is asked now.

    Attributes:
        number: of the question in its room, from 1; a bet names it, so that a late one is no bet on the next.
        lesson: which of the lessons, from 0; ``step``: which of its steps, from 0.
        choices: how many answers it has.
        bets: token of a phone -> number of its answer, from 1.
    """

    number: int
    lesson: int
    step: int
    choices: int
    bets: dict[str, int] = field(default_factory=dict)

    def counts(self) -> list[int]:
        """Bets on each answer, in their order."""
        found = list(self.bets.values())
        return [found.count(one + 1) for one in range(self.choices)]


@dataclass
class Room:
    """One class that votes.

    Attributes:
        name: in the address that phones open.
        key: known to the page that leads the class alone.
        used: when that page was last heard of, monotonic seconds.
        asked: questions so far.
        question: what can be bet on now, or None.
    """

    name: str
    key: str
    used: float
    asked: int = 0
    question: Question | None = None

    def ask(self, lesson: int, step: int, choices: int) -> Question:
        """Put the next question; the one before is over."""
        self.asked += 1
        self.question = Question(self.asked, lesson, step, choices)
        return self.question

    def bet(self, token: str, number: int, choice: int) -> Message:
        """Take a bet, and say what has become of it; a later one of the same phone replaces the earlier.

        Raises:
            ParameterError: the token is none, the question is over, or it has no such answer.
        """
        question = self.question
        if _TOKEN.fullmatch(token) is None:
            raise ParameterError(Message("this phone could not be told from others; load the page again"))
        if question is None or question.number != number:
            raise ParameterError(Message("too late, this vote is over; wait for the next question"))
        if not 1 <= choice <= question.choices:
            raise ParameterError(
                Message("the answers are 1 to {count}, got {choice}", count=question.choices, choice=choice)
            )
        earlier = question.bets.get(token)
        if earlier is None and len(question.bets) >= MOST_BETS:
            raise ParameterError(Message("{count} phones have bet, more are not counted", count=MOST_BETS))
        question.bets[token] = choice
        if earlier == choice:
            return Message("Your bet {choice} was counted already; it counts once.", choice=choice)
        if earlier is not None:
            return Message("Your bet is now {choice}; the earlier one no longer counts.", choice=choice)
        return Message("Your bet counts: {choice}.", choice=choice)

    def reveal(self) -> list[int]:
        """End the vote: its counts, and every bet is forgotten. Raises ParameterError where none is open."""
        if self.question is None:
            raise ParameterError(Message("no vote is open"))
        counts, self.question = self.question.counts(), None
        return counts


class Rooms:
    """The classes that vote now.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rooms: dict[str, Room] = {}

    def open(self) -> Room:
        """A new room. Raises ParameterError where all are taken."""
        now = self._clock()
        self._forget(now - FORGOTTEN_S)
        if len(self._rooms) >= MOST_ROOMS:
            self._forget(now - YIELDED_S)
        if len(self._rooms) >= MOST_ROOMS:
            raise ParameterError(Message("{count} classes vote here already; try again later", count=MOST_ROOMS))
        name = ""
        while not name or name in self._rooms:
            name = "".join(secrets.choice(_LETTERS) for _ in range(_NAME_LENGTH))
        self._rooms[name] = Room(name, secrets.token_hex(16), now)
        return self._rooms[name]

    def find(self, name: str) -> Room | None:
        """The room that phones ask for, or None."""
        self._forget(self._clock() - FORGOTTEN_S)
        return self._rooms.get(name)

    def led(self, name: str, key: str) -> Room:
        """The room for the page that leads it. Raises ParameterError for any other, and where it is gone."""
        room = self.find(name)
        if room is None or not hmac.compare_digest(room.key.encode(), key.encode()):
            raise ParameterError(Message("this class vote is over; open a new one"))
        room.used = self._clock()
        return room

    def close(self, room: Room) -> None:
        """Forget a room and all that is in it."""
        self._rooms.pop(room.name, None)

    def _forget(self, before: float) -> None:
        for name in [name for name, room in self._rooms.items() if room.used < before]:
            del self._rooms[name]
