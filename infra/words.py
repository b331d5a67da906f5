"""Operator's words at the rim: what is in force, putting a word on the tape, what became of it.

What is in force is read as the decisions see it: the journal's newest Summary, and what policies
and words stand on the tape after the record that made it, folded by the same rules. So a word can
be refused before it is written, and shown before the flow has come to it.
"""

import time
from dataclasses import dataclass, field

from connectors.kafka.consumer import Row
from flows.core import words as rules
from flows.core.words import Followed, Said, Word, Words, followed
from infra.tape import TapeWriter, bounds, newest_summary, open_reader, policy_at, rows_now
from schemas import codec
from schemas.policy import PolicyDocument
from schemas.records.base import Account
from schemas.records.journal import WordAdopted, WordRefused
from schemas.records.operator import Follow, Halt, Resume, Unfollow
from schemas.records.summary import Summary
from schemas.records.system import Policy
from schemas.wiring import KafkaWiring

POLL_S = 0.25
READ_MAX = 500
SPEAKING = frozenset({b"Policy", b"Follow", b"Unfollow", b"Halt", b"Resume"})
ANSWERS = frozenset({b"WordAdopted", b"WordRefused"})


@dataclass
class Standing:
    """Policy and words in force at the tape's end.

    summary: the newest one, None if the flow never wrote one. said_ms: when the words and policies
    that came after it were appended, by their offset.
    """

    policy: Policy | None = None
    words: Words = field(default_factory=Words)
    summary: Summary | None = None
    said_ms: dict[int, int] = field(default_factory=dict)

    @property
    def document(self) -> PolicyDocument:
        """The policy's document; one without accounts while there is no policy."""
        return self.policy.document if self.policy is not None else PolicyDocument()

    def follows(self) -> list[tuple[Account, Followed]]:
        """Whom each account of the policy follows."""
        return [
            (Account(account.name), each)
            for account in self.document.accounts
            for each in followed(self.document, account, self.words)
        ]

    def since_ms(self, account: Account, one: Followed) -> int | None:
        """When the account began to follow him, None while the flow has not said so."""
        for line in self.summary.follows if self.summary is not None else ():
            if (line.account, line.leader) == (account, one.leader):
                return line.since_ms
        return self.said_ms.get(one.word_offset) if one.word_offset is not None else None

    def take(self, row: Row) -> None:
        """A record of the tape that may change what is in force."""
        record = codec.decode(row.value)
        if isinstance(record, Policy):
            self.policy = record
        elif isinstance(record, Word):
            self.said_ms[row.offset] = row.timestamp_ms
            for event in rules.decide(self.words, self.document, row.offset, record):
                if isinstance(event, WordAdopted):
                    rules.evolve(self.words, event)


def standing(kafka: KafkaWiring) -> Standing:
    """What is in force, from the newest Summary on, else from the tape's beginning."""
    found, start = Standing(), 0
    newest = newest_summary(kafka)
    if newest is not None and newest[1].policy_offset is not None:
        cause, found.summary = newest
        found.policy = policy_at(kafka, newest[1].policy_offset)
        found.words, start = words_of(newest[1]), cause + 1
    for row in rows_now(kafka, "tape", kafka.shard, start):
        if row.headers.get("kind") in SPEAKING:
            found.take(row)
    return found


def words_of(summary: Summary) -> Words:
    """The words that were in force when the Summary was made."""
    words = Words()
    for line in summary.follows:
        if line.word_offset is not None:
            words.said[(line.account, line.leader)] = Said(line.word_offset, line.terms)
    for gone in summary.unfollowed:
        words.said[(gone.account, gone.leader)] = Said(gone.word_offset, None)
    for halt in summary.halts:
        words.halts[(halt.scope, halt.subject, halt.account)] = halt.word_offset
    return words


def say(
    kafka: KafkaWiring, word: Word, *, wait_s: float
) -> tuple[int, WordAdopted | WordRefused | None]:
    """Append a word; its offset, and what the flow made of it within wait_s (None: nothing yet)."""
    _, journal_end = bounds(kafka, "journal", kafka.shard)
    offset = TapeWriter(kafka, "truecopy-operator").append(word, key_of(word))
    return offset, answer_to(kafka, offset, journal_end, wait_s)


def key_of(word: Word) -> str:
    """The tape record's key: what the word is about."""
    match word:
        case Follow() | Unfollow():
            return word.leader
        case Halt() | Resume():
            return word.subject


def answer_to(
    kafka: KafkaWiring, offset: int, journal_from: int, wait_s: float
) -> WordAdopted | WordRefused | None:
    """The journal's event about the word at a tape offset, waited for at most wait_s."""
    deadline = time.monotonic() + wait_s
    reader = open_reader(kafka, "journal", offset=journal_from, partition=kafka.shard)
    try:
        while time.monotonic() < deadline:
            for row in reader.read(READ_MAX, POLL_S):
                if row.headers.get("kind") in ANSWERS:
                    _, event = codec.unseal(row.value)
                    assert isinstance(event, WordAdopted | WordRefused), "the header says so"
                    if event.word_offset == offset:
                        return event
        return None
    finally:
        reader.close()
