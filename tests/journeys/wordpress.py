"""Debian's WordPress as a company runs it (nginx, php-fpm, MariaDB) on a private port and in a folder of its own."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from . import front_door, needs

INSTALLED = Path("/usr/share/wordpress")
THEME = INSTALLED / "wp-content" / "themes" / "twentytwentythree"
CONFIGURATION = Path(__file__).parent / "wordpress_files"
START_SECONDS = 60.0
BOOTSTRAP = (
    "--no-defaults",
    "--innodb-log-file-size=4M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-data-file-path=ibdata1:4M:autoextend",
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=0",
)


@dataclass(frozen=True, slots=True)
class WordPress:
    """A running site. It answers under whatever Host it is asked for."""

    port: int
    folder: Path
    password: str
    user: str = "operator"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def uploads(self) -> Path:
        return self.folder / "site" / "wp-content" / "uploads"

    @property
    def access_log(self) -> str:
        return (self.folder / "run" / "access.log").read_text()


@contextmanager
def running() -> Iterator[WordPress]:
    """A freshly installed WordPress with pretty permalinks; nothing of it is left afterwards."""
    programs = _Programs()
    with ExitStack() as stack:
        # Not pytest's folder: its paths may be too long for the Unix sockets in it.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wp-", ignore_cleanup_errors=True)))
        site = WordPress(port=front_door.free_port(), folder=folder, password=secrets.token_urlsafe(12))
        database_password = secrets.token_hex(12)
        _lay_out(site, database_password)
        _start_database(stack, programs, folder, database_password)
        php = [
            programs.php_fpm,
            "--nodaemonize",
            *_as_root("--allow-to-run-as-root"),
            "-y",
            str(folder / "php-fpm.conf"),
        ]
        _start(stack, folder, "php-fpm", php, ready=(folder / "run" / "php.sock").exists)
        nginx = [programs.nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        _start(stack, folder, "nginx", nginx, ready=lambda: _listens(site.port))
        _install(site)
        yield site


class _Programs:
    """Where the needed programs are; the test is skipped when one is absent."""

    def __init__(self) -> None:
        needs.folder(INSTALLED)
        needs.folder(THEME)
        self.mariadbd = needs.program("mariadbd", "mysqld")
        self.install_database = needs.program("mariadb-install-db")
        self.nginx = needs.program("nginx")
        self.php_fpm = needs.program(*(f"php-fpm{version}" for version in ("8.2", "8.4", "8.3", "8.1", "7.4", "")))
        self.setpriv = needs.program("setpriv")


def _as_root(*arguments: str) -> tuple[str, ...]:
    """Arguments that a server wants before it agrees to run as root. The whole site belongs to one user, this one."""
    return arguments if os.getuid() == 0 else ()


def _lay_out(site: WordPress, database_password: str) -> None:
    root = site.folder / "site"
    # A copy: WordPress looks for its configuration beside its own files, behind symbolic links, too.
    shutil.copytree(INSTALLED, root)
    for folder in (site.folder / "run", site.uploads, root / "wp-content" / "mu-plugins"):
        folder.mkdir()
    values = {
        "@RUN@": str(site.folder / "run"),
        "@SITE@": str(root),
        "@PORT@": str(site.port),
        "@DATABASE_PASSWORD@": database_password,
        "@SALT@": secrets.token_hex(16),
    }
    root_lines = {"nginx.conf": "user root;", "php-fpm.conf": "user = root\ngroup = root"}
    for name, place in (
        ("nginx.conf", site.folder),
        ("php-fpm.conf", site.folder),
        ("wp-config.php", root),
        ("what-php-sees.php", root),
        ("quiet.php", root / "wp-content" / "mu-plugins"),
    ):
        text = (CONFIGURATION / name).read_text()
        for key, value in {**values, "@AS_ROOT@": "".join(_as_root(root_lines.get(name, "")))}.items():
            text = text.replace(key, value)
        (place / name).write_text(text)


def _start_database(stack: ExitStack, programs: _Programs, folder: Path, password: str) -> None:
    data = folder / "mariadb"
    subprocess.run(
        [
            programs.install_database,
            *BOOTSTRAP,
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            *_as_root("--user=root"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    first_statements = folder / "first.sql"
    first_statements.write_text(
        "CREATE DATABASE wordpress CHARACTER SET utf8mb4;\n"
        f"CREATE USER wordpress@localhost IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON wordpress.* TO wordpress@localhost;\n"
    )
    _start(
        stack,
        folder,
        "mariadbd",
        [
            programs.mariadbd,
            *BOOTSTRAP,
            f"--datadir={data}",
            f"--socket={folder}/run/mariadb.sock",
            f"--pid-file={folder}/run/mariadb.pid",
            f"--tmpdir={folder}/run",
            f"--init-file={first_statements}",
            "--skip-networking",
            "--performance-schema=off",
            *_as_root("--user=root"),
        ],
        ready=(folder / "run" / "mariadb.sock").exists,
    )


def _start(stack: ExitStack, folder: Path, name: str, command: list[str], *, ready: Callable[[], bool]) -> None:
    """Start a server that ends with this block, and with the test process if that is killed; wait until it is ready."""
    log_file = folder / f"{name}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [needs.program("setpriv"), "--pdeathsig", "TERM", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    stack.callback(_stop, process)
    end = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{name} does not start:\n{log_file.read_text(errors='replace')}")
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _install(site: WordPress) -> None:
    """Fill in WordPress's own installer, as its owner once did."""
    with httpx.Client(base_url=site.url, timeout=START_SECONDS) as client:
        answer = client.post(
            "/wp-admin/install.php?step=2",
            data={
                "weblog_title": "반얀 강의",
                "user_name": site.user,
                "admin_password": site.password,
                "admin_password2": site.password,
                "pw_weak": "1",
                "admin_email": "operator@banyan.test",
                "blog_public": "1",
            },
        )
    assert "Success!" in answer.text, answer.text


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
