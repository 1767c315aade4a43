"""compose.yaml and Dockerfile against our own command line and configuration: there is no Docker engine here."""

import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.runtime import cli
from hub.runtime.commands import commands
from hub.runtime.config import FILE_VARIABLE, load, variables
from hub.runtime.datadir import VARIABLE as DATA_VARIABLE
from hub.runtime.help import parser
from hub.runtime.problems import ConfigError
from tests.runtime.dev_helpers import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HUB = {name: service for name, service in SERVICES.items() if service["image"].startswith("peyvand:")}
ROLES = {name: service for name, service in HUB.items() if service["restart"] == "unless-stopped"}
ONCE = {name: service for name, service in HUB.items() if name not in ROLES}
KAFKA = {name: service for name, service in SERVICES.items() if service["image"].startswith("apache/kafka:")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")

every_service = pytest.mark.parametrize("name", SERVICES)
every_hub_service = pytest.mark.parametrize("name", HUB)
every_role = pytest.mark.parametrize("name", ROLES)


def test_the_services_are_those_that_production_has() -> None:
    assert list(KAFKA) == ["kafka-1", "kafka-2", "kafka-3"]
    assert set(ROLES) == {"api", "streams", "connectors", "deliver"}
    assert set(ONCE) == {"migrate", "topics"}
    assert set(SERVICES) == {*KAFKA, *HUB, "postgres"}


def understood(words: list[str]) -> str:
    """The name of the hub's command that these words are; its function is there, and takes them."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in commands():
            parser(commands()[name]).parse_args(words[length:])
            assert callable(cli.resolve(commands()[name]))
            return name
    raise AssertionError(f"hub {' '.join(words)} is no command")


@every_hub_service
def test_its_command_is_one_of_ours(name: str) -> None:
    understood(HUB[name]["command"])


def test_the_roles_run_what_they_are_called() -> None:
    assert {name: understood(service["command"]) for name, service in HUB.items()} == {
        "migrate": "migrate",
        "topics": "topics create",
        "api": "api",
        "streams": "streams",
        "connectors": "connectors",
        "deliver": "deliver",
    }


@every_role
def test_its_health_check_is_one_of_our_commands(name: str) -> None:
    kind, program, *words = ROLES[name]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "hub")
    assert understood(words) == "health"


@pytest.mark.parametrize("name", [*KAFKA, "postgres"])
def test_a_server_is_checked_too(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def environment(name: str, secrets: Path) -> dict[str, str]:
    """A hub service's environment, with its secrets where this test can make them."""
    given: dict[str, str] = HUB[name]["environment"]
    return {
        key: value.replace("/run/secrets", str(secrets)) for key, value in given.items() if key.startswith("PEYVAND_")
    }


@every_hub_service
def test_every_variable_is_a_setting_with_a_good_value(name: str, tmp_path: Path) -> None:
    assert all(isinstance(value, str) for value in HUB[name]["environment"].values())
    known = {*variables(), *(f"{variable}_FILE" for variable in variables()), FILE_VARIABLE, DATA_VARIABLE}
    assert set(HUB[name]["environment"]) <= known
    for secret in HUB[name]["secrets"]:
        (tmp_path / secret).write_text("a password")

    config = load(environment=environment(name, tmp_path))

    assert (config.kafka.replication, config.kafka.min_isr) == (3, 2)
    assert set(config.kafka.bootstrap) == {f"{node}:9092" for node in KAFKA}
    connection = config.postgres.connection()
    assert connection is not None
    assert connection.reveal() == "postgresql://peyvand:a%20password@postgres:5432/peyvand"


def test_a_mistaken_variable_would_be_found(tmp_path: Path) -> None:
    """The test above bites."""
    (tmp_path / "postgres_password").write_text("a password")
    with pytest.raises(ConfigError):
        load(environment={**environment("api", tmp_path), "PEYVAND_API_HOTS": "0.0.0.0"})


def test_the_api_is_reached_from_outside_its_container_and_only_from_this_machine() -> None:
    assert SERVICES["api"]["environment"]["PEYVAND_API_HOST"] == "0.0.0.0"
    [published] = SERVICES["api"]["ports"]
    first, last = re.fullmatch(r"127\.0\.0\.1:(\d+)-(\d+):8800", published).groups()  # type: ignore[union-attr]
    assert int(last) - int(first) + 1 >= SERVICES["api"]["deploy"]["replicas"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "api"])
def test_nothing_else_is_published(name: str) -> None:
    assert "ports" not in SERVICES[name]
    assert "expose" not in SERVICES[name]


@every_service
def test_secrets_come_from_declared_files_and_never_stand_in_the_environment(name: str) -> None:
    service = SERVICES[name]
    mounted = set(service.get("secrets", ()))
    assert mounted <= set(COMPOSE["secrets"])
    for variable, value in service["environment"].items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in mounted
        else:
            assert "PASSWORD" not in variable
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())


@every_service
def test_images_are_pinned(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"\d+\.\d+", tag)


@every_hub_service
def test_our_image_has_our_version(name: str) -> None:
    assert HUB[name]["image"] == f"peyvand:{PROJECT['version']}"


