"""The bench's own sums and pages; what it measures is not repeated here."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import chart, events_report, figures, flips, machine, report
from bench.events_report import Drain, Ours, Pushed, Theirs
from bench.figures import Window
from bench.flips import Flip
from bench.machine import Machine
from bench.report import Bar, Goal, Panel, Plan, Run, Section, Table

ROOT = Path(__file__).parents[2]


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]

    assert [figures.percentile(values, percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert figures.percentile([7.0], 99) == 7.0
    with pytest.raises(ValueError, match="nothing"):
        figures.percentile([], 50)


def test_a_difference_is_taken_within_each_round() -> None:
    assert figures.median_difference([2, 12, 103], [1, 10, 100]) == 2


def test_requests_are_due_at_an_even_pace() -> None:
    dues = figures.due_times(start=10.0, rate=500, seconds=2)

    assert len(dues) == 1000
    assert dues[0] == 10.0
    assert dues[500] == 11.0


@pytest.mark.parametrize(
    ("disturbed", "holds"),
    [
        (Window(p50=1.2, p99=14.9, failed=0), True),
        (Window(p50=1.3, p99=5.0, failed=0), False),
        (Window(p50=1.0, p99=15.1, failed=0), False),
        (Window(p50=1.0, p99=5.0, failed=1), False),
    ],
)
def test_the_bystander_rule_holds_within_its_limits(disturbed: Window, holds: bool) -> None:
    idle = [Window(p50=1.0, p99=5.0, failed=0)] * 5

    assert figures.bystander(idle=idle, disturbed=[disturbed] * 5).holds is holds


def test_one_bad_window_of_five_is_weather_but_a_failure_in_it_is_not() -> None:
    idle = [Window(p50=1.0, p99=5.0, failed=0)] * 5
    slow, failing = Window(p50=9.0, p99=90.0, failed=0), Window(p50=1.0, p99=5.0, failed=1)

    assert figures.bystander(idle=idle, disturbed=[*idle[:4], slow]).holds
    assert not figures.bystander(idle=idle, disturbed=[*idle[:4], failing]).holds


def test_only_an_answer_to_a_request_sent_after_the_move_counts_for_it() -> None:
    moved = [Flip("old", given=10.0, done=10.05), Flip("new", given=11.0, done=11.05)]
    answers = [
        (9.9, 10.02, 0.1, "old"),  # asked before the move
        (10.01, 10.03, 0.0, "new"),
        (10.04, 10.07, 0.0, "old"),
        (11.02, 11.03, 0.0, "new"),
    ]

    assert flips.until_first_answer(moved, answers) == pytest.approx([0.07, 0.03])
    assert flips.until_first_answer(moved, answers[:3]) == pytest.approx([0.07])  # the second was never seen


PUSHED = [
    Pushed(rate, events=100, took=[9.0] * 298 + [slow] * 2, lost=lost, cpu_ms={"relay": 0.5}, behind=0.002)
    for rate, slow, lost in ((100, 20.0, 0), (500, 20.0, 1))
]


NOBODY = Theirs([], [], "")


def of_events(drain: Drain, *, missing: int = 0, theirs: Theirs = NOBODY) -> Section:
    return events_report.report_of(Ours(PUSHED, [drain], [10.0] * 100, missing), theirs, pages=20, rate=10)


def test_an_event_that_one_subscriber_did_not_hear_misses_the_goal_however_quick_the_others() -> None:
    section = of_events(Drain(20_000, 1.5, 0.2, 3.0))

    assert [goal.met for goal in section.goals] == [True, False, True, True]
    assert "1 lost" in section.goals[1].measured


def test_a_page_that_was_not_told_misses_the_goal() -> None:
    section = of_events(Drain(9_000, 1.0, 0.2, 3.0), missing=1)

    assert [goal.met for goal in section.goals[2:]] == [False, False]


def test_a_peer_stands_beside_ours_in_the_tables_and_the_chart_and_decides_no_goal() -> None:
    slow = Pushed(100, events=100, took=[900.0] * 299, lost=1, cpu_ms={"redis": 2.0, "workers": 3.0}, behind=0.0)
    alone, beside = (
        of_events(Drain(20_000, 1.5, 0.2, 3.0), theirs=theirs)
        for theirs in (NOBODY, Theirs([slow], [120.0], "A peer."))
    )

    assert beside.goals == alone.goals
    assert [row[0] for row in beside.tables[0].rows][-1] == "Celery, 100 a second"
    assert beside.tables[0].rows[-1][-1] == "redis 2.00, workers 3.00"
    assert [(bar.label, bar.value, bar.ours) for bar in beside.panels[1].bars][-1] == ("Celery, 100/s", 5.0, False)


def sections() -> list[Section]:
    section = Section(
        "pages",
        "Pages",
        "What it is.",
        tables=[Table("Pages", ("page", "ms"), [("a | b", "1.00")], "A note.")],
        goals=[Goal("cheap", "<= 2 ms", "1.00 ms", True), Goal("quick", "<= 1 ms", "3.00 ms", False)],
        panels=[Panel("Costs & <more>", "ms", [Bar("ours", 1.0, True), Bar('"peer"', 34.6, False)])],
        left_out=["WordPress: it is not installed"],
    )
    return [section]


def run_of(found: list[Section]) -> Run:
    return Run(
        command="make bench",
        at=datetime(2025, 6, 1, 12, 0, tzinfo=UTC),
        commit="abc1234",
        machine=Machine("A processor", 2, 23.5, "6.1"),
        versions={"Envoy": "1.40.0"},
        sections=found,
        plan=Plan(rounds=5, seconds=2.0, quick=False),
    )


def test_the_page_says_what_was_met_missed_and_left_out_and_how_to_measure_again() -> None:
    page = report.page(run_of(sections()), chart="benchmarks.svg")

    assert "| cheap | <= 2 ms | 1.00 ms | met |" in page
    assert "| quick | <= 1 ms | 3.00 ms | **missed** |" in page
    assert "Not measured: WordPress: it is not installed." in page
    assert "| a \\| b | 1.00 |" in page
    assert "`make bench`" in page
    assert "(benchmarks.svg)" in page
    assert "A processor, 2 cores" in page
    assert "Warning" not in page


def test_the_page_warns_when_the_machine_was_busy() -> None:
    found = sections()
    found[0].others_busy = 0.42

    assert "other programs used 42% of it" in report.page(run_of(found), chart=None)


def test_the_chart_is_well_formed_and_says_its_figures_in_words() -> None:
    drawing = ElementTree.fromstring(chart.draw(sections()[0].panels))

    bars = [each for each in drawing.iter() if each.tag.endswith("rect")]
    assert [bar.get("class") for bar in bars] == ["ours", "peer"]
    assert float(bars[1].get("width") or 0) > 30 * float(bars[0].get("width") or 0)
    assert drawing.get("role") == "img"
    assert '"peer" 34.6 ms' in (drawing.get("aria-label") or "")


def test_a_figure_has_three_digits_that_mean_something() -> None:
    shown = [report.figure(value) for value in (0.123, 9.876, 12.34, 123.4, 12_345.6, -0.5)]

    assert shown == ["0.12", "9.88", "12.3", "123", "12,346", "-0.50"]


def test_the_cpu_time_of_a_process_includes_its_children() -> None:
    spin = "import time\nwhile time.process_time() < 0.25: pass"
    nested = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {spin!r}]); print(); time.sleep(30)"
    with subprocess.Popen([sys.executable, "-uc", nested], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = machine.cpu_seconds([process.pid])
        process.kill()

    assert used >= 0.2


def test_the_sections_are_listed() -> None:
    command = [sys.executable, "-m", "bench", "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.split() == [
        "gateway",
        "flips",
        "pages",
        "people",
        "signin",
        "events",
        "bystander",
        "faults",
        "replica",
        "telemetry",
        "start",
    ]
