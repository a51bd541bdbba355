"""`docs/settings.md`: every setting with its default, from the one file that reads them."""

import dataclasses

from banyan.infra.settings import Settings


def page() -> str:
    lines = [
        "# Settings",
        "",
        "Generated from `src/banyan/infra/settings/fields.py`; `make fresh` writes it anew. Settings are environment",
        "variables; options of `banyan up` win over them. Durations are seconds.",
        "",
        "| variable | default | what it is for |",
        "|---|---|---|",
    ]
    for known in dataclasses.fields(Settings):
        default = f"`{int(known.default) if isinstance(known.default, bool) else known.default}`"
        shown = "" if known.default == "" else default
        lines.append(f"| `{known.metadata['variable']}` | {shown} | {known.metadata['doc']} |")
    lines += [
        "| `BANYAN_<CONTEXT>_DATABASE_URL` | | `postgresql://...` of a database that somebody else runs, for one "
        "context (`GATEWAY`, `LEARNING`). A server whose contexts are all elsewhere is not started. |",
        "| `BANYAN_RELAY_<OWNER>_URL` | | `postgresql://...` of a context's database (`IAM`, `LEARNING`) with a role "
        "that may do no more than the relay must: `SELECT` on `event`, `SELECT, DELETE` on `outbox`, "
        "`SELECT, INSERT, UPDATE` on `relay_rest`. |",
        "",
    ]
    return "\n".join(lines)