@every_service
def test_it_runs_as_an_ordinary_user_who_gains_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", [*HUB, "postgres"])
def test_its_root_is_read_only(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert "/tmp" in SERVICES[name]["tmpfs"]


@every_service
def test_it_comes_back_by_itself(name: str) -> None:
    assert SERVICES[name]["restart"] in ("unless-stopped", "on-failure:5")


@every_role
def test_a_role_can_have_as_many_copies_as_wanted(name: str) -> None:
    assert not {"container_name", "hostname"} & ROLES[name].keys()


@every_role
def test_a_role_starts_when_schema_and_topics_are_there(name: str) -> None:
    assert ROLES[name]["depends_on"] == {
        once: {"condition": "service_completed_successfully"} for once in ("migrate", "topics")
    }


def test_what_prepares_a_server_waits_until_it_is_healthy() -> None:
    healthy = {"condition": "service_healthy"}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": healthy}
    assert SERVICES["topics"]["depends_on"] == dict.fromkeys(KAFKA, healthy)


def test_three_kafka_nodes_keep_each_record_three_times_and_two_acknowledge_it() -> None:
    nodes = {name: service["environment"] for name, service in KAFKA.items()}
    assert {node["KAFKA_NODE_ID"] for node in nodes.values()} == {"1", "2", "3"}
    voters = ",".join(f"{node['KAFKA_NODE_ID']}@{name}:9093" for name, node in nodes.items())
    for name, node in nodes.items():
        assert KAFKA[name]["hostname"] == name
        assert node["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{name}:9092"
        assert node["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert node["KAFKA_PROCESS_ROLES"] == "broker,controller"
        assert (node["KAFKA_DEFAULT_REPLICATION_FACTOR"], node["KAFKA_MIN_INSYNC_REPLICAS"]) == ("3", "2")
        assert node["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == "3"
        assert node["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
        assert node["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"


def mounts() -> Iterator[tuple[str, str]]:
    """Every volume that a service mounts, with where."""
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            volume, _, place = mount.partition(":")
            yield volume, place


def test_what_must_survive_lies_on_volumes_of_its_own() -> None:
    volumes = [volume for volume, _ in mounts()]
    assert sorted(volumes) == sorted(COMPOSE["volumes"])
    assert {"kafka-1", "kafka-2", "kafka-3", "postgres"} <= set(volumes)
    # PostgreSQL 18's image keeps its data in a directory by version below this one.
    assert ("postgres", "/var/lib/postgresql") in mounts()


def test_servers_have_no_way_out() -> None:
    assert COMPOSE["networks"]["servers"]["internal"] is True
    for name in (*KAFKA, "postgres"):
        assert SERVICES[name]["networks"] == ["servers"]


# --- a configuration file beside it


def test_the_override_on_the_operators_page_gives_every_service_the_same_file() -> None:
    """A topic's name begins with the company's prefix: a service without the file would read topics nobody writes."""
    [shown] = re.findall(r"^```yaml\n(.*?)^```", OPERATIONS, re.MULTILINE | re.DOTALL)
    override = yaml.safe_load(shown)
    assert set(override["services"]) == set(HUB)
    for service in override["services"].values():
        assert service["environment"] == {FILE_VARIABLE: "/etc/peyvand/hub.toml"}
        assert "./hub.toml:/etc/peyvand/hub.toml:ro" in service["volumes"]
        assert set(service.get("secrets", ())) <= set(override["secrets"])


def test_the_example_configuration_without_servers_is_good_beside_the_variables(tmp_path: Path) -> None:
    example = (ROOT / "docs" / "hub.example.toml").read_text(encoding="utf-8")
    file = tmp_path / "hub.toml"
    file.write_text(
        re.sub(r"^\[(kafka|postgres)\]\n(?:(?!\[).*\n)*", "", example, flags=re.MULTILINE), encoding="utf-8"
    )
    (tmp_path / "postgres_password").write_text("a password")
    config = load(file, environment("streams", tmp_path))
    assert (config.kafka.replication, config.kafka.security) == (3, "plaintext")
    assert config.company.prefix == "acme."


# --- the image


def test_the_image_stands_on_a_pinned_one_and_runs_as_an_ordinary_user() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0])
    [user] = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert all(service["user"].split(":")[0] == user for service in HUB.values())
    assert 'ENTRYPOINT ["hub"]' in DOCKERFILE
    assert "hub" in PROJECT["scripts"]


def test_what_the_image_copies_is_there_and_let_through() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert set(packages["targets"]["wheel"]["packages"]) <= set(copied)
    assert ignore[0] == "*"
    for source in copied:
        assert (ROOT / source).exists()
        assert any(fnmatch(source, f"{passed[1:]}*") for passed in ignore if passed.startswith("!")), source


def test_production_installs_nothing_unhashed_and_no_embedded_server() -> None:
    for file in re.findall(r"-r (\S+)", DOCKERFILE):
        pinned = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        assert all("==" in line and "--hash=sha256:" in line for line in pinned if line.strip()), file
    assert DOCKERFILE.count("--require-hashes") == len(re.findall(r"-r \S+", DOCKERFILE))
    production = (ROOT / "requirements" / "production.txt").read_text(encoding="utf-8")
    embedded = [name.split("==")[0] for name in PROJECT["optional-dependencies"]["embedded"]]
    assert not [name for name in embedded if re.search(rf"^{name}==", production, re.MULTILINE)]
