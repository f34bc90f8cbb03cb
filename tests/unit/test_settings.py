"""Settings: defaults, each refusal in one line, and no secret in sight."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, unknown_variables, variables, without_password

KEY = "k" * 32


def test_defaults_need_no_environment() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.data_dir == Path.cwd() / "data"
    assert settings.database_url is settings.redis_url is settings.admin_key is None
    assert settings.feed == "synthetic"
    assert settings.demo is True


def test_every_field_is_read_from_its_variable(tmp_path: Path) -> None:
    recording = tmp_path / "a.gz"
    recording.touch()
    settings = Settings.from_environment(
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
        }
    )
    assert settings == Settings(
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


def test_a_variable_set_to_nothing_is_not_set() -> None:
    blank = {variable.name: " " for variable in variables()}
    assert Settings.from_environment(blank) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("BOT4_HOST", "a b", "address"),
        ("BOT4_PORT", "65536", "0 to 65535"),
        ("BOT4_PORT", "-1", "0 to 65535"),
        ("BOT4_PORT", "tcp://10.0.0.1:8000", "0 to 65535"),
        ("BOT4_PORT", "١٢", "0 to 65535"),
        ("BOT4_DATA_DIR", __file__, "a folder"),
        ("BOT4_FEED", "bitmex", "synthetic"),
        ("BOT4_FEED", "replay:", "synthetic"),
        ("BOT4_FEED", "replay:/no/such/file.gz", "/no/such/file.gz"),
        ("BOT4_FEED", f"replay:{__file__};speed=0", "speed=N"),
        ("BOT4_FEED", f"replay:{__file__};loop=1", "speed=N"),
        ("BOT4_MARK_INTERVAL_MS", "0", "1 to 60000"),
        ("BOT4_MAX_BODY_BYTES", "1e6", "1024 to"),
        ("BOT4_DEMO", "yes", "0 or 1"),
        ("BOT4_LOG_LEVEL", "LOUD", "WARNING"),
    ],
)
def test_a_refusal_names_variable_value_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})
    message = str(caught.value)
    assert name in message and value in message and allowed in message
    assert "\n" not in message


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
def test_secrets_are_not_shown_even_when_they_are_wrong(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_in_repr() -> None:
    shown = repr(
        Settings(admin_key=KEY, database_url="postgresql://u:hunter2@h/d", redis_url="redis://:hunter2@h")
    )
    assert KEY not in shown
    assert "hunter2" not in shown


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


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
