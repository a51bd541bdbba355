"""Everybody's Prometheus text as one that Prometheus itself can read."""

from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families as read

from banyan.contracts.monitor import Disk, Now, ProcessNow
from banyan.monitor.domain import expositions

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

WEB = """\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{path="/a,b",status="2xx"} 3
# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 1
took_seconds_bucket{le="+Inf"} 2
took_seconds_count 2
took_seconds_sum 0.3
"""
IAM = """\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{path="a \\"quoted\\" } one, process=\\"x\\"",status="5xx"} 1
# TYPE odd gauge
odd{process="somebody"} NaN 1700000000000
"""
ENVOY = """\
# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="new~courses"} 7
# TYPE requests_total gauge
requests_total 9
no sample at all
"""


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("process", "")): sample.value
        for family in read(text)
        for sample in family.samples
    }


def test_every_sample_says_whose_it_is() -> None:
    found = samples(expositions.merged({"web": WEB, "iam": IAM, "envoy": ENVOY}))

    assert found["requests_total", "web"] == 3
    assert found["requests_total", "iam"] == 1
    assert found["took_seconds_count", "web"] == 2
    assert found["envoy_cluster_upstream_rq_total", "envoy"] == 7


def test_a_family_stands_once_whoever_tells_it() -> None:
    text = expositions.merged({"web": WEB, "iam": IAM})

    assert text.count("# TYPE requests_total counter") == 1
    assert [family.name for family in read(text)].count("requests") == 1


def test_a_family_of_another_type_is_left_out() -> None:
    assert ("requests_total", "envoy") not in samples(expositions.merged({"web": WEB, "envoy": ENVOY}))


def test_labels_keep_their_quotes_and_a_label_of_the_same_name_keeps_its_value() -> None:
    families = {family.name: family for family in read(expositions.merged({"iam": IAM}))}

    (odd,) = families["odd"].samples
    (requests,) = families["requests"].samples
    assert odd.labels == {"process": "iam", "exported_process": "somebody"}
    assert requests.labels["path"] == 'a "quoted" } one, process="x"'


def test_monitor_adds_what_only_it_knows() -> None:
    seen = Now(
        at=NOON,
        supervised=True,
        ready=False,
        processes=[
            ProcessNow("web", "process", "ready", NOON, memory_bytes=5, cpu=0.5),
            ProcessNow("iam", "process", "backoff", NOON, restarts=2),
        ],
        disk=Disk("/", 10, 4),
    )

    found = samples(expositions.merged({"": expositions.of_everybody(seen)}))

    assert found["banyan_process_ready", "web"] == 1
    assert found["banyan_process_ready", "iam"] == 0
    assert found["banyan_process_restarts", "iam"] == 2
    assert found["banyan_process_cpu_cores", "web"] == 0.5
    assert found["banyan_disk_free_bytes", ""] == 4
