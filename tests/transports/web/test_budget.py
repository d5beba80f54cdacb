"""A budget comes back with time, and never grows beyond its size."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from story.transports.web.budget import Budget


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_and_then_as_many_as_come_back() -> None:
    clock = Clock()
    budget = Budget(2.0, 3, clock=clock)
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.5
    assert [budget.spend() for _ in range(2)] == [True, False]
    clock.now += 1000
    assert budget.full
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    assert not budget.full


def test_what_is_too_much_takes_nothing() -> None:
    budget = Budget(1.0, 10, clock=Clock())
    assert not budget.spend(11)
    assert budget.spend(10) and not budget.spend(1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 5)), max_size=50))
def test_nobody_gets_more_than_the_rate_allows(steps: list[tuple[float, float]]) -> None:
    clock = Clock()
    budget = Budget(1.5, 4, clock=clock)
    spent = 0.0
    for wait, amount in steps:
        clock.now += wait
        spent += amount if budget.spend(amount) else 0
    assert spent <= 4 + 1.5 * (clock.now - 100) + 1e-6
