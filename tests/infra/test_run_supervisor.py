"""What the supervisor decides, with a clock of the test's own and no process."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.run.parts import LOST_EXIT, STOP_ORDER, Part, pipeline
from infra.run.supervisor import Action, Limits, Say, Signal, Start, Supervisor

LIMITS = Limits()
LIVE = ("public", "account", "flow", "execution")


def begun(parts: Sequence[Part] | None = None, jitter: float = 1.0) -> Supervisor:
    """A supervisor of a live pipeline whose processes have all started at 0."""
    made = parts or pipeline(live=True, archive=None)
    supervisor = Supervisor(made, limits=LIMITS, jitter=lambda: jitter)
    supervisor.begin(0)
    return supervisor


def deeds(actions: Sequence[Action]) -> list[str]:
    """What is done, without what is said."""
    done = []
    for action in actions:
        if isinstance(action, Start):
            done.append(f"start {action.name}")
        elif isinstance(action, Signal):
            done.append(f"{action.signal} {action.name}")
    return done


def said(actions: Sequence[Action]) -> str:
    """Everything that is said, as one text."""
    return "\n".join(a.text for a in actions if isinstance(a, Say))


def crash(supervisor: Supervisor, name: str, now_ms: int, code: int = 1) -> int | None:
    """Let a process end; milliseconds until it is started again, None if it is not."""
    supervisor.exited(name, code, now_ms)
    for waited_ms in range(0, LIMITS.pause_max_ms + 1, 250):
        if f"start {name}" in deeds(supervisor.tick(now_ms + waited_ms)):
            return waited_ms
    return None


def test_everything_starts_at_once_and_what_runs_already_is_left() -> None:
    parts = [Part("broker", ()), *pipeline(live=True, archive=None)]
    supervisor = Supervisor(parts, limits=LIMITS, jitter=lambda: 0.0)
    assert deeds(supervisor.begin(0, ["broker"])) == [f"start {name}" for name in LIVE]


def test_paper_runs_without_the_account_connector_and_export_only_where_asked(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    archive = tmp_path_factory.mktemp("archive")
    assert [p.name for p in pipeline(live=False, archive=None)] == ["public", "flow", "execution"]
    assert pipeline(live=True, archive=archive)[-1].words == ("export", "--folder", str(archive))
    assert "--live" not in {w for p in pipeline(live=False, archive=None) for w in p.words}


@pytest.mark.parametrize("code", [0, 1, 75, -9])
def test_one_that_ends_is_started_again_and_the_others_are_left_alone(code: int) -> None:
    supervisor = begun()
    assert deeds(supervisor.exited("flow", code, 5_000)) == []
    assert deeds(supervisor.tick(5_999)) == []
    assert deeds(supervisor.tick(6_000)) == ["start flow"]


def test_pauses_double_up_to_the_limit_of_restarts_and_then_everything_stops() -> None:
    supervisor = begun()
    pauses = [crash(supervisor, "public", 40_000 * n) for n in range(1, 6)]
    assert pauses == [1_000, 2_000, 4_000, 8_000, 16_000]
    last = supervisor.exited("public", 1, 240_000)
    assert deeds(last) == ["TERM flow"]
    assert supervisor.verdict.code == LOST_EXIT
    assert "RUNBOOK.md#child-restart-limit" in supervisor.verdict.reason


def test_a_pause_never_exceeds_its_maximum() -> None:
    limits = Limits(restarts_max=50)
    supervisor = Supervisor(
        pipeline(live=False, archive=None), limits=limits, jitter=lambda: 1 - 2**-53
    )
    supervisor.begin(0)
    now_ms = 0
    for _ in range(20):
        supervisor.exited("flow", 75, now_ms)
        now_ms += limits.pause_max_ms
        assert deeds(supervisor.tick(now_ms)) == ["start flow"]


def test_restarts_older_than_the_window_do_not_count() -> None:
    """One failure every 2.5 minutes: five in the window at most, for ever."""
    supervisor = begun()
    for n in range(1, 20):
        assert crash(supervisor, "flow", n * 150_000) is not None, f"failure {n}"


def test_the_pause_is_short_again_after_a_healthy_stretch() -> None:
    supervisor = begun()
    assert crash(supervisor, "flow", 0) == 1_000
    assert crash(supervisor, "flow", 10_000) == 2_000
    supervisor.beat("flow", None, "", 20_000)
    supervisor.beat("flow", None, "", 20_000 + LIMITS.well_ms)
    assert crash(supervisor, "flow", 20_000 + LIMITS.well_ms) == 1_000


@pytest.mark.parametrize(("jitter", "pause_ms"), [(0.0, 500), (0.5, 750), (0.999, 1_000)])
def test_the_pause_is_drawn_between_half_and_whole(jitter: float, pause_ms: int) -> None:
    assert crash(begun(jitter=jitter), "flow", 0) == pause_ms


@pytest.mark.parametrize(
    ("name", "code", "anchor"),
    [
        *(("flow", code, f"flow-exit-{code}") for code in range(86, 91)),
        ("execution", 2, "live-refused"),
        ("execution", 3, "venue-forbids"),
    ],
)
def test_a_code_that_wants_an_operator_stops_everything_and_names_its_page(
    name: str, code: int, anchor: str
) -> None:
    supervisor = begun()
    actions = supervisor.exited(name, code, 1_000)
    assert deeds(actions) == ["TERM execution" if name == "flow" else "TERM flow"]
    assert supervisor.verdict.code == code
    assert f"RUNBOOK.md#{anchor}" in supervisor.verdict.reason
    assert deeds(supervisor.tick(LIMITS.pause_max_ms)) == [
        "KILL execution" if name == "flow" else "KILL flow"
    ]


def test_only_the_flow_and_execution_have_codes_of_their_own() -> None:
    """A connector that ends with 87 is a crash like any other."""
    assert crash(begun(), "public", 0, code=87) == 1_000


def test_an_export_that_cannot_go_on_stops_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    supervisor = begun(pipeline(live=False, archive=tmp_path_factory.mktemp("archive")))
    actions = supervisor.exited("export", 89, 1_000)
    assert deeds(actions) == []
    assert "state=lost" in said(actions)
    assert deeds(supervisor.tick(1_000_000)) == []
    assert deeds(supervisor.stop(2_000_000)) == ["TERM flow"]
    assert supervisor.verdict.code == 0


def test_a_broker_that_took_its_records_with_it_ends_the_run() -> None:
    parts = [Part("broker", (), restarts=False), *pipeline(live=False, archive=None)]
    supervisor = begun(parts)
    assert deeds(supervisor.exited("broker", 0, 1_000)) == ["TERM flow"]
    assert supervisor.verdict.code == LOST_EXIT


def test_it_stops_the_decisions_first_and_each_group_only_after_the_one_before() -> None:
    supervisor = begun()
    assert deeds(supervisor.stop(1_000)) == ["TERM flow"]
    assert deeds(supervisor.exited("flow", 0, 1_500)) == ["TERM execution"]
    assert deeds(supervisor.exited("execution", 0, 1_600)) == ["TERM public", "TERM account"]
    assert deeds(supervisor.exited("account", 0, 1_700)) == []
    assert not supervisor.over
    assert deeds(supervisor.exited("public", 0, 1_800)) == []
    assert supervisor.over
    assert supervisor.verdict.code == 0


def test_one_that_does_not_end_in_time_is_killed_and_the_next_has_its_turn() -> None:
    supervisor = begun()
    supervisor.stop(1_000)
    assert deeds(supervisor.tick(1_000 + LIMITS.patience_ms - 1)) == []
    assert deeds(supervisor.tick(1_000 + LIMITS.patience_ms)) == ["KILL flow"]
    assert deeds(supervisor.tick(1_000_000)) == [], "once"
    assert deeds(supervisor.exited("flow", -9, 1_000_001)) == ["TERM execution"]


def test_a_second_signal_kills_everything_that_is_left() -> None:
    supervisor = begun()
    supervisor.stop(1_000)
    supervisor.exited("flow", 0, 1_100)
    assert deeds(supervisor.stop(1_200)) == ["KILL public", "KILL account", "KILL execution"]


def test_the_first_signal_while_it_gives_up_is_no_second_one() -> None:
    supervisor = begun()
    supervisor.exited("flow", 87, 1_000)
    assert deeds(supervisor.stop(1_100)) == []
    assert deeds(supervisor.stop(1_200)) == ["KILL public", "KILL account", "KILL execution"]
    assert supervisor.verdict.code == 87


def test_one_that_waits_for_its_start_is_not_started_while_everything_stops() -> None:
    supervisor = begun()
    supervisor.exited("flow", 75, 1_000)
    assert deeds(supervisor.stop(1_100)) == ["TERM execution"]
    assert "start flow" not in deeds(supervisor.tick(100_000))


def test_an_end_that_wants_an_operator_counts_also_while_everything_stops() -> None:
    supervisor = begun()
    supervisor.stop(1_000)
    assert deeds(supervisor.exited("flow", 87, 1_100)) == ["TERM execution"]
    assert supervisor.verdict.code == 87


def test_one_that_is_unhealthy_for_too_long_is_ended_and_started_again() -> None:
    supervisor = begun()
    supervisor.beat("flow", None, "", 1_000)
    first = supervisor.beat("flow", "its loop stands still", "", 2_000)
    assert "state=unhealthy reason='its loop stands still'" in said(first)
    assert supervisor.beat("flow", "its loop stands still", "", 3_000) == [], "one line a change"
    late = 2_000 + LIMITS.ill_ms
    assert deeds(supervisor.beat("flow", "its loop stands still", "", late)) == ["TERM flow"]
    assert deeds(supervisor.tick(late + LIMITS.patience_ms)) == ["KILL flow"]
    supervisor.exited("flow", -9, late + LIMITS.patience_ms)
    assert deeds(supervisor.tick(late + LIMITS.patience_ms + 1_000)) == ["start flow"]


def test_one_that_recovers_in_time_is_left_and_its_patience_begins_anew() -> None:
    supervisor = begun()
    supervisor.beat("flow", None, "", 1_000)
    supervisor.beat("flow", "slow", "", 2_000)
    well = supervisor.beat("flow", None, "", 2_000 + LIMITS.ill_ms - 1)
    assert "state=healthy" in said(well)
    assert deeds(supervisor.beat("flow", "slow", "", 2_000 + LIMITS.ill_ms)) == []


def test_a_new_process_has_longer_until_its_first_healthy_answer() -> None:
    supervisor = begun()
    assert supervisor.beat("flow", "no answer", "", LIMITS.begin_ms - 1) == []
    assert deeds(supervisor.beat("flow", "no answer", "", LIMITS.begin_ms)) == ["TERM flow"]


def test_ready_is_said_once_when_all_are_and_again_after_one_was_lost() -> None:
    supervisor = begun(pipeline(live=False, archive=None))
    names = ("public", "flow", "execution")
    assert "pipeline=" not in said([a for n in names for a in supervisor.beat(n, None, "tape", 1)])
    told = [said(supervisor.beat(name, None, "", 2)) for name in names]
    assert ["pipeline=all state=ready" in text for text in told] == [False, False, True]
    assert supervisor.beat("flow", None, "", 3) == []
    supervisor.exited("flow", -9, 4)
    supervisor.tick(10_000)
    assert "pipeline=all state=ready" in said(supervisor.beat("flow", None, "", 11_000))


@given(st.data())
def test_whatever_happens_it_can_be_stopped_and_nothing_is_left_or_started(
    data: st.DataObject,
) -> None:
    """Any history of exits, beats and time, then a stop: over once every process told has ended."""
    supervisor = begun()
    running, ending, now_ms = set(LIVE), set(), 0

    def follow(actions: Sequence[Action]) -> None:
        for deed in deeds(actions):
            word, name = deed.split()
            if word == "start":
                assert name not in running, f"{name} runs already"
                running.add(name)
            else:
                assert name in running, f"{word} for {name}, which is gone"
                ending.add(name)

    for _ in range(data.draw(st.integers(0, 40))):
        now_ms += data.draw(st.integers(0, 40_000))
        if running and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(running)))
            running.discard(name)
            ending.discard(name)
            code = data.draw(st.sampled_from([0, 1, 75, 86, 88, 2, 3, -9]))
            follow(supervisor.exited(name, code, now_ms))
        if data.draw(st.booleans()):
            name = data.draw(st.sampled_from(LIVE))
            follow(supervisor.beat(name, data.draw(st.sampled_from([None, "ill"])), "", now_ms))
        follow(supervisor.tick(now_ms))
    follow(supervisor.stop(now_ms))
    order = [name for group in STOP_ORDER for name in group]
    while running:
        now_ms += LIMITS.patience_ms
        follow(supervisor.tick(now_ms))
        left = sorted(running & ending, key=order.index)
        assert left, f"{running} wait for nothing"
        running.discard(left[0])
        follow(supervisor.exited(left[0], 0, now_ms))
    assert supervisor.over
    assert deeds(supervisor.tick(now_ms + 10_000_000)) == []
