"""`docs/reference/figures.md`: what can be watched, as Prometheus reads it and as a rule of alerts names it."""

from prometheus_client.metrics_core import Metric

from banyan.infra.telemetry.figures import Ledger
from banyan.infra.telemetry.metrics import LedgerCollector
from banyan.monitor.domain import rules
from banyan.monitor.domain.measures import FIGURES

_OPERATORS = "mail ops@example.com"


def page() -> str:
    metrics = list(LedgerCollector("web", Ledger()).collect())
    lines = [
        "# Figures",
        "",
        "Generated from `src/banyan/infra/telemetry/` and `src/banyan/monitor/domain/`; `make fresh` writes it anew.",
        "How to use them is in [watch it](../guides/watch.md).",
        "",
        "## Metrics",
        "",
        "What every process tells Prometheus about itself; times are histograms in seconds. Beside them stand the",
        "usual `process_...` figures of memory, CPU and open files.",
        "",
        "| metric | type | labels | |",
        "|---|---|---|---|",
        *map(_metric, metrics),
        "",
        "## Rules",
        "",
        "What a rule in `alerts.rules` can be about. Shares and times are those of the last ten seconds.",
        "",
        "| figure | unit | of each | |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {known.unit or 'a number'} | {known.subject} | {known.about} |"
            for name, known in FIGURES.items()
        ),
        "",
        "## The file at the start",
        "",
        "```text",
        *(line for line in rules.default_file(operators=_OPERATORS).splitlines() if not line.startswith("#   ")),
        "```",
        "",
    ]
    return "\n".join(lines)


def _metric(known: Metric) -> str:
    labels = ", ".join(f"`{name}`" for name in getattr(known, "_labelnames", ()))
    return f"| `{_spelled(known.name, known.type)}` | {known.type} | {labels} | {known.documentation} |"


def _spelled(name: str, kind: str) -> str:
    return name + {"counter": "_total", "histogram": "_bucket"}.get(kind, "")
