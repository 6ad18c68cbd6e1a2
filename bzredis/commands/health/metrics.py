"""What Prometheus is told of a bridge: read where it stands, whenever somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, get_args

import attrs
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bzredis import __version__
from bzredis.bridge.bridge import Bridge, Line
from bzredis.bridge.status import CONTRACT, State

COUNTERS: Final = {
    "events": "Messages that took effect or were logged.",
    "duplicates": "Messages that were here already.",
    "rejected": "Frames and rows that could not be used.",
    "unattributed": "Consensus of which nobody can tell whose it is.",
    "gaps": "Announced times in which messages may be missing.",
    "reconnects": "Connections after the first.",
    "fetched": "Rows that REST gave.",
}
TIMES: Final = {
    "connected": "connected_at",
    "last_frame": "last_frame_at",
    "last_event": "last_event_at",
    "last_pong": "last_pong_at",
    "covered_until": "covered_until",
}
TOLD: Final = {
    "connected": "When the stream was connected.",
    "last_frame": "When upstream last sent anything.",
    "last_event": "When upstream last sent a message.",
    "last_pong": "When upstream last answered a ping.",
    "covered_until": "Until when all is in Redis, but for what is missing.",
}
GAUGES: Final[dict[str, tuple[str, Callable[[Line], float]]]] = {
    "stream_fresh": (
        "Whether what Redis holds of the stream is fresh, as `alive` says.",
        lambda line: line.intake.status.is_fresh,
    ),
    "backlog": (
        "Messages that were read and are not in Redis yet.",
        lambda line: len(line.backlog),
    ),
    "spooled": ("Of the backlog, those on disk.", lambda line: line.backlog.disk.count),
    "missing_spans": (
        "Times of which something may be missing, and is fetched or announced.",
        lambda line: len(line.intake.status.missing.split()),
    ),
}


@attrs.frozen(eq=False)
class OfBridge(Collector):
    """A bridge's own numbers; the names follow Prometheus' conventions."""

    bridge: Bridge

    def collect(self) -> Iterator[Metric]:
        lines = self.bridge.lines
        build = "Which program this is."
        yield _gauge("build_info", build, {(__version__, CONTRACT): 1},
                     ("version", "contract"))  # fmt: skip
        yield _gauge(
            "stream_state",
            "Which state a stream is in.",
            {
                (*_of(line), state): line.intake.status.state == state
                for line in lines
                for state in get_args(State)
            },
            ("stream", "state"),
        )
        for name, (words, value) in GAUGES.items():
            yield _gauge(name, words, {_of(line): value(line) for line in lines})
        for name, words in COUNTERS.items():
            counter = CounterMetricFamily(f"bzredis_{name}", words, labels=("stream",))
            for line in lines:
                counter.add_metric(_of(line), getattr(line.intake.status, name))
            yield counter
        for name, field in TIMES.items():
            found = {_of(each): getattr(each.intake.status, field) for each in lines}
            times = {labels: ms / 1_000 for labels, ms in found.items() if ms}
            yield _gauge(f"{name}_timestamp_seconds", TOLD[name], times)


def _of(line: Line) -> tuple[str, ...]:
    return (line.intake.stream.name,)


def _gauge(
    name: str,
    words: str,
    values: dict[tuple[str, ...], float],
    labels: tuple[str, ...] = ("stream",),
) -> Metric:
    gauge = GaugeMetricFamily(f"bzredis_{name}", words, labels=labels)
    for each, value in values.items():
        gauge.add_metric(each, value)
    return gauge


def page(bridge: Bridge) -> Callable[[str], tuple[int, str, bytes]]:
    """Return what makes the page for Prometheus, in the format that it accepts."""
    registry = CollectorRegistry()
    registry.register(OfBridge(bridge))
    ProcessCollector(registry=registry)  # memory, processor and files, on Linux

    def made(accepted: str) -> tuple[int, str, bytes]:
        write, kind = choose_encoder(accepted)
        return 200, kind, write(registry)

    return made
