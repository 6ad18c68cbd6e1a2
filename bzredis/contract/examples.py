"""What one may type at `redis-cli`, for the page; what it prints, a test wrote here."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final = r"""
The newest rating of a symbol, whichever firm it is of; and whether that is fresh:

```console
$ redis-cli HMGET bz:ratings:latest:AAPL _firm _direction \
    rating_current pt_current pt_prior _pt_change_pct
1) "Evercore ISI Group"
2) "up"
3) "Outperform"
4) "267.00"
5) "217.00"
6) "23.04"
$ redis-cli EXISTS bz:ratings:alive
(integer) 1
```

All that was news about it, newest first: an entry has names and values by turns.

```console
$ redis-cli XREVRANGE bz:ratings:history:AAPL + - COUNT 1
1) 1) "1795174360137-0"
   2)  1) "envelope"
       2) "b4b43caf-e2f7-5e6f-9f4e-a1a56310b200"
       3) "action"
       4) "created"
       5) "record"
       6) "0e3e4731e95c7a1d9a6986ea"
       7) "symbol"
       8) "AAPL"
       9) "timestamp"
      10) "2026-11-20T11:32:39.927730108Z"
      11) "received"
      12) "2026-11-20T11:32:40.137Z"
      13) "source"
      14) "live"
      15) "version"
      16) "1795174340000"
      17) "published"
      18) "1795174320000"
      19) "effect"
      20) "latest"
      21) "news"
      22) "1"
      23) "firm"
      24) "Evercore ISI Group"
      25) "direction"
      26) "up"
      27) "rating"
      28) "Outperform"
      29) "rating_prior"
      30) "In-Line"
      31) "pt"
      32) "267.00"
      33) "pt_prior"
      34) "217.00"
      35) "importance"
      36) "4"
      37) "event"
      38) "1795174360137-0"
```

What each firm says, newest first: a timeline has the ids of records.

```console
$ redis-cli ZREVRANGE bz:ratings:timeline:AAPL 0 2
1) "0e3e4731e95c7a1d9a6986ea"
2) "8c38c3553c13f2cfd7bc4421"
3) "fa2f1cc72bc557d6a0662775"
$ redis-cli HMGET bz:ratings:record:8c38c3553c13f2cfd7bc4421 \
    _firm _direction rating_current pt_current
1) "Jefferies"
2) "down"
3) "Underperform"
4) "205.16"
```

The consensus of all firms, and where it went:

```console
$ redis-cli HMGET bz:consensus:latest:AAPL consensus_rating \
    consensus_rating_val consensus_price_target _shift
1) "BUY"
2) "3.68"
3) "278.4"
4) "up"
```

Which symbols changed last:

```console
$ redis-cli ZREVRANGE bz:ratings:symbols 0 2
1) "NVDA"
2) "MSFT"
3) "AAPL"
```

Until when all is there, and what before is still to be fetched or announced:

```console
$ redis-cli HMGET bz:ratings:status state covered_until missing
1) "live"
2) "2026-11-20T13:30:00.000Z"
3) "2026-11-14T02:02:30.000Z/2026-11-14T02:14:06.000Z"
```
"""
