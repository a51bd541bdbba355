"""Who is asking: filters that turn a token into headers, and take those away from a session that is over.

Keys and ended sessions change while Envoy runs, so each of these two filters comes in a file of its own (ECDS).
Delivered with the listener they would reach an open connection only when that one is drained.
"""

import json
import re
from collections.abc import Iterable, Sequence

from banyan.contracts import identity
from banyan.gateway.domain.routes import SnapshotRefused
from banyan.gateway.domain.world import Config, World, seconds, typed

TOKENS = "jwt"
ENDED = "rev"

REFRESH_CLUSTER = "refresh~iam"
REFRESH_PATH = "/gw/refresh?u="

NO_KEYS = '{"keys":[]}'

_JWT = "extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_MATCHED = "extensions.common.matching.v3.ExtensionWithMatcher"
_REFRESH_SECONDS = 0.3
_CACHED_TOKENS = 1000
_KEY_FIELDS = ("kty", "crv", "x", "y", "kid", "use", "alg")
_SESSION_ID = re.compile(r"[0-9a-f-]{1,64}")
_NOBODY = "none"
_IDS_IN_A_PATTERN = 2000

# A file of a page asks nobody: twenty of them come at once, and their answers may be kept by others' caches.
_ASSET = (
    r"(/_banyan/(assets|media|health)\b|/_banyan/console/assets/)[^?]*(\?.*)?"
    r"|[^?]*\.(css|js|mjs|map|png|jpe?g|gif|webp|avif|svg|ico|woff2?|ttf|mp4|webm|mp3|vtt)(\?.*)?"
)

# An answer that sets these cookies itself (signing in, signing out) is not overruled by the renewal that was made
# on its way in, whose cookies Envoy puts behind.
_FIRST_COOKIE_COUNTS = r"""
function envoy_on_response(handle)
  local headers, seen, kept, changed = handle:headers(), {}, {}, false
  for index = 0, headers:getNumValues("set-cookie") - 1 do
    local line = headers:getAtIndex("set-cookie", index)
    local name = line:match("^%s*(banyan_[%w_]*)%s*=")
    if name and seen[name] then
      changed = true
    else
      kept[#kept + 1] = line
      if name then seen[name] = true end
    end
  end
  if changed then
    headers:remove("set-cookie")
    for _, line in ipairs(kept) do headers:add("set-cookie", line) end
  end
end
"""


class KeysRefused(SnapshotRefused):
    """These are no public keys that tokens can be verified with."""


class SessionIdRefused(SnapshotRefused):
    """A session's id is written as none is."""


def of_visitors(world: World, *, discovered: bool) -> list[Config]:
    """For the front door: renew what is stale, believe what is signed, forget who is gone."""
    return [
        _when_stale("settle", _settle()),
        _when_stale("refresh", _ask_iam()),
        *of_services(world, discovered=discovered),
    ]


def of_services(world: World, *, discovered: bool) -> list[Config]:
    """For the private listener, too. What is not discovered stands in the configuration, to be validated."""
    if discovered:
        return [_discovered(TOKENS, world, _JWT), _discovered(ENDED, world, _MATCHED)]
    return [
        {"name": TOKENS, "typed_config": tokens(world, NO_KEYS)},
        {"name": ENDED, "typed_config": ended(())},
    ]


def tokens(world: World, jwks: str) -> Config:
    """The filter that believes tokens signed with these keys. Whoever has none, or a bad one, is anonymous."""
    keys = public_keys(jwks)
    if keys == NO_KEYS:
        return typed(_JWT)  # Envoy takes no empty key set
    base: Config = {
        "issuer": identity.ISSUER,
        "audiences": [identity.AUDIENCE],
        # Services verify the token again, so it stays where it is.
        "forward": True,
        "clock_skew_seconds": max(1, round(world.clock_skew)),
        "jwt_cache_config": {"jwt_cache_size": _CACHED_TOKENS},
        "claim_to_headers": [
            {"header_name": identity.USER_HEADER, "claim_name": "sub"},
            {"header_name": identity.ROLES_HEADER, "claim_name": "roles"},
            {"header_name": identity.SESSION_HEADER, "claim_name": "sid"},
        ],
        "local_jwks": {"inline_string": keys},
    }
    # One provider for each place, in the order in which services look: two tokens in one must both be good.
    providers: Config = {
        "bearer": {**base, "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}]},
        "fresh": {**base, "from_headers": [{"name": identity.TOKEN_HEADER}]},
        "session": {**base, "from_cookies": [identity.SESSION_COOKIE]},
    }
    any_of: list[Config] = [{"provider_name": name} for name in providers]
    requires = {"requires_any": {"requirements": [*any_of, {"allow_missing_or_failed": {}}]}}
    return typed(_JWT, providers=providers, rules=[{"match": {"prefix": "/"}, "requires": requires}])


def ended(session_ids: Iterable[str]) -> Config:
    """The filter that makes these sessions' requests anonymous, and that of a session that iam says is gone."""
    ids = sorted(set(session_ids))
    for session_id in ids:
        if not _SESSION_ID.fullmatch(session_id):
            raise SessionIdRefused(f"{session_id!r} is no session's id.")
    # In parts, because a pattern may be too large.
    parts = [ids[start : start + _IDS_IN_A_PATTERN] for start in range(0, len(ids), _IDS_IN_A_PATTERN)]
    is_over = _any(
        _header_matches(identity.GONE_HEADER, {"exact": "1"}),
        *(_header_matches(identity.SESSION_HEADER, _pattern("|".join(part))) for part in parts or [[_NOBODY]]),
    )
    ours = (
        identity.USER_HEADER,
        identity.ROLES_HEADER,
        identity.SESSION_HEADER,
        identity.TOKEN_HEADER,
        identity.GONE_HEADER,
    )
    deletion = {"key": "set-cookie", "value": f"{identity.SESSION_COOKIE}=; Path=/; Max-Age=0"}
    anonymous = typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={
            "request_mutations": [{"remove": name} for name in ours],
            # Not beside another cookie: that may be the session of somebody who has just signed in anew.
            "response_mutations": [{"append": {"header": deletion, "append_action": "ADD_IF_ABSENT"}}],
        },
    )
    return _matched(is_over, {"name": "anonymous", "typed_config": anonymous})


