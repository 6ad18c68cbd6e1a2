"""The markdown of an insight: one to three kilobytes in an analyst's voice."""

from __future__ import annotations

import random

from bzredis.simulator.market.catalogue import Company, Firm

SHORTEST = 1_000  # characters
LONG = 1_600  # from here on it ends; one more turn stays below 3,000

_OPENINGS = (
    "{firm} sees risk and reward in {name} shift after its latest channel checks.",
    "Following meetings with management, {firm} has revisited its model for {name}.",
    "{name} ({ticker}) remains a debated name; {firm} sets out where it differs.",
)
_POINTS = (
    (
        "**Revenue**: growth of {a}% year over year is expected, against {b}% for the "
        "group; backlog conversion remains the swing factor into the second half."
    ),
    (
        "**Margins**: mix and lower freight costs should add {b}0 basis points, partly "
        "offset by wages — a headwind that “sticks” for two more quarters."
    ),
    (
        "**Valuation**: the shares trade at {a}x forward earnings, a discount of {b}% "
        "to the five-year average that is hard to explain by growth alone."
    ),
    (
        "**Balance sheet**: net leverage of {b}.{c}x leaves room for repurchases of "
        "US${a}bn without endangering the rating."
    ),
    (
        "**Competition**: share losses in the mid-market have slowed; pricing "
        "discipline held in {a} of {c}0 surveyed accounts."
    ),
    (
        "**Guidance**: the range looks conservative; a beat of {b}% is priced in by "
        "options, so that the bar is higher than consensus suggests."
    ),
    (
        "**Regulation**: a ruling is due within {c} months; the base case assumes a "
        "settlement below €{a}0m."
    ),
)
_CLOSINGS = (
    "*What would change our mind*: a second quarter of order growth below {b}%.",
    "> The setup is asymmetric; we would use weakness to add.",
    "For details see the [full note](https://example.invalid/{ticker}/{a}{b}{c}).",
)


def insight(rng: random.Random, firm: Firm, company: Company, headline: str) -> str:
    """Write the insight that stands under ``headline``."""
    words = {"firm": firm.name, "name": company.name, "ticker": company.ticker}

    def filled(template: str) -> str:
        a, b, c = rng.randint(11, 48), rng.randint(2, 9), rng.randint(3, 9)
        return template.format(a=a, b=b, c=c, **words)

    parts = [f"## {headline}\n", filled(rng.choice(_OPENINGS)) + "\n"]
    points = rng.sample(_POINTS, rng.randint(4, len(_POINTS)))
    longest = rng.randint(SHORTEST, LONG)
    while sum(map(len, parts)) < longest:
        parts += [f"- {filled(point)}" for point in points]
        parts += ["", f"### Thesis {len(parts)}\n", filled(rng.choice(_OPENINGS))]
    return "\n".join([*parts, "", filled(rng.choice(_CLOSINGS))])
