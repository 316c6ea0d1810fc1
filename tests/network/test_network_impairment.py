"""The decisions of the relay: repeatable, and with the statistics that a profile promises."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.network.impairment import Direction, Fate, Impairment, OutageTimetable
from scenarios.network.profiles import PROFILES, Profile

COUNT = 20_000
SPACING = 0.001


def fates(
    profile: Profile, *, seed: int = 1, count: int = COUNT, spacing: float = SPACING, size: int = 1200
) -> list[Fate]:
    impairment = Impairment(profile, seed, 0, Direction.UP)
    return [impairment.decide(size, number * spacing) for number in range(count)]


def share(found: list[Fate], outcome: str) -> float:
    return sum(fate.outcome == outcome for fate in found) / len(found)


@given(
    name=st.sampled_from(sorted(PROFILES)),
    seed=st.integers(),
    flow=st.integers(0, 5),
    direction=st.sampled_from(Direction),
    arrivals=st.lists(st.tuples(st.integers(1, 1500), st.floats(0, 0.5)), max_size=40),
)
def test_the_same_seed_takes_the_same_decisions(
    name: str, seed: int, flow: int, direction: Direction, arrivals: list[tuple[int, float]]
) -> None:
    def run() -> list[Fate]:
        impairment = Impairment(PROFILES[name], seed, flow, direction)
        times = itertools.accumulate(gap for _, gap in arrivals)
        return [impairment.decide(size, now) for (size, _), now in zip(arrivals, times, strict=True)]

    assert run() == run()


@pytest.mark.parametrize("name", ["wifi", "mobile", "lossy", "reorder"])
def test_timing_and_sizes_do_not_shift_the_chances(name: str) -> None:
    profile = PROFILES[name]
    slow = fates(profile, count=2000, spacing=0.05)
    fast = fates(profile, count=2000, spacing=0.001, size=100)
    assert [(f.outcome, f.marks) for f in slow] == [(f.outcome, f.marks) for f in fast]


def test_what_is_larger_than_the_path_is_dropped() -> None:
    profile = Profile(name="test", max_payload=1232)
    assert share(fates(profile, size=1233, count=10), "oversize") == 1
    assert share(fates(profile, size=1232, count=10), "delivered") == 1


def test_seed_flow_and_direction_each_change_the_decisions() -> None:
    def outcomes(seed: int, flow: int, direction: Direction) -> tuple[str, ...]:
        impairment = Impairment(PROFILES["lossy"], seed, flow, direction)
        return tuple(impairment.decide(1200, 0.0).outcome for _ in range(500))

    runs = {outcomes(*key) for key in itertools.product((1, 2), (0, 1), Direction)}
    assert len(runs) == 8


def test_a_clean_network_does_nothing() -> None:
    for number, fate in enumerate(fates(PROFILES["clean"], count=100)):
        assert (fate.outcome, fate.releases, fate.marks) == ("delivered", (number * SPACING,), ())


@pytest.mark.parametrize(("loss", "burst"), [(0.01, 1.0), (0.03, 1.5), (0.1, 3.0), (0.3, 5.0)])
def test_losses_have_the_promised_share_and_burst_length(loss: float, burst: float) -> None:
    found = fates(Profile(name="x", loss=loss, loss_burst=burst))
    assert share(found, "lost") == pytest.approx(loss, rel=0.2)
    groups = [
        len(list(group)) for lost, group in itertools.groupby(f.outcome == "lost" for f in found) if lost
    ]
    assert sum(groups) / len(groups) == pytest.approx(burst, rel=0.1)


def test_delay_and_jitter_stay_in_their_bounds_and_keep_the_order() -> None:
    profile = Profile(name="x", delay=0.02, jitter=0.01)
    found = fates(profile, spacing=0.05)
    delays = [fate.releases[0] - fate.index * 0.05 for fate in found]
    assert min(delays) == pytest.approx(0.01, abs=1e-4)
    assert max(delays) == pytest.approx(0.03, abs=1e-4)
    assert sum(delays) / len(delays) == pytest.approx(0.02, rel=0.02)
    dense = [fate.releases[0] for fate in fates(profile, spacing=0.0001)]
    assert dense == sorted(dense)


def test_reordered_datagrams_are_overtaken() -> None:
    profile = PROFILES["reorder"]
    found = fates(profile)
    assert sum(fate.reordered for fate in found) / len(found) == pytest.approx(profile.reorder, rel=0.1)
    for fate, later in itertools.pairwise(found):
        if fate.reordered and not later.reordered:
            assert fate.releases[0] > later.releases[0]


def test_duplicates_have_the_promised_share() -> None:
    found = fates(Profile(name="x", duplicate=0.05))
    assert sum(len(fate.releases) for fate in found) == pytest.approx(1.05 * COUNT, rel=0.01)


def test_the_rate_limits_what_leaves_and_a_full_queue_drops() -> None:
    profile = Profile(name="x", rate=1e6, queue=0.1)
    found = fates(profile, spacing=0.001)  # 9.6 Mbit/s offered
    leaving = [fate.releases[0] for fate in found if fate.releases]
    assert len(leaving) * 1200 * 8 / leaving[-1] == pytest.approx(1e6, rel=0.01)
    waits = [fate.releases[0] - fate.index * 0.001 for fate in found if fate.releases]
    assert max(waits) <= 0.1 + 2 * 1200 * 8 / 1e6
    assert share(found, "overflow") == pytest.approx(1 - 1 / 9.6, rel=0.02)


def test_a_rate_above_the_load_drops_nothing() -> None:
    assert share(fates(Profile(name="x", rate=100e6)), "delivered") == 1


def test_outages_drop_everything_and_are_the_same_for_all() -> None:
    profile = PROFILES["outage"]
    found = fates(profile)
    timetable = OutageTimetable(profile, 1)
    assert {fate.outcome for fate in found if timetable.covers(fate.index * SPACING)} == {"outage"}
    assert share(found, "outage") == pytest.approx(profile.outage_length / profile.outage_every, rel=0.02)
    down = Impairment(profile, 1, 7, Direction.DOWN)
    assert [down.decide(1, f.index * SPACING).outcome for f in found] == [f.outcome for f in found]


def test_an_outage_never_hits_the_first_moments() -> None:
    assert min(OutageTimetable(PROFILES["outage"], seed).start(0) for seed in range(100)) >= 2.0


def test_rebinding_is_of_the_client_alone() -> None:
    up = fates(PROFILES["rebinding"], count=100)
    assert [fate.index for fate in up if fate.rebind] == [24, 48, 72, 96]
    assert up[24].marks == ("rebinding",)
    down = Impairment(PROFILES["rebinding"], 1, 0, Direction.DOWN)
    assert not any(down.decide(1200, 0.0).rebind for _ in range(100))


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": 1.5},
        {"loss_burst": 0.5},
        {"jitter": 0.1},
        {"loss": 0.5, "loss_burst": 1.0},
        {"outage_every": 1.0, "outage_length": 0.6},
    ],
)
def test_impossible_profiles_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="profile x"):
        Profile(name="x", **fields)  # type: ignore[arg-type]
