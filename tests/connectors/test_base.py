"""The contract's own parts: the spec, what it shows, outages, dead letters, discovery."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from connectors import base
from connectors.base import ConnectorSpec, Context, Outage, Rejected, Retryable, redacted, settings_table
from schemas import codec
from schemas.secret import Secret
from tests.connectors.recorder import Recorder


class Shop(ConnectorSpec, frozen=True, kw_only=True):
    """A made-up shop."""

    url: Annotated[str, Meta(description="Where it is.")]
    key: Annotated[Secret, Meta(description="Its key.")]
    spare_key: Annotated[Secret | None, Meta(description="Another.")] = None
    wait: Annotated[timedelta, Meta(description="How long.")] = timedelta(minutes=2)
    shut: Annotated[bool, Meta(description="Whether.")] = False


SHOP = Shop(url="http://127.0.0.1", key=Secret("hunter2"))


def context(logger: str = "connectors.test") -> Context:
    recorder = Recorder()
    return Context(
        kind="shop",
        instance="main",
        publisher=recorder,
        cursors=recorder,
        records=recorder,
        lookup=recorder,
        events=recorder,
        clock=lambda: datetime(2024, 3, 20, tzinfo=UTC),
        data=Path("data"),
        logger=logging.getLogger(logger),
    )


def test_a_secret_is_in_no_text_of_a_spec() -> None:
    shown = [repr(SHOP), str(SHOP), f"{SHOP}", str(redacted(SHOP)), settings_table(Shop)]
    assert not any("hunter2" in text for text in shown)
    assert redacted(SHOP)["key"] == "***"
    assert redacted(SHOP)["spare_key"] is None
    with pytest.raises(TypeError):
        msgspec.json.encode(SHOP)


def test_the_settings_table_tells_each_setting() -> None:
    assert settings_table(Shop).splitlines()[2:] == [
        "| `url` | Where it is. | required |",
        "| `key` | Its key. **Secret.** | required |",
        "| `spare_key` | Another. **Secret.** | – |",
        "| `wait` | How long. | `120s` |",
        "| `shut` | Whether. | `false` |",
    ]


async def test_an_outage_is_logged_once_down_and_once_up(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("Kafka", logging.getLogger("connectors.test"), first_pause=0, longest_pause=0)
    answers = [Retryable("gone"), Retryable("gone still"), None, None, Retryable("gone"), None]

    async def action() -> str:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return "done"

    with caplog.at_level(logging.INFO, "connectors.test"):
        assert [await outage.waited_out(action) for _ in range(3)] == ["done"] * 3
    assert caplog.messages == ["Kafka is away: gone", "Kafka is back"] * 2


async def test_an_attempt_begun_before_the_outage_or_its_end_is_no_news_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """Several use the same server: one is refused at once while another's answer is still on its way."""
    outage = Outage("Kafka", logging.getLogger("connectors.test"), first_pause=0, longest_pause=0)
    answers: asyncio.Queue[Retryable | None] = asyncio.Queue()

    async def slow() -> None:
        if (answer := await answers.get()) is not None:
            raise answer

    async def refused() -> None:
        raise Retryable("gone")

    with caplog.at_level(logging.INFO, "connectors.test"):
        first, second = (asyncio.create_task(outage.waited_out(slow)) for _ in range(2))
        await asyncio.sleep(0)
        one_refused = asyncio.create_task(outage.waited_out(refused))
        await asyncio.sleep(0)
        assert caplog.messages == ["Kafka is away: gone"]
        answers.put_nowait(None)
        await first
        assert outage.reason == "gone"
        outage.up()
        one_refused.cancel()
        answers.put_nowait(Retryable("gone"))
        answers.put_nowait(None)
        await second
    assert caplog.messages == ["Kafka is away: gone", "Kafka is back"]
    assert outage.reason is None


async def test_only_what_passes_is_waited_out() -> None:
    async def action() -> None:
        raise Rejected("never")

    with pytest.raises(Rejected):
        await Outage("it", logging.getLogger("connectors.test")).waited_out(action)


async def test_waiting_out_can_be_cancelled() -> None:
    async def action() -> None:
        raise Retryable("gone")

    waiting = asyncio.create_task(Outage("it", logging.getLogger("connectors.test")).waited_out(action))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_dead_letter_keeps_the_bytes_and_has_the_same_id_again() -> None:
    def letter(value: bytes = b"\xff", place: str = "a.csv", position: int = 7) -> base.DeadLetter:
        return context().dead_letter(value, "because" * 1_000, place=place, position=position, headers={"rows": "7-9"})

    first = letter()
    assert codec.decode_as(codec.encode(first), base.DeadLetter) == first
    assert (first.topic, first.offset, first.handler) == ("connectors.shop.main", 7, "shop.main")
    assert first.headers == (("place", b"a.csv"), ("rows", b"7-9"))
    assert len(first.reason) == base.MAX_REASON
    assert letter().id == first.id
    others = [letter(value=b"x"), letter(place="b.csv"), letter(position=8)]
    assert len({first.id, *(other.id for other in others)}) == 4


def test_every_connector_is_found_and_complete() -> None:
    kinds = base.discover()
    assert "files" in kinds
    for kind in kinds.values():
        assert issubclass(kind.spec, ConnectorSpec)
        assert issubclass(kind.connector, base.Connector)
        assert kind.spec.emits
        assert settings_table(kind.spec) in kind.readme.read_text("utf-8")
        assert all(setting.type.extra_json_schema["description"] for setting in settings_of(kind.spec))


def installed(directory: Path, entry: str) -> None:
    """A package somebody installed beside the hub, as installers leave it."""
    info = directory / "stand-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stand\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{base.ENTRY_POINTS}]\n{entry}\n")


EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_a_connector_installed_beside_the_hub_is_found_and_the_example_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    assert "kiosk" not in base.discover()
    installed(tmp_path, "kiosk = kiosk")
    monkeypatch.syspath_prepend(tmp_path)
    found = base.discover()["kiosk"]
    assert (found.readme, found.receiver) == (EXAMPLES / "kiosk" / "README.md", None)
    assert settings_table(found.spec) in found.readme.read_text("utf-8")


def test_two_connectors_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "files = kiosk")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"two connectors are named files: connectors\.files and kiosk"):
        base.discover()


def settings_of(spec: type[ConnectorSpec]) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(spec)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields
