"""The letter that goes out when nothing of the daemon runs any more."""

from pathlib import Path

import pytest
from support.mail import mail_server

from daemon import last_words

MONITOR = {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_CODE": "exited", "MONITOR_EXIT_STATUS": "78"}


@pytest.mark.parametrize(
    ("result", "code", "status", "said"),
    [
        ("exit-code", "exited", "78", "its configuration is wrong (exit status 78)"),
        ("start-limit-hit", "exited", "3", "exit status 3, too often to be started again"),
        ("watchdog", "dumped", "ABRT", "killed by SIGABRT, because it hung"),
        ("", "", "", "systemd does not say why"),
    ],
)
def test_it_says_what_systemd_tells(result: str, code: str, status: str, said: str) -> None:
    environ = dict(zip(MONITOR, (result, code, status), strict=True))
    assert said in last_words.summary_of("stockgrip.service", environ)


def test_the_letter_goes_out_without_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in MONITOR.items():
        monkeypatch.setenv(name, value)
    config = tmp_path / "config.yaml"
    with mail_server() as box:
        mail = f"{{host: 127.0.0.1, port: {box.port}, security: none, sender: grip@example.org, to: [ops@example.org]}}"
        config.write_text(f"data_dir: {tmp_path}/none\nalerts: {{mail: {mail}}}\n")
        assert last_words.main(["--config", str(config), "stockgrip.service"]) == 0
        assert len(box.letters) == 1
        assert (
            "stockgrip.service has failed and is not running"
            in box.letters[0][0].get_body(("plain",)).get_content()
        )
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_sent_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("nonsense: 1\n")
    assert last_words.main(["--config", str(config), "stockgrip.service"]) == 1
    assert "nobody can be told" in capsys.readouterr().err
