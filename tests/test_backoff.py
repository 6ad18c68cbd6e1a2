from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from bzredis.backoff import delays


@pytest.mark.parametrize("seed", range(5))
def test_delays_double_up_to_the_last_within_their_jitter(seed: int) -> None:
    found = list(islice(delays(2, 15, rng=Random(seed)), 8))
    for delay, ceiling in zip(found, [2, 4, 8, 15, 15, 15, 15, 15], strict=True):
        assert ceiling / 2 <= delay <= ceiling


def test_two_generators_do_not_agree() -> None:
    first, second = (list(islice(delays(rng=Random(n)), 5)) for n in (1, 2))
    assert set(first).isdisjoint(second)


def test_the_first_may_be_the_last() -> None:
    assert max(islice(delays(0.1, 0.1, rng=Random(0)), 20)) <= 0.1
