"""`docs/reference/permissions.md`: which role may do what, from the one table that decides it."""

from banyan.contracts.identity import GRANTS, Permission, Role


def page() -> str:
    lines = [
        "# Permissions",
        "",
        "Generated from `src/banyan/contracts/identity.py`; `make fresh` writes it anew. An account has one role or",
        "more; a permission that none of them is given is denied. Every process checks by itself, whatever stands",
        "before it, and `tests/architecture/test_permission_matrix.py` tries every endpoint as everybody.",
        "",
        f"| permission | {' | '.join(role.value for role in Role)} |",
        f"|---|{'|'.join(':-:' for _ in Role)}|",
        *(
            f"| `{permission.value}` | {' | '.join('yes' if permission in GRANTS[role] else '' for role in Role)} |"
            for permission in Permission
        ),
        "",
        "`banyan iam set-roles EMAIL ROLE...` gives an account exactly these roles; its sessions end, so that it signs",
        "in with them. The first operator is made by `banyan iam create-operator EMAIL`.",
        "",
    ]
    return "\n".join(lines)