def resource(name: str, filter_config: Config) -> Config:
    """A filter as its file has it."""
    return typed("config.core.v3.TypedExtensionConfig", name=name, typed_config=filter_config)


def public_keys(jwks: str) -> str:
    """The key set with the public parts of its ES256 keys only. Raises KeysRefused."""
    try:
        keys = [{name: key[name] for name in _KEY_FIELDS if name in key} for key in json.loads(jwks)["keys"]]
        good = all(key["kty"] == "EC" and key["crv"] == "P-256" and key["kid"] for key in keys)
    except (ValueError, KeyError, TypeError):
        raise KeysRefused from None
    if not good:
        raise KeysRefused
    return json.dumps({"keys": keys}, sort_keys=True, separators=(",", ":"))


def folder(world_folder: str, name: str) -> str:
    """Each file has a folder of its own: Envoy reads every watched file of a folder anew on each rename in it."""
    return f"{world_folder}/{name}"


def _discovered(name: str, world: World, kind: str) -> Config:
    where = folder(world.folder, name)
    return {
        "name": name,
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {"path": f"{where}/{name}.json", "watched_directory": {"path": where}},
            },
            "type_urls": [typed(kind)["@type"]],
        },
    }


def _ask_iam() -> Config:
    """iam always answers 200; where it does not answer, the request goes on with the token that it has."""
    return {
        "name": "iam",
        "typed_config": typed(
            "extensions.filters.http.ext_authz.v3.ExtAuthz",
            stat_prefix="refresh",
            failure_mode_allow=True,
            allowed_headers={"patterns": _exactly("cookie", "x-request-id", "user-agent")},
            http_service={
                "server_uri": {"uri": "http://iam", "cluster": REFRESH_CLUSTER, "timeout": seconds(_REFRESH_SECONDS)},
                "path_prefix": REFRESH_PATH,
                "authorization_request": {
                    "headers_to_add": [{"key": "x-forwarded-for", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}]
                },
                "authorization_response": {
                    "allowed_upstream_headers": {
                        "patterns": _exactly(identity.TOKEN_HEADER, identity.GONE_HEADER),
                    },
                    "allowed_client_headers_on_success": {"patterns": _exactly("set-cookie")},
                },
            },
        ),
    }


def _settle() -> Config:
    source = {"inline_string": _FIRST_COOKIE_COUNTS}
    return {"name": "settle", "typed_config": typed("extensions.filters.http.lua.v3.Lua", default_source_code=source)}


def _when_stale(name: str, then: Config) -> Config:
    """Of a browser with a session whose freshness is over, or whose token is lost. Nobody else has the reference."""
    stale = _all(
        _has_cookie(identity.REFERENCE_COOKIE),
        {
            "not_matcher": _all(_has_cookie(identity.FRESH_COOKIE), _has_cookie(identity.SESSION_COOKIE)),
        },
        {"not_matcher": _header_matches(":path", _pattern(_ASSET))},
    )
    return {"name": name, "typed_config": _matched(stale, then)}


def _matched(predicate: Config, then: Config) -> Config:
    action = {
        "name": "composite-action",
        "typed_config": typed("extensions.filters.http.composite.v3.ExecuteFilterAction", typed_config=then),
    }
    return typed(
        _MATCHED,
        extension_config={"name": "composite", "typed_config": typed("extensions.filters.http.composite.v3.Composite")},
        xds_matcher={"matcher_list": {"matchers": [{"predicate": predicate, "on_match": {"action": action}}]}},
    )


def _has_cookie(name: str) -> Config:
    return _header_matches("cookie", _pattern(rf"(.*[;,]\s*)?{name}=.*"))


def _pattern(regex: str) -> Config:
    return {"safe_regex": {"google_re2": {}, "regex": regex}}


def _header_matches(name: str, value: Config) -> Config:
    header: Config = {
        "name": name,
        "typed_config": typed("type.matcher.v3.HttpRequestHeaderMatchInput", header_name=name),
    }
    return {"single_predicate": {"input": header, "value_match": value}}


def _all(*predicates: Config) -> Config:
    return {"and_matcher": {"predicate": list(predicates)}}


def _any(*predicates: Config) -> Config:
    return {"or_matcher": {"predicate": list(predicates)}}


def _exactly(*names: str) -> Sequence[Config]:
    return [{"exact": name} for name in names]
