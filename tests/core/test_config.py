"""A good file: what it becomes, where its paths lead, and the secrets that are made for it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from aiops.config import Config
from aiops.config.read import PACKAGED, ConfigError, check, find, read
from aiops.config.secret_files import ensure_secrets
from aiops.model.signal import Severity
from aiops.plugin.load import HOUSE

HOOK = "{kind: webhook, name: itsm, url: 'https://itsm.example/hook', secret: {env: ITSM_SECRET}}"


def good(text: str, filename: str = "forewarn.yaml") -> Config:
    config, complaints = check(text, filename)
    assert complaints == []
    assert config is not None
    return config


def test_one_line_is_a_working_installation() -> None:
    config = good("sources: [{kind: host}]")
    assert [s.name for s in config.sources] == ["host"]
    assert [d.kind for d in config.detection.detectors] == ["adaptive"]
    assert config.web.port == 8750


def test_the_packaged_default_is_good() -> None:
    config = read(PACKAGED)
    assert [s.kind for s in config.sources] == ["host"]
    assert all(path.is_file() for path in config.playbooks)
    drill = config.limits[-1]
    assert drill.breach.bound == 256 * 1024 * 1024
    assert drill.match.matches({"__name__": "host_process_rss_bytes", "group": "forewarn-drill"})
    assert not drill.match.matches({"__name__": "host_process_rss_bytes", "group": "nginx"})


def test_every_block_arrives() -> None:
    config = good(f"""
sources: [{{kind: host, name: here, every: 1m30s, labels: {{dc: north}}}}]
slis:
  - name: slow pages
    of: {{match: 'page_seconds{{quantile="0.99"}}'}}
    breach: {{above: 0.5, for: 2m}}
limits:
  - {{match: host_memory_available_ratio, breach: {{below: 0.05}}, horizon: 1h, severity: critical}}
silences:
  - {{match: '{{dc="south"}}', from: 2026-01-31T22:00:00Z, until: 2026-02-01, reason: move}}
maintenance:
  - {{start: 22:00, end: 06:00, days: [sat], timezone: Europe/Berlin}}
sinks: [{HOOK}]
routes:
  - {{match: problem.level >= level.major, to: itsm, escalate: {{after: 15m, to: itsm}}}}
web: {{listen: '[::1]:9000'}}
""")
    assert config.sources[0].every == 90
    assert config.sources[0].labels == {"dc": "north"}
    assert (config.slis[0].breach.bound, config.slis[0].breach.sign, config.slis[0].breach.for_) == (
        0.5,
        1,
        120,
    )
    assert config.limits[0].severity is Severity.CRITICAL
    assert config.silences[0].from_ == datetime(2026, 1, 31, 22, tzinfo=UTC)
    assert config.silences[0].until == datetime(2026, 2, 1, tzinfo=UTC)
    window = config.maintenance[0]
    assert window.covers(datetime(2026, 1, 31, 22, tzinfo=UTC))
    assert window.covers(datetime(2026, 2, 1, 4, 59, tzinfo=UTC))
    assert not window.covers(datetime(2026, 2, 1, 5, 1, tzinfo=UTC))
    assert (config.web.host, config.web.port) == ("::1", 9000)


def test_anchors_and_merge_keys_work() -> None:
    config = good("""
sources: [{kind: host}]
limits:
  - &disk {match: a, breach: {below: 1}, horizon: 3d}
  - {<<: *disk, match: b}
""")
    assert [str(one.match) for one in config.limits] == ["a", "b"]
    assert config.limits[1].horizon == 3 * 86400


def test_paths_start_at_the_file_but_data_at_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    hook = HOOK.replace("{env: ITSM_SECRET}", "{file: keys/itsm}")
    made = HOOK.replace("{env: ITSM_SECRET}", "{file: data/made}").replace("itsm,", "made,")
    text = f"sources: [{{kind: host}}]\nsinks:\n  - {hook}\n  - {made}\nplaybooks: [books]\n"
    config = good(text, str(tmp_path / "forewarn.yaml"))
    assert config.playbooks == [tmp_path / "books"]
    assert config.sinks[0].secret.file == tmp_path / "keys/itsm"  # type: ignore[attr-defined]
    assert config.sinks[1].secret.file == Path("data/made")  # type: ignore[attr-defined]
    assert config.data == Path("data")
    assert config.store == "sqlite:///data/forewarn.db"


def test_the_shipped_library_is_at_hand_from_anywhere_but_a_file_beside_the_config_goes_first(
    tmp_path: Path,
) -> None:
    shipped = next((HOUSE / "playbooks/library").glob("*.yaml")).relative_to(HOUSE)
    text = f"sources: [{{kind: host}}]\nplaybooks: [{shipped}]\n"
    file = str(tmp_path / "forewarn.yaml")
    assert good(text, file).playbooks == [HOUSE / shipped]
    (tmp_path / shipped).parent.mkdir(parents=True)
    (tmp_path / shipped).write_text((HOUSE / shipped).read_text())
    assert good(text, file).playbooks == [tmp_path / shipped]


def test_another_data_folder_takes_store_and_secrets_along(tmp_path: Path) -> None:
    config = read(PACKAGED, tmp_path / "elsewhere")
    assert config.data == tmp_path / "elsewhere"
    assert config.store == f"sqlite:///{tmp_path}/elsewhere/forewarn.db"
    assert config.sinks[0].secret.file == tmp_path / "elsewhere/drill.secret"  # type: ignore[attr-defined]


def test_a_store_elsewhere_stays_when_the_data_folder_moves(tmp_path: Path) -> None:
    file = tmp_path / "forewarn.yaml"
    file.write_text("sources: [{kind: host}]\nstore: postgresql+psycopg://fw@db/fw\n")
    assert read(file, tmp_path / "elsewhere").store == "postgresql+psycopg://fw@db/fw"


def test_secrets_in_the_data_folder_are_made_once_and_can_sign(tmp_path: Path) -> None:
    config = read(PACKAGED, tmp_path / "data")
    made = ensure_secrets(config)
    assert made == [tmp_path / "data/drill.secret"]
    assert made[0].stat().st_mode & 0o777 == 0o600
    key = config.sinks[0].secret.read().get_secret_value()  # type: ignore[attr-defined]
    signature = Webhook(key).sign("msg_1", datetime.now(UTC), "{}")
    assert signature.startswith("v1,")
    assert ensure_secrets(config) == []
    assert made[0].read_text().strip() == key


def test_a_secret_outside_of_the_data_folder_is_never_made(tmp_path: Path) -> None:
    hook = HOOK.replace("{env: ITSM_SECRET}", f"{{file: {tmp_path / 'mine'}}}")
    config = good(f"sources: [{{kind: host}}]\nsinks: [{hook}]\n")
    assert ensure_secrets(config) == []
    assert not (tmp_path / "mine").exists()


def test_the_file_that_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find() == PACKAGED
    (tmp_path / "forewarn.yaml").touch()
    assert find() == Path("forewarn.yaml")
    assert find(Path("other.yaml")) == Path("other.yaml")


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "absent.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("team: Stra\xdfe".encode("latin-1"))
    with pytest.raises(ConfigError, match="no UTF-8"):
        read(latin)
