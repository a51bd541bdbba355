"""The wheel holds everything: it runs in an empty environment, far from any source tree."""

import email.parser
import json
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import banyan
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.people import Learner
from tests.shipping.installing import ROOT, SOURCES, Installed, copy_of_the_tree, install, uv, wheel_of


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def tree(folder: Path) -> Path:
    """The tree as it is now, so that nobody edits it between two builds."""
    return copy_of_the_tree(folder / "tree")


@pytest.fixture(scope="module")
def built(folder: Path, tree: Path) -> tuple[Path, Path]:
    """(wheel, sdist) as `uv build` makes them: the wheel from the sdist."""
    out = folder / "dist"
    uv("build", "--out-dir", str(out), str(tree))
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(folder: Path, built: tuple[Path, Path]) -> Installed:
    return install(built[0], folder / "venv", "demo")


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_file_of_the_product_is_in_the_wheel(tree: Path, built: tuple[Path, Path]) -> None:
    expected = {
        str(path.relative_to(tree)).replace("src/banyan/", "banyan/").replace("migrations/", "banyan/_migrations/")
        for source in SOURCES
        for path in (tree / source).rglob("*")
        if path.is_file()
    }
    expected = {name for name in expected if not name.startswith("src/")}

    inside = {name for name in contents(built[0]) if ".dist-info/" not in name}

    assert inside == expected
    assert {"banyan/py.typed", "banyan/_migrations/iam/0001_accounts.sql", "old_site/app.py"} <= inside


def test_the_sdist_builds_the_same_wheel_as_the_tree(folder: Path, tree: Path, built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()

    from_tree, from_sdist = wheel_of(tree, folder / "one"), wheel_of(unpacked, folder / "two")

    assert contents(from_tree) == contents(from_sdist) == contents(wheel)


def test_the_package_says_its_version_and_licence(built: tuple[Path, Path], installed: Installed) -> None:
    inside = contents(built[0])
    (name,) = [name for name in inside if name.endswith(".dist-info/METADATA")]
    known = email.parser.BytesParser().parsebytes(inside[name])

    assert known["Version"] == banyan.__version__
    assert known["License-Expression"] == "Apache-2.0"
    assert inside[name.replace("METADATA", "licenses/LICENSE")] == (ROOT / "LICENSE").read_bytes()
    assert known["Requires-Python"] == ">=3.11"
    assert installed.run("-m", "banyan", "--version").stdout.strip() == banyan.__version__


def test_the_command_is_there_in_both_forms(installed: Installed) -> None:
    as_module = installed.run("-m", "banyan", "--help")
    as_script = installed.run(str(installed.folder / "bin" / "banyan"), "--help")

    assert (as_module.returncode, as_script.returncode) == (0, 0)
    assert as_module.stdout == as_script.stdout
    assert "upgrade" in as_module.stdout


def test_an_installed_demo_serves_old_and_new_pages_signs_in_and_enrols(installed: Installed) -> None:
    with banyan_up("--demo", python=installed.python, cwd=installed.elsewhere) as door:
        learner = Learner(door)

        assert "수강신청" in page(door, "/") or "강의" in page(door, "/")
        assert "/_banyan/assets/" in page(door, "/courses")
        assert learner.sign_in("operator@banyan.test") == 204
        assert learner.call("GET", "/_banyan/console", accept="text/html")[0] == 200
        assert learner.enrol_until_told(free_course(door)) == 201
        assert asset_of(page(door, "/courses"), door)
        assert loaded_from_outside(door) == {}


def test_without_the_demos_packages_there_is_everything_but_the_demo(folder: Path, built: tuple[Path, Path]) -> None:
    bare = install(built[0], folder / "bare")
    try:
        with banyan_up("--no-legacy", python=bare.python, cwd=bare.elsewhere) as door:
            assert "/_banyan/assets/" in page(door, "/courses")
            assert Learner(door).sign_up("someone@example.com", "Someone", "a long password") == 201
            assert loaded_from_outside(door) == {}
    finally:
        shutil.rmtree(bare.folder)


def page(door: FrontDoor, path: str) -> str:
    with urllib.request.urlopen(f"{door.url}{path}", timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def asset_of(text: str, door: FrontDoor) -> str:
    """A style sheet that the page asks for."""
    start = text.index("/_banyan/assets/")
    return page(door, text[start : text.index('"', start)])


def free_course(door: FrontDoor) -> str:
    items = json.loads(page(door, "/_banyan/api/v1/courses?limit=100"))["items"]
    return next(str(item["slug"]) for item in items if item["price"] == 0)


def loaded_from_outside(door: FrontDoor) -> dict[str, list[str]]:
    """Files that a process loaded from anywhere but its installation; each process notes them for `--reload`."""
    noted = {path.name: json.loads(path.read_bytes()) for path in (door.data / "run").glob("*.modules.json")}
    assert len(noted) > 6
    return {name: files for name, files in noted.items() if files}
