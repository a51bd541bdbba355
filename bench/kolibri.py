"""Kolibri from PyPI in an environment of its own, with one course to read by its REST API."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import servers

INSTALL_SECONDS = 150.0
COMMAND_SECONDS = 90.0
PATIENCE = 60.0
SECTIONS, LESSONS = 4, 5
_PASSWORD = "banyan-demo"

# The rows that importing a channel leaves behind, by Kolibri's own models: a course of some sections with some videos.
_COURSE = f"""
import uuid
from kolibri.core.content.models import ChannelMetadata, ContentNode, File, LocalFile
new = lambda: uuid.uuid4().hex
channel = new()
def node(title, kind, parent, place):
    return ContentNode.objects.create(id=new(), content_id=new(), channel_id=channel, title=title, kind=kind,
        parent=parent, available=True, description=title, sort_order=place, options={{}}, on_device_resources=1)
with ContentNode.objects.disable_mptt_updates():
    root = node("Course", "topic", None, 0)
    for s in range({SECTIONS}):
        section = node(f"Section {{s}}", "topic", root, s)
        for l in range({LESSONS}):
            lesson = node(f"Lesson {{l}}", "video", section, l)
            local = LocalFile.objects.create(id=new(), extension="mp4", available=True, file_size=1000)
            File.objects.create(id=new(), local_file=local, contentnode=lesson, preset="high_res_video")
ContentNode.objects.rebuild()
ChannelMetadata.objects.create(id=channel, name="Course", min_schema_version="5", root_id=root.id, version=1)
print("course", root.id)
"""


@dataclass(frozen=True, slots=True)
class Kolibri:
    """`url` is the course in its REST API."""

    pid: int
    version: str
    url: str
    about: str


@contextmanager
def running(folder: Path) -> Iterator[Kolibri]:
    """Install, provision, fill and start it. Raises Missing where that cannot be done here."""
    folder.mkdir(parents=True)
    program = _install(folder)
    port, other = servers.free_port(), servers.free_port()
    environ = ["env", f"KOLIBRI_HOME={folder / 'home'}", "KOLIBRI_LISTEN_ADDRESS=127.0.0.1", "KOLIBRI_DISABLE_PING=1"]
    command = [*environ, str(program)]
    account = ["--superusername", "bench", "--superuserpassword", _PASSWORD, "--language_id", "en", "--noinput"]
    _say(*command, "manage", "provisiondevice", "--facility", "Bench", "--preset", "nonformal", *account)
    said = _say(*command, "manage", "shell", "--", "-c", _COURSE)
    course = said.rpartition("course ")[2].split()[0]
    version = _say(*command, "--version").split()[-1]
    start = [*command, "start", "--foreground", "--port", str(port), "--zip-port", str(other)]
    url = f"http://127.0.0.1:{port}"
    with servers.running(start, log=folder / "log", ready=lambda: _answers(url), patience=PATIENCE) as pid:
        read = f"{url}/api/content/contentnode_tree/{course}/"
        with urllib.request.urlopen(read, timeout=20) as answer:
            whole = answer.read()
        sections = json.loads(whole)["children"]["results"]
        if len(sections) != SECTIONS or len(sections[0]["children"]["results"]) != LESSONS:
            raise RuntimeError(f"Kolibri's course is not as it was made: {whole[:300]!r}")
        yield Kolibri(pid, version, read, _about(version, len(whole)))


def _about(version: str, length: int) -> str:
    return (
        f"The peer is Kolibri {version} from PyPI as `kolibri start` serves it (one process, SQLite), asked directly:"
        f" one course of {SECTIONS} sections with {LESSONS} videos each, `GET /api/content/contentnode_tree/ID/`"
        f" ({length / 1024:.0f} KiB), for which Kolibri looks at no session. The course was written"
        " by Kolibri's own models, as importing a channel would. Kolibri keeps its answers by their addresses:"
        " *from its cache* is the same address again, *made anew* another query string each time; Banyan keeps none."
    )


def _install(folder: Path) -> Path:
    python = folder / "venv/bin/python"
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, capture_output=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "kolibri"]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise servers.Missing(f"pip did not install it within {INSTALL_SECONDS:.0f} s") from None
    except subprocess.CalledProcessError as fault:
        raise servers.Missing(f"pip cannot install it: {_last_words(fault.stderr)}") from None
    return python.with_name("kolibri")


def _say(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if done.returncode:
        raise servers.Missing(f"its command {command[-1]} fails: {_last_words(done.stderr)}")
    return done.stdout


def _last_words(said: object) -> str:
    return " ".join(str(said).split())[-200:]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/public/info/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # also every answer that is no 2xx
        time.sleep(0.2)
        return False
