"""The Prometheus texts of many processes as one: every family once, every sample with its process."""

import re
from collections.abc import Iterator, Mapping

from banyan.contracts.monitor import Now

LABEL = "process"

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?P<labels>.*)\})?(?P<value>\s+\S+(\s+-?\d+)?)\s*")
_LABEL = re.compile(r'\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"(?P<value>([^"\\]|\\.)*)"\s*(,|$)')
_SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_created", "_info")


class _Family:
    def __init__(self, help_line: str = "", kind: str = "") -> None:
        self.help_line = help_line
        self.kind = kind
        self.samples: list[str] = []


def merged(texts: Mapping[str, str]) -> str:
    """By process. What is no sample is left out, and so is a family whose type another process has told otherwise."""
    families: dict[str, _Family] = {}
    for process, text in texts.items():
        for name, told in _families(text, process).items():
            known = families.setdefault(name, _Family(told.help_line, told.kind))
            if known.kind == told.kind:
                known.samples += told.samples
    lines = []
    for name, family in families.items():
        if family.samples:
            lines += [line for line in (family.help_line, f"# TYPE {name} {family.kind}") if line]
            lines += family.samples
    return "\n".join(lines) + "\n" if lines else ""


def of_everybody(seen: Now) -> str:
    """What only monitor knows: who is up, what each takes, and which alerts fire."""
    lines = list(_gauge("banyan_process_ready", "Whether it is ready."))
    lines += [_line("banyan_process_ready", process.name, int(process.state == "ready")) for process in seen.processes]
    lines += _gauge("banyan_process_restarts", "How often it was started again.")
    lines += [_line("banyan_process_restarts", process.name, process.restarts) for process in seen.processes]
    for name, about, field in (
        ("banyan_process_memory_bytes", "Memory, with its children's; shared memory counts in part.", "memory_bytes"),
        ("banyan_process_cpu_cores", "Processor cores that it keeps busy.", "cpu"),
    ):
        lines += _gauge(name, about)
        values = ((process.name, getattr(process, field)) for process in seen.processes)
        lines += [_line(name, process, value) for process, value in values if value is not None]
    lines += _gauge("banyan_alerts_firing", "Alerts that fire.")
    lines.append(f"banyan_alerts_firing {sum(alert.state == 'firing' for alert in seen.alerts)}")
    if seen.disk is not None:
        lines += _gauge("banyan_disk_free_bytes", "What is free where the data folder is.")
        lines.append(f"banyan_disk_free_bytes {seen.disk.free_bytes}")
    return "\n".join(lines) + "\n"


def _gauge(name: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} gauge"]


def _line(name: str, process: str, value: float) -> str:
    return f'{name}{{{LABEL}="{process}"}} {value}'


def _families(text: str, process: str) -> dict[str, _Family]:
    families: dict[str, _Family] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            families.setdefault(name, _Family()).help_line = line
        elif line.startswith("# TYPE "):
            _, _, name, kind = [*line.split(" ", 3), "untyped"][:4]
            families.setdefault(name, _Family()).kind = kind
        elif (sample := _SAMPLE.fullmatch(line)) is not None:
            family = _family_of(sample["name"], families)
            if family is not None:
                family.samples.append(_labelled(sample, process))
    return {name: family for name, family in families.items() if family.kind}


def _family_of(name: str, families: Mapping[str, _Family]) -> _Family | None:
    if name in families:
        return families[name]
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and name.removesuffix(suffix) in families:
            return families[name.removesuffix(suffix)]
    return None


def _labelled(sample: "re.Match[str]", process: str) -> str:
    labels = dict(_labels(sample["labels"] or ""))
    if process:
        if labels.get(LABEL, process) != process:
            labels[f"exported_{LABEL}"] = labels.pop(LABEL)
        labels = {LABEL: process, **labels}
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{sample['name']}{f'{{{inside}}}' if inside else ''}{sample['value']}"


def _labels(text: str) -> Iterator[tuple[str, str]]:
    """Values as they are written, escapes and all."""
    position = 0
    while (found := _LABEL.match(text, position)) is not None:
        yield found["name"], found["value"]
        position = found.end()
