"""What a demo course's text lessons say: short, about their topic, and honest that they are a demo's."""

from banyan.demo.dice import dice
from banyan.demo.topics import Language, Topic

_KOREAN = (
    "이번 수업에서는 ‘{title}’{particle} 다룹니다. 영상 대신 글로 준비했으니 편한 속도로 읽어 주세요.",
    "먼저 왜 필요한지부터 보겠습니다. {name}에서 막히는 곳은 대개 손이 아니라 순서입니다. "
    "무엇을 먼저 정하고 무엇을 나중으로 미룰지 적어 두면 절반은 끝난 셈입니다.",
    "다음은 직접 해 볼 차례입니다. 가장 작은 예를 하나 고르고, 한 번에 한 가지만 바꿔 보세요. "
    "바꾸기 전에 결과를 예상하고, 바꾼 뒤에 예상과 다른 점을 한 줄로 남기면 그 기록이 교재보다 오래 갑니다.",
    "끝으로 이 강의의 목표 하나를 떠올려 보세요. “{outcome}” "
    "오늘 배운 것이 여기에 어떻게 이어지는지 한 문장으로 말할 수 있으면 다음 수업으로 넘어가도 좋습니다.",
)
_ENGLISH = (
    "This lesson is about “{title}”. It is written rather than filmed, so take it at your own pace.",
    "First, why it matters. In {name} people rarely get stuck on a single step; they get stuck on the order of the "
    "steps. Write down what has to be decided first and what can wait, and half of the work is done.",
    "Now try it. Pick the smallest example you can find and change one thing at a time. Say beforehand what you "
    "expect, and afterwards note in one line where you were wrong. Those notes will outlast any textbook.",
    "To check yourself, think of one promise of this course: “{outcome}” If you can say in a sentence how today's "
    "lesson leads there, go on to the next one.",
)


def text(topic: Topic, title: str, language: Language) -> str:
    """Four paragraphs with empty lines between them."""
    outcome = dice("reading", title).choice(topic.outcomes)
    paragraphs = _KOREAN if language == "ko" else _ENGLISH
    full_stop = "" if outcome.endswith((".", "!", "?")) else "."
    return "\n\n".join(paragraphs).format(
        title=title, name=topic.name, outcome=outcome + full_stop, particle=_object_particle(title)
    )


def _object_particle(word: str) -> str:
    """을 after a final consonant, 를 after a vowel, both where it is not a Korean letter."""
    last = ord(word[-1])
    if not 0xAC00 <= last <= 0xD7A3:
        return "을(를)"
    return "을" if (last - 0xAC00) % 28 else "를"
