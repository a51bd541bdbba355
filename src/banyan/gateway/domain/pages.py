"""What the gateway says by itself, in words: what happened, what was kept, what to do."""

from dataclasses import dataclass
from html import escape
from http import HTTPStatus

LANGUAGES = ("ko", "en")
"""Korean first: the form that needs a reason stands before the one for everybody."""


@dataclass(frozen=True, slots=True)
class Words:
    """A title, what happened, and what to do."""

    title: str
    what: str
    todo: str


_KO_AGAIN = "잠시 뒤에 다시 시도해 주세요. 계속 이러면 아래 번호를 알려 주세요."
_EN_AGAIN = "Try again in a moment. If it stays like this, tell us the number below."

_WORDS: dict[int, dict[str, Words]] = {
    400: {
        "en": Words(
            "This request cannot be read",
            "Your browser or program sent something that is not valid HTTP, or an address with characters that must be"
            " encoded. Nothing was changed.",
            "Check the address, or go back and follow the link again.",
        ),
        "ko": Words(
            "요청을 읽을 수 없어요",
            "브라우저나 프로그램이 올바르지 않은 요청을 보냈거나, 주소에 인코딩하지 않은 글자가 있어요."
            " 바뀐 것은 없어요.",
            "주소를 확인하거나, 이전 페이지로 돌아가 링크를 다시 눌러 주세요.",
        ),
    },
    403: {
        "en": Words(
            "This is not open to you",
            "The gateway does not let this request through.",
            "Go back to the page you came from.",
        ),
        "ko": Words("접근할 수 없어요", "이 요청은 통과할 수 없어요.", "이전 페이지로 돌아가 주세요."),
    },
    404: {
        "en": Words(
            "There is nothing at this address",
            "The address may be mistyped, or the page may have moved.",
            "Check the address, or start from the home page.",
        ),
        "ko": Words(
            "이 주소에는 아무것도 없어요",
            "주소가 잘못되었거나 페이지가 옮겨졌을 수 있어요.",
            "주소를 확인하거나 첫 페이지에서 다시 찾아 주세요.",
        ),
    },
    408: {
        "en": Words(
            "The request stopped halfway",
            "We waited for the rest of what you were sending, and it did not come.",
            "Check your connection and send it again.",
        ),
        "ko": Words(
            "요청이 중간에 멈췄어요",
            "보내시던 내용의 나머지를 기다렸지만 오지 않았어요.",
            "연결 상태를 확인하고 다시 보내 주세요.",
        ),
    },
    413: {
        "en": Words(
            "This is too large", "What you sent is larger than is taken here. It was not kept.", "Send a smaller file."
        ),
        "ko": Words(
            "너무 커요", "보내신 내용이 받을 수 있는 크기보다 커요. 저장하지 않았어요.", "더 작은 파일을 보내 주세요."
        ),
    },
    431: {
        "en": Words(
            "The request has too much in its head",
            "Its address, cookies and other headers together are larger than is taken here.",
            "Delete this site's cookies in your browser and try again.",
        ),
        "ko": Words(
            "요청 머리가 너무 커요",
            "주소와 쿠키 등을 합친 크기가 받을 수 있는 것보다 커요.",
            "브라우저에서 이 사이트의 쿠키를 지우고 다시 시도해 주세요.",
        ),
    },
    500: {
        "en": Words("Something of ours broke", "The gateway could not answer. Nothing was passed on.", _EN_AGAIN),
        "ko": Words("저희 쪽에 문제가 생겼어요", "요청을 처리하지 못했고, 전달된 것도 없어요.", _KO_AGAIN),
    },
    502: {
        "en": Words(
            "The site cannot be reached",
            "The server behind this page does not answer, or answers with something that is no page.",
            _EN_AGAIN,
        ),
        "ko": Words(
            "사이트에 연결할 수 없어요",
            "이 페이지를 맡은 서버가 응답하지 않거나 올바르지 않은 응답을 보냈어요.",
            _KO_AGAIN,
        ),
    },
    503: {
        "en": Words(
            "Too much is going on just now", "The servers behind this page are busy or being restarted.", _EN_AGAIN
        ),
        "ko": Words("지금은 요청이 너무 많아요", "이 페이지를 맡은 서버가 바쁘거나 다시 시작하는 중이에요.", _KO_AGAIN),
    },
    504: {
        "en": Words(
            "The answer took too long",
            "The server behind this page did not answer in time. What you sent may have arrived.",
            "Before you send a form again, look whether it has been taken. " + _EN_AGAIN,
        ),
        "ko": Words(
            "응답이 너무 오래 걸려요",
            "이 페이지를 맡은 서버가 제때 응답하지 않았어요. 보내신 내용은 도착했을 수 있어요.",
            "양식을 다시 보내기 전에 처리되었는지 먼저 확인해 주세요. " + _KO_AGAIN,
        ),
    },
}
_OTHER = {
    "en": Words("This did not work", "The gateway could not pass this request on.", _EN_AGAIN),
    "ko": Words("처리하지 못했어요", "이 요청을 전달하지 못했어요.", _KO_AGAIN),
}
_NUMBER = {"en": "Number of this request", "ko": "요청 번호"}
_AGAIN = {"en": "Try again", "ko": "다시 시도"}
_HOME = {"en": "Home page", "ko": "첫 페이지"}

