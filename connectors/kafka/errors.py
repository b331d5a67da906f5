"""What to do about each error that Kafka's client hands us: a pure table, and one class per end.

Observed with confluent-kafka 2.16.1 over kill -9, SIGSTOP and failover of Kafka 4.3.1 (2026-11);
the rest follows the protocol's own list of retriable errors. What is in no list ends the process:
an error nobody has thought about must not be waited for in silence.
"""

from enum import Enum, auto

from confluent_kafka import KafkaError

E = KafkaError


class Verdict(Enum):
    """END_OF_PARTITION is no error. WAIT: it passes by itself. The others end the process.

    UNKNOWN: the record may stand in the log, so read back, never send again. REFUSED: an operator
    must act. SUPERSEDED: another producer took this one's place. RESTART: a new process cures it.
    """

    END_OF_PARTITION = auto()
    WAIT = auto()
    UNKNOWN = auto()
    REFUSED = auto()
    SUPERSEDED = auto()
    RESTART = auto()


WAIT = frozenset(
    {
        # The client's own: connections, time-outs, metadata not there yet or being renewed.
        E._TRANSPORT,
        E._ALL_BROKERS_DOWN,
        E._RESOLVE,
        E._TIMED_OUT,
        E._TIMED_OUT_QUEUE,
        E._UNKNOWN_PARTITION,
        E._UNKNOWN_TOPIC,
        E._UNKNOWN_BROKER,
        E._DESTROY_BROKER,
        E._NODE_UPDATE,
        E._WAIT_COORD,
        E._WAIT_CACHE,
        E._PREV_IN_PROGRESS,
        E._RETRY,
        # The broker's: elections, restarts, coordinators on the move.
        E.UNKNOWN_TOPIC_OR_PART,
        E.UNKNOWN_TOPIC_ID,
        E.INCONSISTENT_TOPIC_ID,
        E.LEADER_NOT_AVAILABLE,
        E.NOT_LEADER_FOR_PARTITION,
        E.REPLICA_NOT_AVAILABLE,
        E.BROKER_NOT_AVAILABLE,
        E.FENCED_LEADER_EPOCH,
        E.UNKNOWN_LEADER_EPOCH,
        E.OFFSET_NOT_AVAILABLE,
        E.REQUEST_TIMED_OUT,
        E.NETWORK_EXCEPTION,
        E.KAFKA_STORAGE_ERROR,
        E.NOT_CONTROLLER,
        E.NOT_COORDINATOR,
        E.COORDINATOR_NOT_AVAILABLE,
        E.COORDINATOR_LOAD_IN_PROGRESS,
        E.CONCURRENT_TRANSACTIONS,
        E.UNSTABLE_OFFSET_COMMIT,
        E.NOT_ENOUGH_REPLICAS,
        E.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        E.FETCH_SESSION_ID_NOT_FOUND,
        E.INVALID_FETCH_SESSION_EPOCH,
        E.THROTTLING_QUOTA_EXCEEDED,
    }
)

REFUSED = frozenset(
    {
        E._AUTO_OFFSET_RESET,
        E.OFFSET_OUT_OF_RANGE,
        E._LOG_TRUNCATION,
        E._AUTHENTICATION,
        E._SSL,
        E.SASL_AUTHENTICATION_FAILED,
        E.TOPIC_AUTHORIZATION_FAILED,
        E.GROUP_AUTHORIZATION_FAILED,
        E.CLUSTER_AUTHORIZATION_FAILED,
        E.MSG_SIZE_TOO_LARGE,
        E.INVALID_CONFIG,
        E.POLICY_VIOLATION,
    }
)

SUPERSEDED = frozenset({E._FENCED, E.PRODUCER_FENCED, E.INVALID_PRODUCER_EPOCH})


class KafkaFailed(Exception):
    """Base of everything here that ends a process; the message names what and why."""


class UndeliveredRecord(KafkaFailed):
    """A record the broker did not take, or whose fate is unknown. Never send it again: read back,
    or let the restarted process decide again."""


class NeedsOperator(KafkaFailed):
    """Kafka refuses for a reason that no restart cures: an offset that is gone, no permission."""


class TopicMissing(NeedsOperator):
    """The broker answers and has no such topic or partition."""


class Fenced(KafkaFailed):
    """Another producer has taken this one's place: do not start this process again."""


class ClientFatal(KafkaFailed):
    """The client cannot go on, or met an error outside the table: a new process may."""


ENDS: dict[Verdict, type[KafkaFailed]] = {
    Verdict.REFUSED: NeedsOperator,
    Verdict.SUPERSEDED: Fenced,
    Verdict.UNKNOWN: ClientFatal,
    Verdict.RESTART: ClientFatal,
}


def classify(code: int, *, fatal: bool = False) -> Verdict:
    """What an error code means for us; `fatal` is the client's own word that it is finished."""
    if code in SUPERSEDED:
        return Verdict.SUPERSEDED
    if code in REFUSED:
        return Verdict.REFUSED
    if code == E._MSG_TIMED_OUT:
        return Verdict.UNKNOWN
    if fatal:
        return Verdict.RESTART
    if code == E._PARTITION_EOF:
        return Verdict.END_OF_PARTITION
    return Verdict.WAIT if code in WAIT else Verdict.RESTART


def failure(error: KafkaError, what: str) -> KafkaFailed | None:
    """The exception that an error calls for, naming `what` was being done; None: go on."""
    kind = ENDS.get(classify(error.code(), fatal=error.fatal()))
    return None if kind is None else kind(f"{what}: {error.name()}: {error.str()}")


def stop_if_fatal(error: KafkaError, what: str = "kafka") -> None:
    """Raise what the error calls for; return if it passes by itself."""
    found = failure(error, what)
    if found is not None:
        raise found
