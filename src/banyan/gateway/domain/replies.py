"""The gateway's own answers: a page in the reader's language, or a problem document for a program."""

from banyan.gateway.domain import cookies, pages
from banyan.gateway.domain.pages import LANGUAGES
from banyan.gateway.domain.world import Config

# No connection, or a broken one, or no HTTP on it, or (UH) a name that leads nowhere.
_BAD_GATEWAY_FLAGS = ["UF", "UC", "UR", "UPE", "UH"]
_API = r"/(_banyan/)?api/.*"


def for_visitors() -> Config:
    """Of the front door. The first mapper that fits decides."""
    mappers = [_health()]
    unreachable: Config = {"response_flag_filter": {"flags": _BAD_GATEWAY_FLAGS}}
    mappers += _forms(unreachable, 502, mapped=True)
    for status in pages.STATUSES:
        mappers += _forms(_status(status), status)
    mappers += _forms(status_at_least(400), 0)
    return {"mappers": mappers}


def for_services() -> Config:
    """Of the private listener: problem documents only."""
    mappers: list[Config] = [_mapper({"response_flag_filter": {"flags": _BAD_GATEWAY_FLAGS}}, _problem(502), 502)]
    mappers += [_mapper(_status(status), _problem(status)) for status in pages.STATUSES]
    return {"mappers": mappers}


def status_at_least(status: int) -> Config:
    return _compared("GE", status)


def _health() -> Config:
    """Whether Banyan is well cannot be said by a control plane that is away."""
    asked = _all(_header(":path", prefix="/_banyan/health"), status_at_least(500))
    body = {"status": "degraded", "waiting_for": ["gateway"], "request_id": "%STREAM_ID%"}
    return _mapper(asked, {"json_format": body, "content_type": "application/json"}, 503, retry=True)


def _forms(condition: Config, status: int, *, mapped: bool = False) -> list[Config]:
    """The three forms of one answer; `status` 0 is any other."""
    new_status = status if mapped else None
    found = [_mapper(_all(condition, _wants_problem()), _problem(status), new_status, retry=status == 503)]
    for language in LANGUAGES:
        chosen = _all(condition, _reads_korean()) if language == "ko" else condition
        body: Config = {
            "text_format_source": {"inline_string": pages.page(status, language)},
            "content_type": "text/html; charset=utf-8",
        }
        found.append(_mapper(chosen, body, new_status, language=language, retry=status == 503))
    return found


def _mapper(
    condition: Config, body: Config, status: int | None = None, *, language: str = "", retry: bool = False
) -> Config:
    headers = {"x-banyan-side": "gateway", "cache-control": "no-store"}
    if language:
        headers |= {
            "content-language": language,
            "vary": "accept, accept-language, cookie",
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
        }
    if retry:
        headers["retry-after"] = "5"
    mapper: Config = {
        "filter": condition,
        "body_format_override": body,
        "headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers.items()
        ],
    }
    if status is not None:
        mapper["status_code"] = status
    return mapper


def _problem(status: int) -> Config:
    slug, title, detail = pages.problem(status)
    body: Config = {
        "type": f"/_banyan/problems/{slug}",
        "title": title,
        "status": status or "%RESPONSE_CODE%",
        "detail": detail,
        "request_id": "%STREAM_ID%",
    }
    return {"json_format": body, "content_type": "application/problem+json"}


def _wants_problem() -> Config:
    """RFC 9457 for who asks for no page, and for the API, whatever it asks for."""
    return _any(_header("accept", contains="text/html", invert=True), _header(":path", regex=_API))


def _reads_korean() -> Config:
    chosen = _any(_cookie("ko"), _chosen_korean())
    by_browser = _all(
        _header("accept-language", regex="(?i)ko([-;, ].*)?"),
        _cookie("en", invert=True),
        _chosen_korean(or_nothing=True),
    )
    return _any(chosen, by_browser)


def _cookie(locale: str, *, invert: bool = False) -> Config:
    return _header("cookie", regex=rf"(.*[;,]\s*)?banyan_locale={locale}([;,].*)?", invert=invert)


def _chosen_korean(*, or_nothing: bool = False) -> Config:
    """What the cookie filter found before it cut the cookie."""
    matcher: Config = {
        "filter": cookies.METADATA,
        "path": [{"key": "locale"}],
        "value": {"string_match": {"exact": "ko"}},
    }
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": or_nothing}}


def _header(name: str, *, invert: bool = False, regex: str = "", contains: str = "", prefix: str = "") -> Config:
    how: Config = (
        {"safe_regex": {"regex": regex}} if regex else {"contains": contains} if contains else {"prefix": prefix}
    )
    header: Config = {"name": name, "string_match": how, "treat_missing_header_as_empty": True}
    if invert:
        header["invert_match"] = True
    return {"header_filter": {"header": header}}


def _status(status: int) -> Config:
    return _compared("EQ", status)


def _compared(op: str, status: int) -> Config:
    value: Config = {"default_value": status, "runtime_key": "banyan.none"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _all(*filters: Config) -> Config:
    return {"and_filter": {"filters": list(filters)}}


def _any(*filters: Config) -> Config:
    return {"or_filter": {"filters": list(filters)}}
