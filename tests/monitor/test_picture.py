"""From what was seen to boxes, arrows and lags."""

from banyan.contracts.monitor import Depth
from banyan.monitor.domain.meters import Count
from banyan.monitor.domain.sights import Cluster
from tests.monitor.looking import NOON, SECOND, arrow, figures, look, measured, picture, tally


def test_arrows_show_calls_statements_and_queues_with_rate_and_time() -> None:
    seen = picture()
    for second in range(6):
        at = NOON + second * SECOND
        seen.hear("web", figures("web", calls={"learning": tally(second * 4, slow=second)}), at=at)
        seen.hear("learning", figures("learning", sql={"learning": tally(second), "bus": tally(second)}), at=at)
        seen.hear("live", figures("live", handled={"live-from-learning": tally(second * 2, failed=second)}), at=at)
        seen.hear("relay", figures("relay", published={"learning": second * 2}), at=at)
    now = look(seen, 5)

    call = arrow(now, "web", "learning")
    assert (call.kind, call.per_second) == ("call", 4)
    assert call.p50_ms is not None
    assert call.p99_ms is not None
    assert call.p50_ms < 10
    assert call.p99_ms > 100
    assert arrow(now, "learning", "postgres-core", "learning").per_second == 1
    assert arrow(now, "learning", "bus", "bus").per_second == 1  # its server is somebody else's
    assert arrow(now, "relay", "live", "live-from-learning").errors_per_second == 1
    assert arrow(now, "learning", "relay", "outbox").per_second == 2


def test_envoys_clusters_become_arrows_to_who_answers() -> None:
    seen = picture()
    for second in range(4):
        clusters = {
            "new~courses": Cluster("web", Count(second * 3, 0, {(5.0, 1.0): second * 3})),
            "new~course": Cluster("web", Count(second, second, {(500.0, 10.0): second})),
            "old~_rest": Cluster("old-site", Count(second * 2)),
            "new~_api~live": Cluster("live", Count(second, 0, {(900_000.0, 1.0): second})),
            "new~_console": Cluster("gateway", Count(second * 9)),
        }
        seen.hear_envoy(clusters, at=NOON + second * SECOND)
    now = look(seen, 3)

    web = arrow(now, "envoy", "web")
    assert (web.per_second, web.errors_per_second) == (4, 1)
    assert arrow(now, "envoy", "old-site").per_second == 2
    assert arrow(now, "browsers", "envoy").per_second == 7
    p99 = arrow(now, "browsers", "envoy").p99_ms
    assert p99 is not None
    assert p99 < 600  # a page that stays open is no slow request
    assert [each for each in now.arrows if each.target == "gateway"] == []


def test_a_lag_is_one_whoever_counts_it() -> None:
    seen = picture()
    for second in range(3):
        at = NOON + second * SECOND
        waiting = {"live-from-learning": Depth(7, 3.5)}
        seen.hear("relay", figures("relay", queues=waiting, outboxes={"learning": Depth(2, 0.5)}), at=at)
        seen.hear("live", figures("live", handled={"live-from-learning": tally(second * 3)}), at=at)
    now = look(seen, 2)

    outbox, queue = now.lags
    assert (outbox.consumer, outbox.source, outbox.waiting) == ("relay", "learning", 2)
    assert (queue.consumer, queue.source, queue.waiting, queue.oldest_seconds) == (
        "live-from-learning",
        "learning",
        7,
        3.5,
    )
    assert queue.handled_per_second == 3
    assert now.events[-1].waiting == 9
    assert measured(seen, now)["queue.age"] == {"live-from-learning": 3.5}


def test_what_a_silent_process_told_last_is_not_what_is() -> None:
    seen = picture()
    seen.hear("web", figures("web", loop_lag_ms=7.0), at=NOON)

    fresh, stale = look(seen, 1), look(seen, 11)

    assert [each.loop_lag_ms for each in fresh.processes if each.name == "web"] == [7.0]
    assert [each.loop_lag_ms for each in stale.processes if each.name == "web"] == [None]
    assert measured(seen, stale)["process.silent"] == {"web": 11.0}
