"""What the gateway and the services agree on about who is asking: cookies, headers, roles, permissions.

A token is a JWT (ES256, issuer and audience below, 60 minutes) with `sub` (account id), `sid` (session id), `name`,
`roles` (comma-separated, because Envoy copies claims as text) and `locale`.
"""

from enum import StrEnum

ISSUER = "banyan-iam"
AUDIENCE = "banyan"

SESSION_COOKIE = "banyan_session"  # the token; Envoy verifies it alone
FRESH_COOKIE = "banyan_fresh"  # five minutes; while it is there, nobody asks iam
REFERENCE_COOKIE = "banyan_ref"  # opaque, 30 days: the session's reference in iam
DEVICE_COOKIE = "banyan_device"  # a year: this browser has signed in before, so strangers cannot lock it out

# A link to choose a password ends with its token; under /_banyan, because /reset may be the old site's.
RESET_PATH = "/_banyan/reset/"

USER_HEADER = "x-banyan-user"
ROLES_HEADER = "x-banyan-roles"
SESSION_HEADER = "x-banyan-session"
# iam's fresh token, for this one request.
TOKEN_HEADER = "x-banyan-token"  # noqa: S105 # the name of a header
GONE_HEADER = "x-banyan-gone"  # iam: this session is over


class Role(StrEnum):
    LEARNER = "learner"
    INSTRUCTOR = "instructor"
    ADMIN = "admin"
    OPERATOR = "operator"


class Permission(StrEnum):
    """`owner.thing.verb`. What no role is given here, nobody may."""

    OWN_ACCOUNT = "iam.account.use-own"
    ENROL = "learning.course.enrol"
    LEARN = "learning.lesson.take"
    OPERATE = "gateway.console.use"
    SEE_PERSONAL_DATA = "iam.personal-data.see"


_EVERYBODY = frozenset({Permission.OWN_ACCOUNT, Permission.ENROL, Permission.LEARN})

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.LEARNER: _EVERYBODY,
    Role.INSTRUCTOR: _EVERYBODY,
    Role.ADMIN: _EVERYBODY | {Permission.SEE_PERSONAL_DATA},
    Role.OPERATOR: _EVERYBODY | {Permission.OPERATE},
}
