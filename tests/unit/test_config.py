"""The configuration: sources and their order, paths, and messages that help without showing a password."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from sqlalchemy import make_url

from daemon.config import KEYS, Settings, load_settings, reference_table, safe_url, variable_name
from daemon.errors import ConfigError, DatabaseUnavailable, TransientError
from handlers.errors import StockgripError

ROOT = Path(__file__).parents[2]
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str, name: str = "config.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def refusal(path: Path | None = None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ or {})
    assert caught.value.__cause__ is None
    assert (
        caught.value.__suppress_context__ or caught.value.__context__ is None
    )  # a chain would show the input
    return str(caught.value)


class TestSources:
    def test_no_file_no_variables_gives_the_defaults_from_the_current_folder(self, tmp_path):
        settings = load_settings(None, {})
        assert settings == Settings(data_dir=tmp_path / "data")
        assert settings.database_url == f"sqlite:///{tmp_path}/data/stockgrip.db"

    def test_config_yaml_in_the_current_folder_is_read(self, tmp_path):
        written(tmp_path, "timezone: Europe/Berlin\nsettle: {quiet_seconds: 0}\n")
        settings = load_settings(None, {})
        assert settings.timezone == "Europe/Berlin"
        assert settings.settle.quiet_seconds == 0
        assert settings.settle.scan_seconds == 30.0

    @pytest.mark.parametrize(
        "text", ["", "# nothing\n", "settle:\n", "feeds:\n  sales:\n", "\ufefftimezone: UTC\n"]
    )
    def test_an_empty_file_or_section_means_the_defaults(self, tmp_path, text):
        written(tmp_path, text)
        assert load_settings(None, {}) == Settings(data_dir=tmp_path / "data")

    def test_a_variable_goes_before_the_file_and_leaves_its_neighbours(self, tmp_path):
        file = written(tmp_path, "settle: {quiet_seconds: 5, grace_seconds: 7}\nlog: {level: debug}\n")
        settings = load_settings(file, {"STOCKGRIP_SETTLE__QUIET_SECONDS": "0.5", "HOME": "/nowhere"})
        assert (settings.settle.quiet_seconds, settings.settle.grace_seconds) == (0.5, 7)
        assert settings.log.level == "debug"

    def test_lists_and_sections_are_json_in_variables(self):
        settings = load_settings(
            None,
            {
                "STOCKGRIP_SETTLE__TEMPORARY_NAMES": '["*.up"]',
                "STOCKGRIP_FEEDS__SALES__PATTERNS": r'["till_(?P<date>\\d{8})"]',
                "STOCKGRIP_FEEDS__SALES__RETURNS": "accept",
                "STOCKGRIP_RETRY": '{"attempts": 3, "max_seconds": 2}',
                "STOCKGRIP_RETRY__MAX_SECONDS": "4",
            },
        )
        assert settings.settle.temporary_names == ("*.up",)
        assert settings.feeds.sales.patterns == (r"till_(?P<date>\d{8})",)
        assert settings.feeds.sales.returns == "accept"
        assert settings.feeds.demand.patterns == Settings().feeds.demand.patterns
        assert (settings.retry.attempts, settings.retry.max_seconds) == (3, 4)

    def test_each_key_can_be_set_by_its_variable(self):
        changed = {
            "data_dir": "/srv/x",
            "timezone": "Asia/Tokyo",
            "database.url": "sqlite:////srv/x.db",
            "settle.ready_on": "close",
            "settle.watch": "poll",
            "settle.temporary_names": '["*.x"]',
            "limits.max_reject_share": "0.5",
            "feeds.sales.returns": "accept",
            "log.level": "error",
            "log.format": "json",
            "retry.initial_seconds": "3",
            "quality.enabled": "false",
            "quality.country": "US",
            "quality.subdivision": "CA",
            "quality.closed_days": '["2025-12-25"]',
            **{f"quality.{feed}.expected": '["source:north"]' for feed in ("sales", "inventory", "demand")},
            **{f"quality.{feed}.calendar": '[{"due": "07:00"}]' for feed in ("sales", "inventory", "demand")},
            "quality.thresholds.completeness_pass": "0.99",
            "quality.thresholds.accuracy_pass": "0.99",
            "quality.thresholds.consistency_pass": "0.99",
            **{
                f"quality.thresholds.{name}": "0.92"
                for name in (
                    "completeness_warning",
                    "completeness_resolved",
                    "accuracy_warning",
                    "consistency_warning",
                )
            },
            "quality.thresholds.delay_warning_hours": "72",
            "quality.thresholds.anomaly_info": "2.5",
            "backup.before_migration": "false",
            "retention.metrics_days": "500",
            "workflow.at": "03:00",
            **{
                f"workflow.{step}_enabled": "false"
                for step in (
                    *("feature_engineering", "quality_check", "retention"),
                    *("backup", "report", "notification"),
                )
            },
            "alerts.log": "false",
            "alerts.digest_at": "17:00",
            "alerts.mail.security": "tls",
            "alerts.mail.sender": "a@example.org",
            "alerts.mail.to": '["b@example.org"]',
            "alerts.mail.password_env": "MAIL_PASSWORD",
            "alerts.webhook.secret_env": "HOOK_KEY",
            "alerts.webhook.url": "https://example.org/hook",
            "health.listen": "127.0.0.1:9464",
            "outbox.enabled": "true",
        }
        needed = {
            "quality.subdivision": {"STOCKGRIP_QUALITY__COUNTRY": "US"},
            "alerts.mail.host": {
                "STOCKGRIP_ALERTS__MAIL__SENDER": "a@example.org",
                "STOCKGRIP_ALERTS__MAIL__TO": '["b@example.org"]',
            },
        }
        for key, field in KEYS.items():
            value = changed.get(key) or (
                '["x"]'
                if "patterns" in key
                else "cp1252"
                if "encoding" in key
                else "any [marker, manifest]"
                if "complete_when" in key
                else "0.25"
                if "share" in key
                else "17"
            )
            settings = load_settings(None, {variable_name(key): value, **needed.get(key, {})})
            for part in key.split("."):
                settings = getattr(settings, part)
            assert settings != field.default, key

    def test_the_process_environment_is_read_only_by_load_settings(self, monkeypatch):
        monkeypatch.setenv("STOCKGRIP_TIMEZONE", "Asia/Tokyo")
        assert Settings().timezone == "UTC"
        assert load_settings().timezone == "Asia/Tokyo"

    def test_settings_cannot_be_changed(self):
        settings = load_settings(None, {})
        for target, name in (
            (settings, "timezone"),
            (settings.settle, "quiet_seconds"),
            (settings.feeds, "sales"),
        ):
            with pytest.raises(ValidationError):
                setattr(target, name, getattr(target, name))
        assert hash(settings) == hash(load_settings(None, {}))
        assert pickle.loads(pickle.dumps(settings)) == settings


class TestPaths:
    @pytest.mark.parametrize(
        "environ", [{}, {"STOCKGRIP_DATA_DIR": "shop", "STOCKGRIP_DATABASE__URL": "sqlite:///db/x.db"}]
    )
    def test_relative_paths_are_meant_from_the_folder_of_the_file(self, tmp_path, environ):
        written(tmp_path, "data_dir: shop\ndatabase: {url: 'sqlite:///db/x.db'}\n", "etc/my.yaml")
        settings = load_settings(Path("etc/my.yaml"), environ)
        assert settings.data_dir == tmp_path / "etc/shop"
        assert settings.database_url == f"sqlite:///{tmp_path}/etc/db/x.db"

    def test_absolute_paths_stay(self, tmp_path):
        file = written(
            tmp_path, "data_dir: /srv/shop\ndatabase: {url: 'sqlite:////srv/x.db'}\n", "etc/my.yaml"
        )
        settings = load_settings(file, {})
        assert settings.data_dir == Path("/srv/shop")
        assert settings.database_url == "sqlite:////srv/x.db"

    @pytest.mark.parametrize("folder", ["100%41", "what?", "with blank", "größe#1"])
    def test_sqlalchemy_reads_the_default_url_back_as_the_very_path(self, tmp_path, folder):
        for url in ("null", "sqlite:///data/stockgrip.db"):
            file = written(tmp_path / folder, f"database: {{url: {url}}}\n")
            settings = load_settings(file, {})
            assert make_url(settings.database_url).database == f"{tmp_path}/{folder}/data/stockgrip.db"

    @pytest.mark.parametrize("value", ["", "~/data", "a\0b"])
    def test_a_data_dir_that_is_no_plain_folder_is_refused(self, value):
        assert "STOCKGRIP_DATA_DIR: data_dir: received" in refusal(None, {"STOCKGRIP_DATA_DIR": value})


class TestFile:
    def test_a_named_file_that_is_missing_is_an_error(self, tmp_path):
        message = refusal(Path("nowhere.yaml"))
        assert f"{tmp_path}/nowhere.yaml: cannot be read (No such file or directory)" in message
        assert "--config" in message

    def test_a_dangling_link_is_not_taken_for_no_file(self, tmp_path):
        (tmp_path / "config.yaml").symlink_to("gone.yaml")
        assert "cannot be read" in refusal()

    def test_a_folder_is_no_file(self, tmp_path):
        assert "cannot be read" in refusal(tmp_path)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("timezone: UTC\nsettle: {quiet\nlog: 1\n", "line 3: is no valid YAML"),
            ("a: b: c\n", "line 1: is no valid YAML"),
            ("a: *b\n", "line 1: is no valid YAML"),
            ("a: !!python/object:os.system x\n", "line 1: is no valid YAML"),
            ("timezone: 2024-13-45\n", "is no valid YAML: month must be in 1..12"),
            ("a: \x07\n", "is no valid YAML"),
            ("--- {}\n--- {}\n", "line 2: is no valid YAML"),
            ("- a\n", "holds a list, must be keys with values"),
            ("just words\n", "holds a str, must be keys with values"),
            ("log: {level: info}\n\nlog: {format: json}\n", "line 3: log stands in line 1 already"),
            (
                "settle:\n  quiet_seconds: 1\n  quiet_seconds: 2\n",
                "line 3: settle.quiet_seconds stands in line 2",
            ),
        ],
    )
    def test_broken_yaml_is_named_with_its_line(self, tmp_path, text, said):
        file = written(tmp_path, text)
        message = refusal()
        assert message.startswith(str(file))
        assert said in message

    def test_a_file_in_another_encoding_is_refused(self, tmp_path):
        (tmp_path / "config.yaml").write_bytes(b"data_dir: gr\xf6\xdfe\n")
        assert "config.yaml: is no UTF-8 at byte 12" in refusal()


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("datadir: x\n", "line 1: unknown key datadir; did you mean data_dir?"),
            (
                "log:\n  level: info\n  fromat: json\n",
                "line 3: unknown key log.fromat; did you mean log.format?",
            ),
            (
                "settle: {quiet-seconds: 1}\n",
                "unknown key settle.quiet-seconds; did you mean settle.quiet_seconds?",
            ),
            ("quiet_seconds: 1\n", "unknown key quiet_seconds; did you mean settle.quiet_seconds?"),
            ("url: x\n", "unknown key url; did you mean database.url?"),
            ("feeds: {sale: {}}\n", "unknown key feeds.sale; did you mean feeds.sales?"),
            ("feeds: {demand: {returns: accept}}\n", "unknown key feeds.demand.returns; did you mean"),
            ("settle.quiet_seconds: 1\n", "sections are nested: write settle: and below it quiet_seconds:"),
            ("_env_file: x\n", "unknown key _env_file"),
            ("1: x\n", "unknown key 1;"),
        ],
    )
    def test_in_the_file(self, tmp_path, text, said):
        file = written(tmp_path, text)
        message = refusal()
        assert str(file) in message
        assert said in message

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("STOCKGRIP_DATABASE_URL", "STOCKGRIP_DATABASE__URL"),
            ("STOCKGRIP_TIME_ZONE", "STOCKGRIP_TIMEZONE"),
            ("STOCKGRIP_QUIET_SECONDS", "STOCKGRIP_SETTLE__QUIET_SECONDS"),
            ("STOCKGRIP_DATABASE__URL__X", "STOCKGRIP_DATABASE__URL"),
            ("STOCKGRIP_", "STOCKGRIP_"),
            ("stockgrip_data", "STOCKGRIP_DATA_DIR"),
        ],
    )
    def test_in_the_environment(self, name, meant):
        message = refusal(None, {name: f"postgresql://u:{SECRET}@h/db"})
        assert f"environment: unknown variable {name}; did you mean {meant}" in message
        assert SECRET not in message

    def test_in_the_json_of_a_variable(self, tmp_path):
        written(tmp_path, "settle: {scan_seconds: 9}\n")
        message = refusal(None, {"STOCKGRIP_SETTLE": '{"quiet_second": 1}'})
        assert message == (
            "environment, STOCKGRIP_SETTLE: unknown key settle.quiet_second; did you mean settle.quiet_seconds?"
        )

    def test_variables_of_other_programs_do_not_matter(self):
        assert load_settings(None, {"STOCKGRIPPER": "x", "MY_STOCKGRIP_X": "y"})

    def test_all_mistakes_are_named_at_once(self, tmp_path):
        written(tmp_path, "colour: red\nlog: {level: loud}\nretry: {attempts: 0}\n")
        message = refusal(None, {"STOCKGRIP_TIMEZONE": "Mars", "STOCKGRIP_LEVEL": "info"})
        for part in (
            "5 things",
            "colour",
            "'loud'",
            "retry.attempts: received 0",
            "'Mars'",
            "STOCKGRIP_LEVEL",
        ):
            assert part in message


class TestWrongValues:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("log:\n  level: loud\n", "line 2: log.level: received 'loud', must be 'debug', 'info', 'warning' or 'error'"),
            ("settle: {quiet_seconds: -1}\n", "settle.quiet_seconds: received -1, must be greater than or equal to 0"),
            ("settle: {quiet_seconds: .nan}\n", "received nan, must be a finite number"),
            ("settle: {quiet_seconds: yes}\n", "received True, must not be true or false"),
            ("settle: {ready_on: no}\n", "received False, must not be true or false"),
            ("settle: {temporary_names: '*.x'}\n", "settle.temporary_names: received '*.x', must be a list"),
            ("settle: 5\n", "line 1: settle: received 5, must be a section with keys below it"),
            ("limits: {max_reject_share: 1.5}\n", "must be less than or equal to 1"),
            ("limits: {max_file_bytes: 2 GB}\n", "limits.max_file_bytes: received '2 GB', must be a valid integer"),
            ("data_dir: 7\n", "data_dir: received 7, must be a path"),
            ("timezone: Europe/berlin\n", "must be a name of the IANA time zone database; did you mean Europe/Berlin?"),
            ("timezone: Berlin\n", "did you mean Europe/Berlin?"),
            ("timezone: Europe\n", "must be a name of the IANA"),
            ("timezone: /etc/passwd\n", "must be a name of the IANA"),
            ("feeds: {sales: {encoding: windows-12522}}\n", "that Python knows; did you mean windows_1252?"),
            ("feeds: {sales: {encoding: hex}}\n", "must be a text encoding"),
            ("feeds:\n  sales:\n    patterns: [ok, '(']\n", "line 3: feeds.sales.patterns[1]: received '(', must be a reg"),
            ("feeds: {sales: {patterns: ['a{99999999999}']}}\n", "must be a regular expression"),
            ("retry: {max_seconds: 0.1}\n", "max_seconds (0.1) must be at least initial_seconds (0.2)"),
        ],
    )  # fmt: skip
    def test_say_what_was_received_and_what_is_allowed(self, tmp_path, text, said):
        file = written(tmp_path, text)
        message = refusal()
        assert message.startswith(str(file))
        assert said in message

    @pytest.mark.parametrize(
        ("environ", "said"),
        [
            (
                {"STOCKGRIP_RETRY__ATTEMPTS": "many"},
                "environment, STOCKGRIP_RETRY__ATTEMPTS: retry.attempts: received 'many'",
            ),
            ({"STOCKGRIP_RETRY": "{broken"}, "STOCKGRIP_RETRY: retry: received '{broken', must be a section"),
            (
                {"STOCKGRIP_RETRY": '{"attempts": 0}'},
                "environment, STOCKGRIP_RETRY: retry.attempts: received 0",
            ),
            (
                {"STOCKGRIP_RETRY__MAX_SECONDS": "0.1"},
                "environment, STOCKGRIP_RETRY__MAX_SECONDS: retry: received",
            ),
            ({"STOCKGRIP_SETTLE__TEMPORARY_NAMES": "*.x"}, "must be a list (in a variable: a JSON list"),
            ({"STOCKGRIP_TIMEZONE": ""}, "timezone: received ''"),
            ({"STOCKGRIP_TIMEZONE": "x" * 10_000}, "…"),
        ],
    )
    def test_name_the_variable(self, environ, said):
        message = refusal(None, environ)
        assert said in message
        assert len(message) < 1000

    def test_a_wrong_value_in_the_file_is_not_blamed_on_a_variable(self, tmp_path):
        file = written(tmp_path, "retry:\n  attempts: 0\n")
        assert refusal(None, {"STOCKGRIP_RETRY": '{"max_seconds": 1}'}).startswith(
            f"{file}, line 2: retry.attempts"
        )

    def test_encodings_are_kept_by_their_one_name(self):
        settings = load_settings(None, {"STOCKGRIP_FEEDS__DEMAND__ENCODING": "Windows-1252"})
        assert settings.feeds.demand.encoding == "cp1252"


class TestDatabaseUrl:
    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_postgresql_goes_by_psycopg(self, scheme):
        settings = load_settings(
            None, {"STOCKGRIP_DATABASE__URL": f"{scheme}://u:p%40w@h:5432/db?sslmode=require"}
        )
        assert settings.database_url == "postgresql+psycopg://u:p%40w@h:5432/db?sslmode=require"
        assert settings.safe_database_url == "postgresql+psycopg://u:***@h:5432/db?sslmode=require"

    @pytest.mark.parametrize("rest", ["/db", "u@/db?host=/run/postgresql", "u@[::1]:5432/db", "h", "u:@h/db"])
    def test_sqlalchemy_reads_what_is_accepted(self, rest):
        settings = load_settings(None, {"STOCKGRIP_DATABASE__URL": f"postgresql://{rest}"})
        assert make_url(settings.database_url).drivername == "postgresql+psycopg"

    @pytest.mark.parametrize(
        "url",
        [
            f"mysql://u:{SECRET}@h/db",
            f"postgresql+asyncpg://u:{SECRET}@h/db",
            f"postgresql://u:{SECRET}/db",
            f"postgresql://u:x@{SECRET}@h/db",
            f"postgresql://u:12/{SECRET}@x@h/db",
            f"postgresql://u:{SECRET}@h:port/db",
            f"postgresql://u:{SECRET} @h/db",
            f"postgresql:u:{SECRET}@h/db",
            f"host=h user=u password={SECRET}",
            f"u:{SECRET}@h",
            f"sqlite:///x.db?key={SECRET}",
            f"sqlite://{SECRET}/x.db",
            "sqlite://",
            "sqlite:///",
            "sqlite:////srv/",
            "sqlite:///:memory:",
            "sqlite:///file:x",
            "sqlite:///~/x.db",
            "",
        ],
    )
    def test_others_are_refused_without_showing_the_password(self, tmp_path, url):
        in_file = written(tmp_path, yaml.safe_dump({"database": {"url": url}}))
        for message in (refusal(in_file), refusal(None, {"STOCKGRIP_DATABASE__URL": url})):
            assert "database.url: received" in message
            assert "allowed: sqlite:///" in message
            assert SECRET not in message
        with pytest.raises(ValidationError) as caught:
            Settings(database={"url": url})
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            "database: postgresql://u:hunter2@h/db\n",
            "database: {url: [postgresql://u:hunter2@h/db]}\n",
            "database: {url: {x: hunter2}}\n",
            "database: {uri: postgresql://u:hunter2@h/db}\n",
            "database_url: postgresql://u:hunter2@h/db\n",
            "log: {level: postgresql://u:hunter2@h/db}\n",
            "log: {level: [postgresql://u:hunter2@h/db, x@y]}\n",
            "postgresql://u:hunter2@h/db\n",
            "database: {url: postgresql://u:hunter2@h/db\n",
            "database:\n  url: !postgresql://u:hunter2@h/db\n",
            "database:\n\turl: postgresql://u:hunter2@h/db\n",
            "database:\n  url: 'postgresql://u:hunter2@h/db\n",
        ],
    )
    def test_a_url_in_the_wrong_place_is_not_shown_either(self, tmp_path, text):
        written(tmp_path, text)
        assert SECRET not in refusal()

    def test_json_of_the_section_is_not_shown(self):
        for value in (f'{{"url": "mysql://u:{SECRET}@h/db"}}', f'{{"url": "mysql://u:{SECRET}@h/db"'):
            assert SECRET not in refusal(None, {"STOCKGRIP_DATABASE": value})

    def test_settings_show_no_password(self):
        settings = load_settings(
            None, {"STOCKGRIP_DATABASE__URL": f"postgresql://u:{SECRET}@h/db?password={SECRET}"}
        )
        assert settings.database_url.count(SECRET) == 2
        for text in (repr(settings), str(settings), f"{settings.database}", settings.safe_database_url):
            assert SECRET not in text
            assert "u:***@h/db?password=***" in text

    @pytest.mark.parametrize(
        ("text", "safe"),
        [
            ("postgresql://u:a@b/c@h/db", "postgresql://u:***@h/db"),
            ("postgresql://u:@h/db", "postgresql://u:***@h/db"),
            ("postgresql://u@h/db", "postgresql://u@h/db"),
            ("postgresql://h:5432/db", "postgresql://h:5432/db"),
            ("sqlite:////srv/a:b.db", "sqlite:////srv/a:b.db"),
        ],
    )
    def test_only_the_password_is_masked(self, text, safe):
        assert safe_url(text) == safe


class TestDocuments:
    def test_config_yaml_is_complete_and_holds_the_defaults(self):
        text = (ROOT / "config.yaml").read_text(encoding="utf-8")
        assert load_settings(ROOT / "config.yaml", {}) == Settings(data_dir=ROOT / "data")
        content = yaml.safe_load(text)
        for key, field in KEYS.items():
            value = content
            for part in key.split("."):
                value = value[part]
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert value == (str(default) if isinstance(default, Path) else default), key

    def test_each_key_of_config_yaml_has_its_reason(self):
        lines = (ROOT / "config.yaml").read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if re.match(r"\s*\w+:", line) and "max_reject_share" not in line:  # explained with max_rejects
                above = lines[number - 1].strip()
                inner_section = re.fullmatch(r"  (sales|inventory|demand|products|mail|webhook):", line)
                assert above.startswith("#") or inner_section, line

    def test_the_table_of_the_docs_is_current(self):
        page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
        assert page.endswith(reference_table()), (
            "run: python -m daemon.config, and put it at the end of the page"
        )

    def test_the_table_has_every_key_with_a_meaning_of_one_line(self):
        table = reference_table()
        for key, field in KEYS.items():
            assert f"| `{key}` | `" in table
            assert f"`{variable_name(key)}`" in table
            assert field.description
            assert "\n" not in field.description

    def test_python_m_prints_the_table(self):
        done = subprocess.run(
            [sys.executable, "-m", "daemon.config"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == reference_table()
        assert done.stderr == ""


def test_errors_say_what_to_do_next():
    assert issubclass(DatabaseUnavailable, TransientError)
    assert not issubclass(ConfigError, TransientError)
    for error in (TransientError, DatabaseUnavailable, ConfigError):
        assert issubclass(error, StockgripError)
        assert str(error()) == error.__doc__
        assert str(error("this")) == "this"
