"""`docs/reference/cli.md`: every command with its arguments and options, from the commands themselves."""

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from banyan.cli import app

_KINDS: dict[object, str] = {int: "NUMBER", float: "NUMBER", Path: "PATH"}


def page() -> str:
    root = typer.main.get_command(app)
    commands = list(_commands(root, ("banyan",)))
    lines = [
        "# Commands",
        "",
        "Generated from `src/banyan/cli/`; `make fresh` writes it anew. In a clone the command is",
        "`.venv/bin/python -m banyan`; where Banyan was installed as a package it is `banyan`. Every command says",
        "this about itself with `--help`.",
        "",
        "| command | does |",
        "|---|---|",
        *(f"| [`{' '.join(path)}`](#{_anchor(path)}) | {_cell(_sentence(command))} |" for path, command in commands),
        "",
    ]
    for path, command in commands:
        lines += [f"## `{' '.join(path)}`", "", *_about(path, command), ""]
    return "\n".join(lines)


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The commands that do something, in the order in which `--help` lists them."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        if not inner.hidden:
            yield from _commands(inner, (*path, name))


def _about(path: tuple[str, ...], command: Any) -> list[str]:
    shown = [known for known in command.params if not known.hidden]
    arguments = [known for known in shown if not _is_option(known)]
    options = [known for known in shown if _is_option(known)]
    usage = " ".join([*path, *map(_placeholder, arguments), *(["[OPTIONS]"] if options else [])])
    rows = [(f"`{_bare(known)}`", known) for known in arguments] + [(_names(known), known) for known in options]
    table = [f"| {name} | {_cell(known.help or '')} | {_default(known)} |" for name, known in rows]
    head = ["", "| | | default |", "|---|---|---|"] if table else []
    return [_prose(command), "", "```text", usage, "```", *head, *table]


def _is_option(known: Any) -> bool:
    return bool(known.opts[0].startswith("-"))


def _prose(command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    return "\n\n".join(re.sub(r"\s+", " ", part) for part in text.split("\n\n"))


def _sentence(command: Any) -> str:
    return _prose(command).split("\n\n")[0]


def _placeholder(argument: Any) -> str:
    name = _bare(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _bare(argument: Any) -> str:
    return str(argument.metavar or argument.name).strip("[]").removesuffix("...").upper()


def _names(option: Any) -> str:
    spelled = ", ".join([*option.opts, *option.secondary_opts])
    return f"`{spelled}{'' if option.is_flag else ' ' + _kind(option)}`".replace("|", "\\|")


def _kind(option: Any) -> str:
    kind = option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return str(option.metavar or _KINDS.get(kind, "TEXT"))


def _default(known: Any) -> str:
    if known.required:
        return "required"
    value = known.show_default if isinstance(known.show_default, str) else known.default
    nothing = value is None or callable(value) or value is False or value in ("", [], ())
    variable = f"`{known.envvar}`" if isinstance(known.envvar, str) else ""
    return ", or ".join(part for part in (variable, "" if nothing else f"`{_value(value)}`") if part)


def _value(value: object) -> str:
    return str(getattr(value, "value", value))


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _anchor(path: tuple[str, ...]) -> str:
    return "-".join(path)