STATUSES = tuple(_WORDS)
"""The statuses that have words of their own; 0 is any other."""

_STYLE = """
:root{color-scheme:light dark;--bg:#FBFAF6;--surface:#FFFFFF;--text:#1A1F1B;--muted:#566058;--line:#E3E1D8;
--primary:#0B6B4B;--on-primary:#FFFFFF;--info:#1756C9}
@media (prefers-color-scheme:dark){:root{--bg:#101411;--surface:#181D19;--text:#ECF0EA;--muted:#A5B0A6;
--line:#2B332D;--primary:#57C893;--on-primary:#06130C;--info:#8FB6FF}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px 16px;background:var(--bg);
color:var(--text);font:16px/1.6 "Pretendard Variable",Pretendard,"Apple SD Gothic Neo","Noto Sans KR",
"Noto Sans CJK KR",system-ui,sans-serif;word-break:keep-all;overflow-wrap:anywhere}
main{width:100%;max-width:560px;padding:32px 24px;background:var(--surface);border:1px solid var(--line);
border-radius:10px}
.status{margin:0;color:var(--muted);font-size:14px;font-variant-numeric:tabular-nums}
h1{margin:4px 0 16px;font-size:28px;line-height:1.25}
p{margin:0 0 12px}
.links{display:flex;flex-wrap:wrap;gap:12px;margin:24px 0}
.links a{display:inline-flex;align-items:center;min-height:44px;padding:0 16px;border-radius:8px;
border:1px solid var(--primary);color:var(--primary);text-decoration:none}
.links a.first{background:var(--primary);color:var(--on-primary)}
a:focus-visible{outline:2px solid var(--info);outline-offset:2px}
dl{margin:0;padding-top:16px;border-top:1px solid var(--line);font-size:14px;color:var(--muted)}
dd{margin:0;font-family:ui-monospace,monospace;color:var(--text)}
"""


def page(status: int, language: str) -> str:
    """The page as Envoy's format string; Envoy fills in the status and the request id, both of its own making."""
    words = _words(status)[language]
    links = f'<a href="/">{_HOME[language]}</a>'
    if status not in (400, 403, 404, 413):
        links = f'<a class="first" href="">{_AGAIN[language]}</a>{links}'
    text = f"""<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>{escape(words.title)}</title><style>{_STYLE}</style></head>
<body><main><p class="status">{status or "@STATUS@"}</p><h1>{escape(words.title)}</h1>
<p>{escape(words.what)}</p><p>{escape(words.todo)}</p>
<p class="links">{links}</p>
<dl><dt>{_NUMBER[language]}</dt><dd>@REQUEST@</dd></dl></main></body></html>
"""
    return text.replace("%", "%%").replace("@STATUS@", "%RESPONSE_CODE%").replace("@REQUEST@", "%STREAM_ID%")


def problem(status: int) -> tuple[str, str, str]:
    """The stable slug, the title and the detail of a problem document."""
    words = _words(status)["en"]
    title = HTTPStatus(status).phrase if status else "Refused by the gateway"
    slug = title.lower().replace(" ", "-")
    return slug, title, f"{words.title}. {words.what} {words.todo}".replace("the number below", "the request id")


def _words(status: int) -> dict[str, Words]:
    return _WORDS.get(status, _OTHER)
