"""How a firm's opinion of a company moves, and what the move is called."""

from __future__ import annotations

import random
from decimal import Decimal

import attrs

from bzredis.simulator.market.catalogue import Company, Firm

ENDS = 0.02  # the share of moves that end the coverage
REGRADES = 0.3  # the share that change the grade
KEEPS_TARGET = 0.3  # the share of the others that leave the target alone
DROPS_TARGET = 0.01
NO_TARGET = 0.1  # the share of new coverage without a target
ADJUSTS = 0.04  # the share of changes that are called "Adjusts"
STRAY = Decimal(3)  # targets stay within a third and three times the price

INITIATIONS = ("Initiates Coverage On", "Initiates Coverage On", "Initiates")
RESUMPTIONS = ("Reinstates", "Assumes", "Initiates Coverage On")
TERMINATIONS = (
    "Terminates Coverage On",
    "Terminates Coverage On",
    "Suspends",
    "Removes",
    "Firm Dissolved",
)


@attrs.frozen
class Opinion:
    """What a firm thinks: a grade of 1 to 5 (``None``: no more) and a target."""

    grade: int | None
    target: Decimal | None


NOTHING = Opinion(None, None)


def step(price: Decimal) -> Decimal:
    """Return what targets are rounded to at this price."""
    if price >= 20:  # noqa: PLR2004 - whole dollars from there on
        return Decimal(1)
    return Decimal("0.5") if price >= 5 else Decimal("0.25")  # noqa: PLR2004


def near(rng: random.Random, amount: Decimal, company: Company) -> Decimal:
    """Draw a target within a fifth of ``amount``, not straying from the price."""
    share = Decimal(rng.randint(80, 125)) / 100
    unit = step(company.price)
    low, high = company.price / STRAY, company.price * STRAY
    target = min(max(amount * share, low), high)
    return max((target / unit).to_integral_value() * unit, unit)


def first(rng: random.Random, firm: Firm, company: Company) -> Opinion:
    """Draw the opinion with which coverage begins, or begins again."""
    grades = [grade for grade, _ in firm.scale]
    grade = rng.choices(grades, [1 + 2 * (grade >= 3) for grade in grades])[0]  # noqa: PLR2004 - analysts are kind
    if rng.random() < NO_TARGET:
        return Opinion(grade, None)
    return Opinion(grade, near(rng, company.price, company))


def following(
    rng: random.Random, firm: Firm, company: Company, last: Opinion
) -> Opinion:
    """Draw the opinion that comes after ``last``."""
    if last.grade is None:
        return first(rng, firm, company)
    if rng.random() < ENDS:
        return NOTHING
    grade = last.grade
    if rng.random() < REGRADES:
        grade = rng.choice([other for other, _ in firm.scale if other != grade])
    return Opinion(grade, retarget(rng, company, last.target))


def retarget(
    rng: random.Random, company: Company, last: Decimal | None
) -> Decimal | None:
    """Draw the target that comes after ``last``."""
    if last is None:
        return near(rng, company.price, company) if rng.random() < 1 / 2 else None
    chance = rng.random()
    if chance < DROPS_TARGET:
        return None
    if chance < KEEPS_TARGET:
        return last
    return near(rng, last, company)


def company_action(rng: random.Random, last: Opinion | None, now: Opinion) -> str:
    """Name the move from ``last`` (``None``: never covered) to ``now``."""
    if now.grade is None:
        return rng.choice(TERMINATIONS)
    if last is None:
        return rng.choice(INITIATIONS)
    if last.grade is None:
        return rng.choice(RESUMPTIONS)
    if now.grade != last.grade:
        return "Upgrades" if now.grade > last.grade else "Downgrades"
    return "Reiterates" if now.target == last.target else "Maintains"


def target_action(rng: random.Random, last: Decimal | None, now: Decimal | None) -> str:
    """Name the move of the target alone."""
    if now is None:
        return "" if last is None else "Removes"
    if last is None:
        return "Announces"
    if now == last:
        return "Maintains"
    if rng.random() < ADJUSTS:
        return "Adjusts"
    return "Raises" if now > last else "Lowers"
