"""The two READMEs are one: what is said, shown and linked in English is so in Korean, in the same order."""

import re

from tests.docs.blocks import ROOT, blocks

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")


def shape(text: str) -> list[str]:
    """Each paragraph by its kind: headings by their level, tables by their rows."""
    return [
        "|" * part.count("\n") if part.startswith("|") else (re.match(r"#+|!\[|```|<!--", part) or ["text"])[0]
        for part in re.split(r"\n{2,}", text.strip())
    ]


def test_both_have_the_same_parts_in_the_same_order() -> None:
    assert shape(KOREAN) == shape(ENGLISH)


def test_both_show_the_same_commands() -> None:
    shown = [(block.code, block.kind, block.words) for block in blocks(ROOT / "README.ko.md")]

    assert shown == [(block.code, block.kind, block.words) for block in blocks(ROOT / "README.md")]
    assert len(shown) > 4


def test_both_lead_to_the_same_places() -> None:
    def links(text: str) -> list[str]:
        return sorted(re.findall(r"\]\(([^)]+)\)|<(http[^>]+)>", text))

    assert [link for link in links(KOREAN) if "README" not in link[0]] == [
        link for link in links(ENGLISH) if "README" not in link[0]
    ]


def test_both_name_the_same_files_and_commands() -> None:
    def names(text: str) -> list[str]:
        return sorted(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))

    assert names(KOREAN) == names(ENGLISH)


def test_the_korean_one_is_korean() -> None:
    sentences = re.findall(r"[가-힣][^.\n]*[.]", re.sub(r"```.*?```", "", KOREAN, flags=re.DOTALL))

    assert len(sentences) > 20
    assert not re.search(r"코스|강좌|유저", KOREAN), "the words are 강의, 수강, 진도, 사람"
