"""Settings: defaults, each refusal in one line, and no secret in sight."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, SettingsError, unknown_variables, variables, without_password

KEY = "k" * 32


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without any setting, to begin with."""
    for name in list(os.environ):
        if name.startswith("BOT4_"):
            monkeypatch.delenv(name)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_defaults_need_no_environment() -> None:
    settings = Settings.from_environment()
    assert settings == Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.data_dir == Path.cwd() / "data"
    assert settings.database_url is settings.redis_url is settings.admin_key is None
    assert settings.feed == "synthetic"
    assert settings.demo is True


def test_every_field_is_read_from_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = tmp_path / "a.gz"
    recording.touch()
    set_all(
        monkeypatch,
        {
            "BOT4_HOST": "0.0.0.0",
            "BOT4_PORT": "0",
            "BOT4_DATA_DIR": str(tmp_path),
            "BOT4_DATABASE_URL": "postgresql://u:p@h:5432/d",
            "BOT4_REDIS_URL": "unix:///run/redis.sock",
            "BOT4_ADMIN_KEY": KEY,
            "BOT4_FEED": f"replay:{recording};speed=2.5",
            "BOT4_MARK_INTERVAL_MS": "50",
            "BOT4_MAX_BODY_BYTES": "2048",
            "BOT4_DEMO": "0",
            "BOT4_MAKER_CHECKER": "1",
            "BOT4_LOG_LEVEL": "debug",
            "BOT4_KERNEL_CACHE": str(tmp_path / "kernels"),
        },
    )
    assert Settings.from_environment() == Settings(
        host="0.0.0.0",
        port=0,
        data_dir=tmp_path,
        database_url="postgresql://u:p@h:5432/d",
        redis_url="unix:///run/redis.sock",
        admin_key=KEY,
        feed=f"replay:{recording};speed=2.5",
        mark_interval_ms=50,
        max_body_bytes=2048,
        demo=False,
        maker_checker=True,
        log_level="DEBUG",
        kernel_cache=tmp_path / "kernels",
    )


@pytest.mark.parametrize("nothing", ["", " "])
def test_a_variable_set_to_nothing_is_not_set(nothing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {variable.name: nothing for variable in variables()})
    assert Settings.from_environment() == Settings()


def test_only_from_environment_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"BOT4_PORT": "1", "BOT4_FEED": "none"})
    assert (Settings().port, Settings(port=2).port, Settings(port=2).feed) == (8000, 2, "synthetic")
    assert Settings.from_environment() == Settings(port=1, feed="none")


def test_names_of_variables_have_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"PORT": "1", "port": "1", "HOST": "elsewhere", "BOT4PORT": "1"})
    assert Settings.from_environment() == Settings()


def test_small_letters_are_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT4_Port", "1")
    assert Settings.from_environment() == Settings(port=1)
    assert unknown_variables() == []


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT4_ALLOWED_ORIGINS", "https://a.example, HTTP://b.example:81/")
    origins = Settings.from_environment().allowed_origins
    assert origins == frozenset({"https://a.example", "http://b.example:81"})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("BOT4_HOST", "a b", "address"),
        ("BOT4_PORT", "65536", "0 to 65535"),
        ("BOT4_PORT", "-1", "0 to 65535"),
        ("BOT4_PORT", "tcp://10.0.0.1:8000", "0 to 65535"),
        ("BOT4_PORT", "١٢", "0 to 65535"),
        ("BOT4_DATA_DIR", __file__, "a folder"),
        ("BOT4_DATA_DIR", "~nobody-has-this-name/data", "home folder"),
        ("BOT4_FEED", "replay:~nobody-has-this-name/a.gz", "home folder"),
        ("BOT4_FEED", "bitmex", "synthetic"),
        ("BOT4_FEED", "replay:", "synthetic"),
        ("BOT4_FEED", "replay:/no/such/file.gz", "/no/such/file.gz"),
        ("BOT4_FEED", f"replay:{__file__};speed=0", "speed=N"),
        ("BOT4_FEED", f"replay:{__file__};loop=1", "speed=N"),
        ("BOT4_PORT", "8_0", "0 to 65535"),
        ("BOT4_PORT", "80.0", "0 to 65535"),
        ("BOT4_ALLOWED_ORIGINS", "ftp://a.example", "https://"),
        ("BOT4_MARK_INTERVAL_MS", "0", "1 to 60000"),
        ("BOT4_MAX_BODY_BYTES", "1e6", "1024 to"),
        ("BOT4_DEMO", "yes", "0 or 1"),
        ("BOT4_LOG_LEVEL", "LOUD", "WARNING"),
    ],
)
def test_a_refusal_names_variable_value_and_what_is_allowed(
    name: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment()
    message = str(caught.value)
    assert name in message and value in message and allowed in message
    assert "\n" not in message


def test_all_bad_settings_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(
        monkeypatch,
        {"BOT4_PORT": "http", "BOT4_DEMO": "yes", "BOT4_ADMIN_KEY": "hunter2", "BOT4_HOST": "127.0.0.1"},
    )
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment()
    assert str(caught.value).splitlines() == [
        "BOT4_PORT='http' is not allowed: it takes a whole number from 0 to 65535",
        "BOT4_ADMIN_KEY is not allowed: it takes 24 to 256 printable ASCII characters without blanks",
        "BOT4_DEMO='yes' is not allowed: it takes 0 or 1",
    ]


def test_arguments_are_checked_as_variables_are() -> None:
    with pytest.raises(ValidationError, match="0 to 65535"):
        Settings(port=65536)
    with pytest.raises(ValidationError, match="prot"):
        Settings.model_validate({"prot": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOT4_DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("BOT4_DATABASE_URL", "postgresql://u:hunter2@h:99999999/d"),
        ("BOT4_REDIS_URL", "http://:hunter2@h"),
        ("BOT4_ADMIN_KEY", "hunter2"),
        ("BOT4_ADMIN_KEY", "hunter2 " * 8),
    ],
)
def test_secrets_are_not_shown_even_when_they_are_wrong(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment()
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name.removeprefix("BOT4_").lower(): value})
    assert "hunter2" not in str(refused.value)


def test_secrets_are_not_in_repr() -> None:
    shown = repr(
        Settings(admin_key=KEY, database_url="postgresql://u:hunter2@h/d", redis_url="redis://:hunter2@h")
    )
    assert KEY not in shown
    assert "hunter2" not in shown


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


def test_misspelt_variables_are_found() -> None:
    environment = {"BOT4_PROT": "1", "BOT4_PORT": "1", "BOT4_TEST_DATABASE_URL": "x", "PATH": "/bin"}
    assert unknown_variables(environment) == ["BOT4_PROT"]


def test_every_setting_is_explained_once() -> None:
    listed = list(variables())
    assert len({variable.name for variable in listed}) == len(listed)
    assert all(variable.meaning for variable in listed)
    assert {variable.name for variable in listed if variable.secret} == {
        "BOT4_DATABASE_URL",
        "BOT4_REDIS_URL",
        "BOT4_ADMIN_KEY",
    }


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h:5432/d?password=hunter2", "postgresql://u@h:5432/d"),
        ("redis://:hunter2@h:6379/0", "redis://@h:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_urls_are_shown_without_their_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
