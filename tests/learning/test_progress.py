"""The rules of progress, whatever the order, the number and the delay of heartbeats."""

import random
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.learning.domain.courses import LessonKind
from banyan.learning.domain.progress import (
    ENOUGH_PERCENT,
    MOST_RANGES,
    Heartbeat,
    HeartbeatNotUsable,
    Lesson,
    LessonProgress,
    TooManyRanges,
    begun,
    clipped,
    course_percent,
    heartbeat,
    length,
    united,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VIDEO = Lesson(kind=LessonKind.VIDEO, duration_seconds=50)

pairs = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)).map(sorted).map(tuple), max_size=8)
heartbeats = st.builds(
    lambda position, watched, age: Heartbeat(
        position=position, watched=united(watched), sent_at=NOW - timedelta(seconds=age)
    ),
    st.integers(0, 150),
    pairs,
    st.integers(0, 20),
)
lessons = st.builds(Lesson, kind=st.sampled_from(LessonKind), duration_seconds=st.integers(0, 60))


def after(beats: list[Heartbeat], lesson: Lesson = VIDEO) -> LessonProgress:
    return reduce(lambda progress, beat: progress.heard(beat, lesson), beats[1:], begun(beats[0], lesson))


@given(pairs)
def test_ranges_united_are_the_same_seconds_in_order_with_gaps(ranges):
    joined = united(ranges)

    assert {at for start, end in joined for at in range(start, end)} == {
        at for start, end in ranges for at in range(start, end)
    }
    flat = [at for pair in joined for at in pair]
    assert flat == sorted(set(flat))


@given(pairs, pairs)
def test_uniting_does_not_depend_on_order_or_repetition(one, other):
    assert united([*united(one), *other]) == united([*other, *one, *other]) == united([*one, *united(other)])


@given(pairs, st.integers(0, 130))
def test_what_is_clipped_ends_there(ranges, end):
    assert length(clipped(united(ranges), end)) == len(
        {at for start, stop in ranges for at in range(start, stop) if at < end}
    )


def test_ranges_past_the_bound_lose_only_their_smallest_gaps():
    many = [(10 * number, 10 * number + (9 if number % 2 else 5)) for number in range(2 * MOST_RANGES - 1)]

    kept = united(many)

    assert len(kept) == MOST_RANGES
    assert length(kept) == length(united(many, most=len(many))) + MOST_RANGES - 1


@given(st.lists(heartbeats, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_progress_is_the_same_in_any_order_with_any_duplicates(beats, rng: random.Random):
    again = [*beats, *rng.choices(beats, k=3)]
    rng.shuffle(again)

    assert after(again) == after(beats)


@given(st.lists(st.tuples(heartbeats, lessons), min_size=1, max_size=12))
def test_progress_never_goes_backwards_even_when_the_lesson_changes(steps):
    progress = begun(*steps[0])
    for beat, lesson in steps[1:]:
        before, progress = progress, progress.heard(beat, lesson)
        assert 0 <= before.percent <= progress.percent <= 100
        assert progress.completed or not before.completed
        assert (progress.positioned_at, progress.position) >= (before.positioned_at, min(before.position, 0))
        assert progress.positioned_at >= before.positioned_at


@given(st.lists(heartbeats, min_size=1, max_size=8), lessons)
def test_the_position_is_that_of_the_newest_heartbeat_and_within_the_lesson(beats, lesson):
    progress = after(beats, lesson)

    newest = max(beat.sent_at for beat in beats)
    assert progress.position == max(min(beat.position, lesson.ticks) for beat in beats if beat.sent_at == newest)


@given(st.lists(heartbeats, min_size=1, max_size=8))
def test_percent_is_the_share_that_was_watched_and_enough_is_all(beats):
    seen = {at for beat in beats for start, end in beat.watched for at in range(start, min(end, VIDEO.ticks))}
    share = 100 * len(seen) // VIDEO.ticks

    assert after(beats).percent == (100 if share >= ENOUGH_PERCENT else share)


@given(heartbeats)
def test_a_text_and_a_video_of_no_length_are_completed_by_being_opened(beat):
    for lesson in (
        Lesson(kind=LessonKind.TEXT, duration_seconds=300),
        Lesson(kind=LessonKind.VIDEO, duration_seconds=0),
    ):
        assert begun(beat, lesson).completed


@given(st.lists(st.integers(0, 100), max_size=30))
def test_a_course_is_complete_only_when_every_lesson_is(percents):
    percent = course_percent(percents)

    assert 0 <= percent <= 100
    assert (percent == 100) == (bool(percents) and min(percents) == 100)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30), st.data())
def test_a_course_never_goes_backwards_by_a_heartbeat(percents, data):
    at = data.draw(st.integers(0, len(percents) - 1))
    grown = [*percents[:at], data.draw(st.integers(percents[at], 100)), *percents[at + 1 :]]

    assert course_percent(grown) >= course_percent(percents)


anything = st.floats() | st.integers()


@settings(max_examples=200)
@given(anything, st.lists(st.lists(anything, max_size=3), max_size=4), st.datetimes() | st.none())
def test_a_heartbeat_is_usable_or_refused(position, watched, sent_at):
    try:
        beat = heartbeat(position_seconds=position, watched=watched, sent_at=sent_at, now=NOW)
    except HeartbeatNotUsable:
        return
    assert beat.sent_at <= NOW
    assert after([beat]).position <= VIDEO.ticks


def test_seams_between_heartbeats_leave_no_gap():
    first = heartbeat(position_seconds=10.3, watched=[(0, 10.3)], sent_at=None, now=NOW)
    second = heartbeat(position_seconds=20.7, watched=[(10.3, 20.7)], sent_at=None, now=NOW)

    assert len(after([first, second]).watched) == 1


def test_too_many_ranges_at_once_are_refused():
    with pytest.raises(TooManyRanges):
        heartbeat(position_seconds=0, watched=[(0, 1)] * 101, sent_at=None, now=NOW)
