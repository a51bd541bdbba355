"""The old site in this process, on a database file of its own."""

import importlib
import os

import pytest

from banyan.demo import catalogue


@pytest.fixture(scope="session")
def old_app(tmp_path_factory):
    os.environ["OLD_SITE_DB"] = str(tmp_path_factory.mktemp("old-site") / "old.sqlite")
    module = importlib.import_module("old_site.app")
    module.setup()  # nothing to do unless somebody imported it before us
    return module.app


@pytest.fixture
def visitor(old_app, monkeypatch):
    monkeypatch.delenv("OLD_SITE_TRUST_BANYAN", raising=False)
    return old_app.test_client()


@pytest.fixture
def sign_in(visitor):
    def sign_in(name):
        form = {"userid": f"{name}@banyan.test", "passwd": catalogue.PASSWORD, "url": "/mypage"}
        answer = visitor.post("/login", data=form)
        assert answer.status_code == 302
        return visitor

    return sign_in


@pytest.fixture(scope="session")
def courses():
    return catalogue.courses()


@pytest.fixture(scope="session")
def free_course(courses):
    """One of the last, because the counts of the first ones are compared."""
    return next(course for course in reversed(courses) if course.price == 0)


@pytest.fixture(scope="session")
def paid_course(courses):
    return next(course for course in courses if course.price > 0)
