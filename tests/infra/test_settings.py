"""Settings: what is read, what is refused, where sockets go."""

from pathlib import Path

import pytest

from banyan.infra.settings import SettingError, Settings


def test_settings_survive_the_way_to_a_child_process() -> None:
    settings = Settings.read({"BANYAN_PORT": "9000", "BANYAN_DEMO": "1", "BANYAN_DATA": "/tmp/x", "OTHER": "1"})

    assert Settings.read(settings.environ()) == settings


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"BANYAN_PORT": "http"}, "BANYAN_PORT"),
        ({"BANYAN_PORT": "70000"}, "1 to 65535"),
        ({"BANYAN_LEGACY_TIMEOUT_SECONDS": "-1"}, "0 or more"),
        ({"BANYAN_LEGACY_TIMEOUT_SECONDS": "nan"}, "0 or more"),
        ({"BANYAN_DEMO": "yes"}, "0 or 1"),
        ({"BANYAN_LEGACY_URL": "old.example"}, "http(s)://host"),
        ({"BANYAN_LEGACY_URL": "ftp://old.example"}, "http(s)://host"),
        ({"BANYAN_LEGACY_URL": "http://old.example/path"}, "no path"),
        ({"BANYAN_LEGACY_URL": "http://old.example:port"}, "http(s)://host"),
        ({"BANYAN_LEGACY_URL": "http://old.example", "BANYAN_NO_LEGACY": "1"}, "exclude each other"),
        ({"BANYAN_PUBLIC_URL": "learn.example"}, "BANYAN_PUBLIC_URL"),
        ({"BANYAN_ACCESS_LOG": "some"}, "all, errors or off"),
        ({"BANYAN_TLS_CERT": "/x.pem"}, "BANYAN_TLS_KEY"),
        ({"BANYAN_DEMO": "1", "BANYAN_HOST": "0.0.0.0"}, "loopback"),
        ({"BANYAN_DEMO": "1", "BANYAN_LEGACY_URL": "http://127.0.0.1.example"}, "loopback"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingError, match=says.replace("(", r"\(").replace(")", r"\)")):
        Settings.read(environ)


def test_sockets_fit_their_107_bytes_however_long_the_data_folder_is(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a folder with a long name"] * 12)
    settings = Settings.read({"BANYAN_DATA": str(deep)})
    settings.make_folders()
    try:
        assert len(str(settings.run / "pg" / ".s.PGSQL.5501.lock")) < 107
        assert len(str(settings.socket("envoy-admin"))) < 107
        assert settings.run.stat().st_mode & 0o077 == 0
    finally:
        settings.run.rmdir()


def test_a_run_folder_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path / "data")})
    settings.data.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    settings.run.symlink_to(elsewhere)  # what another user could plant in a shared /tmp

    with pytest.raises(SettingError, match="belongs to somebody else"):
        settings.make_folders()
