"""The file of alert rules."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banyan.monitor.domain import rules
from banyan.monitor.domain.measures import FIGURES
from banyan.monitor.domain.rules import Recipient

OPERATOR = Recipient("mail", "operator@example.com")


def test_a_rule_reads_as_it_is_written() -> None:
    book = rules.read("operators = mail operator@example.com\nprocess.p99 of web > 1.5s for 2m -> operators")

    (rule,) = book.rules
    assert book.faults == []
    assert (rule.figure, rule.subject, rule.op, rule.threshold) == ("process.p99", "web", ">", 1500)
    assert rule.lasting == timedelta(minutes=2)
    assert rule.recipients == (OPERATOR,)
    assert rule.text == "process.p99 of web > 1.5s for 2m"
    assert rule.holds(1501)
    assert not rule.holds(1500)
    assert rule.is_about("web")
    assert not rule.is_about("iam")


def test_a_rule_without_anybody_tells_nobody_and_counts_all_the_same() -> None:
    book = rules.read("disk.free < 2GB for 0s")

    assert book.rules[0].recipients == ()
    assert book.rules[0].threshold == 2e9


def test_several_are_told_and_nobody_twice() -> None:
    text = "a = mail operator@example.com\nprocess.away > 0 for 1s -> a, webhook https://hooks.example.com/x?y#z, a"

    (rule,) = rules.read(text).rules

    assert rule.recipients == (OPERATOR, Recipient("webhook", "https://hooks.example.com/x?y#z"))


def test_a_name_may_stand_below_the_rule_that_uses_it() -> None:
    book = rules.read("process.away > 0 for 1s -> night\nnight = mail operator@example.com")

    assert book.faults == []
    assert book.rules[0].recipients == (OPERATOR,)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("process.away", "a rule reads"),
        ("process.away > 0", "a rule reads"),
        ("process.away > 0 for 3", "a rule reads"),
        ("process.away = 0 for 3s", "a rule reads"),
        ("process.awya > 0 for 3s", "there is no figure 'process.awya'"),
        ("process.p99 > 3% for 3s", "takes ms, s, m, not %"),
        ("process.away > 3s for 3s", "has no unit"),
        ("process.away > 0 for 3s -> nobody", "nobody is called 'nobody'"),
        ("process.away > 0 for 3s -> mail x", "is not mail NAME@HOST"),
        ("process.away > 0 for 3s -> mail a@b.c\x00, webhook ftp://x", "is not"),
        ("process.away > 0 for 3s -> webhook file:///etc/passwd", "is not webhook http(s)://HOST/..."),
        ("process.away > 0 for 3s -> webhook http://[::1", "is not webhook"),
        ("them = nobody", "nobody is called 'nobody'"),
    ],
)
def test_a_wrong_line_is_named_with_its_number_and_the_others_go_on(line: str, why: str) -> None:
    book = rules.read(f"# rules\n\n{line}\nprocess.restarts > 0 for 0s\n")

    (fault,) = book.faults
    assert fault.startswith("line 3: ")
    assert why in fault
    assert [rule.figure for rule in book.rules] == ["process.restarts"]


def test_the_same_condition_twice_is_a_fault() -> None:
    book = rules.read("process.away > 0 for 3s\nprocess.away  >  0 for 3s -> mail a@b.c".replace("  >  ", " > "))

    assert len(book.rules) == 1
    assert book.faults == ["line 2: 'process.away > 0 for 3s' stands here twice"]


def test_the_secret_of_a_webhook_is_not_shown() -> None:
    assert Recipient("webhook", "https://u:p@hooks.example.com/T0/SECRET?k=v").shown == "webhook hooks.example.com"


def test_what_stands_in_the_file_at_first_is_right_and_explains_every_figure() -> None:
    text = rules.default_file(operators="mail operator@banyan.test")

    book = rules.read(text)

    assert book.faults == []
    assert len(book.rules) > 15
    assert all(rule.recipients == (Recipient("mail", "operator@banyan.test"),) for rule in book.rules)
    assert all(rule.lasting <= timedelta(seconds=12) for rule in book.rules)
    assert all(f"#   {figure}" in text for figure in FIGURES)


def test_outside_the_demo_the_first_file_tells_nobody_and_is_right() -> None:
    book = rules.read(rules.default_file(operators=""))

    assert book.faults == []
    assert book.recipients == []


@given(st.text(max_size=300))
def test_no_text_whatsoever_is_more_than_a_fault(text: str) -> None:
    book = rules.read(text + "\nprocess.away > 0 for 1s")

    assert book.rules or book.faults
