"""What is in `deploy/` is true: each process, command, option and variable named there exists, and none is missing."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from banyan import cli
from banyan.infra import databases
from banyan.infra.settings import Settings
from banyan.processes import registry
from tests.conftest import need
from tests.shipping.installing import ROOT, Installed, uv

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
GUIDES = (ROOT / "docs/guides/upgrade.md", ROOT / "docs/guides/run-one-process.md")
PROCESSES = {process.name for process in registry.PROCESSES if not process.demo_only}
SERVERS = {process.name for process in registry.SERVERS}
VARIABLES = {known.metadata["variable"] for known in fields(Settings)} | {
    *(f"BANYAN_{name.upper()}_DATABASE_URL" for server in databases.SERVERS for name in server.databases),
    *(f"BANYAN_RELAY_{owner.upper()}_URL" for owner, guests in databases.GUESTS.items() if "relay" in guests),
}


def all_files() -> list[Path]:
    return [path for path in (*DEPLOY.rglob("*"), *GUIDES) if path.is_file()]


@pytest.mark.parametrize("path", all_files(), ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\bBANYAN_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))

    assert named - VARIABLES == set()


@pytest.mark.parametrize("path", all_files(), ids=lambda path: path.name)
def test_every_command_exists_with_its_options(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        for words in commands_in(line):
            check_command(words)


def commands_in(line: str) -> Iterator[list[str]]:
    """The words after `banyan` in each command of a line."""
    for match in re.finditer(
        r"(?:^|[\s`\"])(?:\S*python -m |\.venv/bin/)?banyan ((?:[a-z-]+|--[a-z-]+)[^`\"|;&#]*)", line
    ):
        words = match[1].split()
        if "-m banyan " in match[0] or words[0] in known_commands():
            yield words


def known_commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(cli.app)
    return dict(group.commands)


def check_command(words: list[str]) -> None:
    command: Any = typer.main.get_command(cli.app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0].rstrip(".,)") in options, (command.name, word)
    if command.name == "run" and words and re.fullmatch(r"[a-z-]+", words[0]):
        assert words[0] in PROCESSES | SERVERS | {"envoy", "old-site"}, words


def test_every_process_has_a_unit_and_no_unit_is_without_a_process() -> None:
    wanted = re.findall(r"banyan@([a-z-]+)\.(service|socket)", (UNITS / "banyan.target").read_text())
    services = {name for name, kind in wanted if kind == "service"}
    sockets = {name for name, kind in wanted if kind == "socket"}

    assert services == PROCESSES | SERVERS | {"envoy"}
    assert sockets == PROCESSES


def test_every_process_has_a_container_that_runs_it_and_is_asked_how_it_is() -> None:
    containers = pod()["containers"]

    assert {container["name"] for container in containers} == PROCESSES | {"envoy"}
    for container in containers:
        name = container["name"]
        assert container["args"] == ["run", name]
        asked = container["livenessProbe"]["exec"]["command"]
        assert asked == ["python", "-m", "banyan.processes.ready", name, "--alive"]
        assert ("readinessProbe" in container) == (name == "envoy")
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["resources"]["limits"]["memory"]


def test_a_container_is_told_the_databases_that_it_opens_and_no_other() -> None:
    secrets = {made["metadata"]["name"]: made["stringData"] for made in manifests("Secret")}
    told = {
        container["name"]: {
            variable
            for source in container["envFrom"]
            for variable in secrets.get(source.get("secretRef", {}).get("name"), {})
        }
        for container in pod()["containers"]
    }

    for process in registry.PROCESSES:
        if process.demo_only:
            continue
        reached = {owner.upper() for owner in process.reaches()}
        if process.name == "relay":
            expected = {"BANYAN_BUS_DATABASE_URL", *(f"BANYAN_RELAY_{owner}_URL" for owner in reached - {"BUS"})}
        else:
            expected = {f"BANYAN_{owner}_DATABASE_URL" for owner in reached}
        assert {name for name in told[process.name] if name.endswith("_URL") and "SMTP" not in name} == expected
    assert not told["envoy"]


def test_the_manifests_refer_to_what_is_there() -> None:
    names = {(made["kind"], made["metadata"]["name"]) for made in yaml.safe_load_all(text("kubernetes.yaml"))}
    volumes = {volume["name"] for volume in pod()["volumes"]}

    for container in (*pod()["initContainers"], *pod()["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        for source in container.get("envFrom", ()):
            (kind, reference), *others = source.items()
            assert not others
            assert ({"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind], reference["name"]) in names
    (service,) = manifests("Service")
    labels = manifests("Deployment")[0]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert [port["name"] for port in pod()["containers"][-1]["ports"]] == [service["spec"]["ports"][0]["targetPort"]]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = need("systemd-analyze")
    python = tmp_path / "python"
    python.symlink_to(sys.executable)  # whose own path may have spaces
    for unit in UNITS.glob("banyan*.*"):
        if unit.suffix in (".service", ".socket", ".target"):
            content = unit.read_text().replace("/opt/banyan/current/bin/python", str(python))
            (tmp_path / unit.name).write_text(content)
    shutil.copy(tmp_path / "banyan@.service", tmp_path / "banyan@web.service")
    shutil.copy(tmp_path / "banyan@.socket", tmp_path / "banyan@web.socket")

    done = subprocess.run(
        [analyze, "verify", "--recursive-errors=no", "--man=no", *sorted(map(str, tmp_path.glob("banyan*")))],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )

    ours = [line for line in done.stderr.splitlines() if "banyan" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_image_is_built_from_what_is_locked_and_runs_as_nobody_special() -> None:
    stages = containerfile()
    (build, final) = stages

    assert all(
        re.search(r":\d+\.\d+|\$\{PYTHON_IMAGE\}", instruction[1]) for stage in stages for instruction in stage[:1]
    )
    assert [argument for word, argument in final if word == "USER"] == ["10001:10001"]
    assert all("--from=build" in argument for word, argument in final if word == "COPY")
    assert not [argument for stage in stages for word, argument in stage if word == "ADD"]
    syncs = [argument for word, argument in build if word == "RUN" and "uv sync" in argument]
    assert syncs
    assert all("--frozen" in sync and "--no-dev" in sync for sync in syncs)
    copied = {source for word, argument in build if word == "COPY" for source in argument.split()[:-1]}
    allowed = {line[1:] for line in text("Containerfile.dockerignore").splitlines() if line.startswith("!")}
    assert copied == allowed


def test_the_steps_of_the_image_make_an_installation_that_runs(tmp_path: Path) -> None:
    """Each COPY and `uv sync` of the build, done here: nothing that is not copied may be needed."""
    context, made = tmp_path / "build", tmp_path / "opt"
    context.mkdir()
    for word, argument in containerfile()[0]:
        if word == "COPY":
            *sources, target = argument.split()
            for source in sources:
                copy(ROOT / source, context / (source if target == "./" else target))
        elif word == "RUN" and argument.startswith("uv "):
            arguments = argument.replace("${EXTRAS}", "").split()[1:]
            uv(*arguments, "--python", sys.executable, cwd=context, UV_PROJECT_ENVIRONMENT=str(made))

    shutil.rmtree(context)
    said = Installed(made, tmp_path).run("-m", "banyan.processes.installation")
    assert (said.returncode, '"processes"' in said.stdout) == (0, True), said.stderr


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def containerfile() -> list[list[tuple[str, str]]]:
    """Stages of (instruction, argument)."""
    lines = [line for line in text("Containerfile").splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    instructions = [tuple(line.split(None, 1)) for line in joined.splitlines()]
    begins = [place for place, (word, _) in enumerate(instructions) if word == "FROM"]
    return [instructions[begin:end] for begin, end in zip(begins, [*begins[1:], None], strict=True)]  # type: ignore[misc] # (word, rest) by the split


def manifests(kind: str) -> list[dict[str, Any]]:
    return [made for made in yaml.safe_load_all(text("kubernetes.yaml")) if made["kind"] == kind]


def pod() -> dict[str, Any]:
    (deployment,) = manifests("Deployment")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def text(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")
