"""The hub's one configuration file: every setting declared once, with its type, default and description.

From these declarations come the reading (:mod:`hub.runtime.decoding`), ``hub check`` and ``docs/configuration.md``.
"""

import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType, inspect

from hub.rules import settings as rules
from hub.rules.settings import CreditPolicy, RuleSettings, StockPolicy
from hub.runtime.decoding import Decoding, from_text, unwrapped
from hub.runtime.origin import KeyPath, Origin, read_toml
from hub.runtime.problems import ConfigError
from hub.webhooks.settings import RETRIES
from schemas.documents import Kind, PostingPolicy
from schemas.secret import Secret

DEFAULT_FILE = "hub.toml"
FILE_VARIABLE = "PEYVAND_CONFIG"
VARIABLE_PREFIX = "PEYVAND"
DEFAULT_POLICY = "default"

Port = Annotated[int, Meta(ge=0, le=65_535)]
Percent = Annotated[Decimal, Meta(extra={"ge": Decimal(0), "le": Decimal(100)})]


_CONNECTOR_TABLE = ("a table, [connectors.KIND.NAME]", "جدول، به شکل [connectors.KIND.NAME]")


class Security(StrEnum):
    """How clients reach Kafka."""

    PLAINTEXT = "plaintext"
    TLS = "tls"
    SASL = "sasl"


class LogFormat(StrEnum):
    """How log lines are written."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important lines that are still written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class CompanySettings(msgspec.Struct, frozen=True):
    """Whose hub this is."""

    name: Annotated[str, Meta(description="The company's name, as people see it.", examples=["شرکت نمونه"])] = ""
    prefix: Annotated[
        str,
        Meta(
            description="Put before the name of every Kafka topic and consumer group, so that several companies can "
            "share a cluster. Never change it later.",
            examples=["acme."],
            pattern=r"\A[A-Za-z0-9._-]*\Z",
            max_length=100,
            extra={
                "expected": (
                    "at most 100 of the characters A-Z a-z 0-9 . _ -",
                    "حداکثر ۱۰۰ نویسه از A-Z a-z 0-9 . _ -",
                )
            },
        ),
    ] = ""


class KafkaSettings(msgspec.Struct, frozen=True):
    """The Kafka cluster. Without ``bootstrap``, ``hub dev`` starts a Kafka of its own."""

    bootstrap: Annotated[
        tuple[
            Annotated[
                str,
                Meta(pattern=r"\A[^\s:,]+:\d+\Z|\A\[[^\]\s]+\]:\d+\Z", extra={"expected": ("host:port", "host:port")}),
            ],
            ...,
        ],
        Meta(
            description="Some of the cluster's nodes, each host:port. Empty: the embedded Kafka.",
            examples=[("kafka-1:9092", "kafka-2:9092", "kafka-3:9092")],
        ),
    ] = ()
    replication: Annotated[
        int,
        Meta(
            description="On how many nodes each topic is kept. Three nodes, 3, is production: one node may be lost. "
            "Not used for the embedded Kafka, which is one node.",
            ge=1,
            le=32_767,
            examples=[3],
        ),
    ] = 3
    min_isr: Annotated[
        int,
        Meta(
            description="How many nodes must have a record before it counts as accepted. With replication 3: 2. "
            "Not used for the embedded Kafka.",
            ge=1,
            le=32_767,
            examples=[2],
        ),
    ] = 2
    security: Annotated[
        Security,
        Meta(
            description="plaintext; tls: encrypted; sasl: encrypted, with a user and password (SCRAM-SHA-512).",
            examples=["plaintext"],
        ),
    ] = Security.PLAINTEXT
    user: Annotated[str | None, Meta(description="The user, for sasl.", examples=["peyvand"])] = None
    password: Annotated[Secret | None, Meta(description="The user's password, for sasl.")] = None
    ca_file: Annotated[
        Path | None,
        Meta(
            description="The authority that signed the nodes' certificates, as a PEM file; without it, those the "
            "machine trusts.",
            examples=["ca.pem"],
        ),
    ] = None

    @property
    def embedded(self) -> bool:
        """Whether the hub's own Kafka is meant."""
        return not self.bootstrap

    @property
    def servers(self) -> str:
        """The bootstrap servers as Kafka clients take them: comma-separated."""
        return ",".join(self.bootstrap)


class PostgresSettings(msgspec.Struct, frozen=True):
    """The PostgreSQL database. Without ``dsn`` and ``host``, ``hub dev`` starts a PostgreSQL of its own."""

    dsn: Annotated[
        Secret | None,
        Meta(description="Where the database is and how to log in, postgresql://user:password@host:5432/database."),
    ] = None
    host: Annotated[str | None, Meta(description="The server, instead of dsn.", examples=["postgres"])] = None
    port: Annotated[Port, Meta(description="The server's port, with host.", examples=[5432])] = 5432
    database: Annotated[str, Meta(description="The database, with host.", examples=["peyvand"], min_length=1)] = (
        "peyvand"
    )
    user: Annotated[str, Meta(description="The user, with host.", examples=["peyvand"], min_length=1)] = "peyvand"
    password: Annotated[Secret | None, Meta(description="The user's password, with host.")] = None
    pool_size: Annotated[
        int, Meta(description="Connections each process keeps at most.", ge=1, le=500, examples=[10])
    ] = 10

    @property
    def embedded(self) -> bool:
        """Whether the hub's own PostgreSQL is meant."""
        return self.dsn is None and self.host is None

    def connection(self) -> Secret | None:
        """The DSN to connect with; None means the embedded PostgreSQL."""
        if self.dsn is not None or self.host is None:
            return self.dsn
        login = quote(self.user, safe="")
        if self.password is not None:
            login += f":{quote(self.password.reveal(), safe='')}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Secret(f"postgresql://{login}@{host}:{self.port}/{quote(self.database, safe='')}")


class ApiSettings(msgspec.Struct, frozen=True):
    """The REST API, webhooks and the status page."""

    host: Annotated[
        str,
        Meta(
            description="The address to listen on. Only this machine by default; put a TLS proxy before any other.",
            examples=["127.0.0.1"],
            min_length=1,
        ),
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="The port to listen on; 0: any that is free.", examples=[8800])] = 8800
    max_body_bytes: Annotated[
        int,
        Meta(description="The largest request body taken, in bytes.", ge=1_024, le=268_435_456, examples=[4_194_304]),
    ] = 4_194_304
    max_batch: Annotated[
        int, Meta(description="The most documents taken in one request.", ge=1, le=100_000, examples=[1_000])
    ] = 1_000
    public_status: Annotated[
        bool,
        Meta(description="The status page and its live feed may be read without a key.", examples=[False]),
    ] = False
    trusted_proxies: Annotated[
        tuple[
            Annotated[
                str,
                Meta(pattern=r"\A[0-9a-f.:]+\Z", extra={"expected": ("an IP address", "نشانی IP")}),
            ],
            ...,
        ],
        Meta(
            description="Addresses of reverse proxies before the API. What is counted by address (enrolment of "
            "handhelds, webhooks, the status page) goes by their `X-Forwarded-For`; without them all behind a proxy "
            "share one count.",
            examples=[("127.0.0.1",)],
        ),
    ] = ()
    rate_limit: Annotated[
        int,
        Meta(
            description="Requests a minute for a key that is made without a limit of its own.",
            ge=1,
            le=10_000_000,
            examples=[6_000],
        ),
    ] = 6_000


class StreamsSettings(msgspec.Struct, frozen=True):
    """The workers that decide."""

    batch_size: Annotated[
        int,
        Meta(description="The most commands decided in one transaction.", ge=1, le=10_000, examples=[500]),
    ] = 500
    within_ms: Annotated[
        int,
        Meta(
            description="How long a batch is waited for, in milliseconds: more is faster in bulk, less answers sooner.",
            ge=1,
            le=10_000,
            examples=[20],
        ),
    ] = 20
    workers: Annotated[
        int, Meta(description="Worker processes that hub dev and hub run start.", ge=1, le=64, examples=[1])
    ] = 1


class WebhooksSettings(msgspec.Struct, frozen=True):
    """Outbound webhooks: how outside systems that subscribed are told of changes of their documents."""

    trusted_hosts: Annotated[
        tuple[
            Annotated[
                str,
                Meta(
                    pattern=r"\A[a-z0-9.:_-]+\Z",
                    extra={
                        "expected": (
                            "a host's name in small letters, or its address",
                            "نام میزبان با حروف کوچک، یا نشانی آن",
                        )
                    },
                ),
            ],
            ...,
        ],
        Meta(
            description="Hosts (names or addresses, as in the URL) that webhooks may call though their addresses are "
            "private, and by http. All others must be public and https.",
            examples=[("erp.internal", "192.168.1.20")],
        ),
    ] = ()
    retries: Annotated[
        tuple[timedelta, ...],
        Meta(
            description="How long after each failure the next attempt is made; after the last a delivery is given up.",
            examples=[("5s", "30s", "2m", "10m", "1h", "3h", "6h", "12h", "24h")],
            min_length=1,
            max_length=20,
        ),
    ] = RETRIES
    timeout: Annotated[
        timedelta, Meta(description="How long a receiver may take to answer, in all.", examples=["15s"])
    ] = timedelta(seconds=15)
    keep: Annotated[timedelta, Meta(description="How long the log of deliveries is kept.", examples=["30d"])] = (
        timedelta(days=30)
    )


class TaxRateSettings(msgspec.Struct, frozen=True):
    """The general rates from a day on, in percent."""

    since: Annotated[date, Meta(description="The first day of these rates.", examples=["1403/01/01"])]
    vat: Annotated[Percent, Meta(description="VAT (مالیات ارزش افزوده), in percent.", examples=[6])]
    duty: Annotated[Percent, Meta(description="Municipal duty (عوارض), in percent.", examples=[4])]


class LimitsSettings(msgspec.Struct, frozen=True):
    """What is still taken for a document."""

    max_lines: Annotated[int, Meta(description="Lines of one document.", ge=1, le=2_000, examples=[1_000])] = 1_000
    max_quantity: Annotated[
        Decimal,
        Meta(
            description="The quantity of one line.",
            examples=[100_000_000],
            extra={"ge": Decimal(1), "le": Decimal(10**12)},
        ),
    ] = Decimal(100_000_000)


class RulesSettings(msgspec.Struct, frozen=True):
    """What holds for the documents of every source."""

    closed_until: Annotated[
        date | None,
        Meta(
            description="The last day of the last closed fiscal period: documents up to it are rejected. "
            "Jalali or ISO.",
            examples=["1402/12/29"],
        ),
    ] = None
    limits: Annotated[LimitsSettings, Meta(description="What is still taken for a document.")] = LimitsSettings()
    rates: Annotated[
        tuple[TaxRateSettings, ...],
        Meta(
            description="The general tax rates by date; naming any replaces all the built-in ones (6 + 3 from "
            "1394/01/01, 6 + 4 from 1403/01/01)."
        ),
    ] = tuple(TaxRateSettings(rate.since, rate.vat, rate.duty) for rate in rules.DEFAULT_RATES)


class KindPolicySettings(msgspec.Struct, frozen=True):
    """How documents are treated."""

    stock: Annotated[
        StockPolicy | UnsetType,
        Meta(
            description="When not all goods are there: all_or_nothing rejects the document, partial takes what there "
            "is, backorder waits for the rest. Built in: all_or_nothing.",
            examples=["all_or_nothing"],
        ),
    ] = UNSET
    credit: Annotated[
        CreditPolicy | UnsetType,
        Meta(
            description="When the account's instant credit is not enough: hold for an approval, or reject. "
            "Built in: hold.",
            examples=["hold"],
        ),
    ] = UNSET
    reservation: Annotated[
        timedelta | UnsetType | None,
        Meta(
            description='How long goods stay reserved, as 30m, 2h or 3d; "never": until the document is posted or '
            "cancelled. Built in: never.",
            examples=["2h"],
        ),
    ] = UNSET
    tax_tolerance: Annotated[
        Annotated[int, Meta(ge=0)] | UnsetType,
        Meta(
            description="Rials the source's tax may differ from ours before the document is held. Built in: 0.",
            examples=[10],
        ),
    ] = UNSET
    approval: Annotated[
        bool | UnsetType,
        Meta(
            description="Every document that takes credit is held for a person's approval. Built in: false.",
            examples=[False],
        ),
    ] = UNSET
    posting: Annotated[
        PostingPolicy | UnsetType,
        Meta(
            description="When the books get a cleared document: automatic: at once; manual: once a person or the "
            "source releases it (`hub release`, or the API); never: it stays in the hub. Built in: automatic.",
            examples=["automatic"],
        ),
    ] = UNSET


class PolicySettings(KindPolicySettings, frozen=True):
    """How one source's documents are treated. What a source doesn't say comes from ``[policies.default]``.

    A kind of document may be treated otherwise: ``[policies.SOURCE.kinds.sales_order]`` has the same settings, and
    what it doesn't say is as the source's.
    """

    kinds: Annotated[
        dict[Kind, KindPolicySettings], Meta(description="Kinds of document that are treated otherwise.")
    ] = {}


class LogSettings(msgspec.Struct, frozen=True):
    """What the processes write about their work, to standard error."""

    level: Annotated[
        LogLevel, Meta(description="The least important lines that are still written.", examples=["info"])
    ] = LogLevel.INFO
    format: Annotated[
        LogFormat, Meta(description="console for people, json for log collectors.", examples=["console"])
    ] = LogFormat.CONSOLE


class Sections(msgspec.Struct, frozen=True):
    """The sections of the file, as they are declared."""

    company: CompanySettings = CompanySettings()
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    api: ApiSettings = ApiSettings()
    streams: StreamsSettings = StreamsSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    rules: RulesSettings = RulesSettings()
    policies: dict[str, PolicySettings] = {}
    log: LogSettings = LogSettings()
    connectors: dict[
        str,
        dict[str, Annotated[dict[str, Any], Meta(extra={"expected": _CONNECTOR_TABLE}, examples=[])]],
    ] = {}


class PolicyValue(NamedTuple):
    """One value of a policy and the table it comes from: ``policies.shop``, ``policies.default`` or ``built in``."""

    value: object
    origin: str


class Config(Sections, frozen=True):
    """A configuration that was read and found good. ``connectors`` is as in the file: see :func:`connector_specs`."""

    origin: Origin = Origin(None, {}, {})

    def sources(self) -> list[str]:
        """The sources that have a policy of their own."""
        return [name for name in self.policies if name != DEFAULT_POLICY]

    def policy_kinds(self, source: str) -> list[Kind]:
        """The kinds of document that are treated otherwise than the rest of a source's."""
        named = {kind for name in {source, DEFAULT_POLICY} & self.policies.keys() for kind in self.policies[name].kinds}
        return [kind for kind in Kind if kind in named]

    def policy_values(self, source: str, kind: Kind | None = None) -> dict[str, PolicyValue]:
        """What applies to a source's documents, or to those of one kind, by the names of
        :class:`hub.rules.settings.Policy`: a source's own tables go before ``[policies.default]`` and its."""
        said: list[tuple[str, KindPolicySettings]] = []
        for name in dict.fromkeys((source, DEFAULT_POLICY)):
            if (table := self.policies.get(name)) is not None:
                if kind in table.kinds:
                    said.append((f"policies.{name}.kinds.{kind}", table.kinds[kind]))
                said.append((f"policies.{name}", table))
        return {
            field: next(
                (PolicyValue(value, table) for table, policy in said if (value := getattr(policy, field)) is not UNSET),
                PolicyValue(getattr(rules.Policy(), field), "built in"),
            )
            for field in rules.Policy.__struct_fields__
        }

    def policy(self, source: str, kind: Kind | None = None) -> rules.Policy:
        """The policy of a source's documents, or of those of one kind."""
        values = self.policy_values(source, kind)
        return msgspec.structs.replace(rules.Policy(), **{field: value for field, (value, _) in values.items()})

    def rule_settings(self) -> RuleSettings:
        """Everything the rules take from the configuration."""
        rates = (rules.TaxRate(rate.since, rate.vat, rate.duty) for rate in self.rules.rates)
        return RuleSettings(
            default=self.policy(DEFAULT_POLICY),
            by_source={source: self.policy(source) for source in self.sources()},
            by_kind={
                (source, kind): self.policy(source, kind)
                for source in self.sources()
                for kind in self.policy_kinds(source)
            },
            default_by_kind={kind: self.policy(DEFAULT_POLICY, kind) for kind in self.policy_kinds(DEFAULT_POLICY)},
            rates=tuple(sorted(rates, key=lambda rate: rate.since)),
            closed_until=self.rules.closed_until,
            limits=rules.Limits(self.rules.limits.max_lines, self.rules.limits.max_quantity),
        )


class Variable(NamedTuple):
    """A setting that an environment variable may override."""

    path: KeyPath
    type: inspect.Type


ConnectorKinds = Mapping[str, type[msgspec.Struct]]
"""Each kind of connector's spec, by the kind's name."""


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    kinds: ConnectorKinds | None = None,
) -> Config:
    """The configuration: the file, then what ``PEYVAND_SECTION_KEY`` variables override.

    Without ``file``, the one PEYVAND_CONFIG names, else ``hub.toml`` of the working directory if there is one, else
    what is built in. ``environment`` is the process's own by default. With ``kinds`` the connectors' tables are
    checked as well; processes that run none don't need their secrets.

    Raises:
        ConfigError: with everything that is wrong, each with file, line, key and remedy.
    """
    environment = os.environ if environment is None else environment
    tables: dict[str, Any]
    if (chosen := file or chosen_file(environment)) is None:
        tables, origin = {}, Origin(None, {}, environment)
    else:
        tables, origin = read_toml(chosen, environment)
    decoding = Decoding(origin)
    tables = _with_variables(tables, decoding, origin)
    sections = decoding.struct(Sections, tables)
    sound = sections or _sound_part(tables, origin)
    _check_together(sound, decoding)
    if kinds is not None:
        _specs(sound, kinds, decoding)
    if sections is None or decoding.problems:
        raise ConfigError(decoding.problems)
    return Config(**{name: getattr(sections, name) for name in Sections.__struct_fields__}, origin=origin)


def chosen_file(environment: Mapping[str, str]) -> Path | None:
    """The file to read when none was named on the command line."""
    if named := environment.get(FILE_VARIABLE):
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if default.exists() else None


def _sound_part(tables: Mapping[str, Any], origin: Origin) -> Sections:
    """The sections nothing is wrong with by themselves, the others as built in: so that all errors are told at once."""
    sound = {
        name: table for name, table in tables.items() if Decoding(origin).struct(Sections, {name: table}) is not None
    }
    return Decoding(origin).struct(Sections, sound) or Sections()


def connector_specs(config: Config, kinds: ConnectorKinds) -> dict[tuple[str, str], msgspec.Struct]:
    """Every ``[connectors.KIND.INSTANCE]`` table as its kind's spec, by (kind, instance).

    Raises:
        ConfigError: with everything that is wrong in any of them.
    """
    decoding = Decoding(config.origin)
    specs = _specs(config, kinds, decoding)
    if decoding.problems:
        raise ConfigError(decoding.problems)
    return specs


def _specs(sections: Sections, kinds: ConnectorKinds, decoding: Decoding) -> dict[tuple[str, str], msgspec.Struct]:
    specs = {}
    for kind, instances in sections.connectors.items():
        if kind not in kinds:
            decoding.unknown(("connectors", kind), kinds, "unknown_connector")
            continue
        for instance, table in instances.items():
            spec = decoding.struct(kinds[kind], table, ("connectors", kind, instance))
            if spec is not None:
                specs[kind, instance] = spec
    return specs


def variables() -> dict[str, Variable]:
    """The environment variables that override settings, by name."""
    return dict(_variables(inspect.type_info(Sections), ()))


def _variables(info: inspect.Type, path: KeyPath) -> Iterator[tuple[str, Variable]]:
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        plain, _ = unwrapped(field.type)
        here = (*path, field.encode_name)
        if isinstance(plain, inspect.StructType):
            yield from _variables(plain, here)
        elif path and not _is_table(plain):
            yield "_".join([VARIABLE_PREFIX, *map(str, here)]).upper(), Variable(here, field.type)


def _is_table(info: inspect.Type) -> bool:
    if isinstance(info, inspect.VarTupleType):
        return _is_table(unwrapped(info.item_type)[0])
    return isinstance(info, inspect.StructType | inspect.DictType)


def _with_variables(tables: Mapping[str, Any], decoding: Decoding, origin: Origin) -> dict[str, Any]:
    """The file's tables with the environment's values laid over them."""
    laid = deepcopy(dict(tables))
    known = variables()
    sections = {name.split("_")[1] for name in known}
    for name, text in sorted(origin.environment.items()):
        if not name.startswith(f"{VARIABLE_PREFIX}_") or not text:
            continue
        secret_file = name.removesuffix("_FILE")
        if name in known:
            _lay(laid, known[name].path, from_text(known[name].type, text), name, origin)
        elif secret_file != name and secret_file in known and _is_secret(known[secret_file].type):
            file = str(Path(text).absolute())
            _lay(laid, known[secret_file].path, {"file": file}, name, origin)
        elif name.split("_")[1] in sections:
            decoding.unknown_variable(name, known)
    return laid


def _is_secret(info: inspect.Type) -> bool:
    plain, _ = unwrapped(info)
    return isinstance(plain, inspect.CustomType) and plain.cls is Secret


def _lay(tables: dict[str, Any], path: KeyPath, value: object, variable: str, origin: Origin) -> None:
    *parents, key = map(str, path)
    for name in parents:
        inner = tables.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # not a table: its own error is reported
        tables = inner
    tables[key] = value
    origin.variables[path] = variable


def _check_together(sections: Sections, decoding: Decoding) -> None:
    """What no setting can tell by itself."""
    kafka, postgres = sections.kafka, sections.postgres
    if kafka.security is Security.SASL and not (kafka.user and kafka.password):
        decoding.report(("kafka", "security"), "login_missing", "login")
    if kafka.security is Security.PLAINTEXT and kafka.ca_file:
        decoding.report(("kafka", "ca_file"), "ca_unused", "ca_unused")
    if not kafka.embedded and kafka.min_isr > kafka.replication:
        decoding.report(("kafka", "min_isr"), "min_isr", "min_isr", replication=kafka.replication, value=kafka.min_isr)
    if postgres.dsn and not postgres.dsn.reveal().startswith(("postgresql://", "postgres://")):
        decoding.report(("postgres", "dsn"), "dsn_scheme", "dsn_scheme")
    if postgres.dsn and postgres.host:
        decoding.report(("postgres", "host"), "dsn_and_host", "dsn_or_host")
    _check_rates(sections.rules.rates, decoding)


def _check_rates(rates: tuple[TaxRateSettings, ...], decoding: Decoding) -> None:
    if not rates:
        decoding.report(("rules", "rates"), "rates_empty", "rates")
    seen = set()
    for index, rate in enumerate(rates):
        if rate.since in seen:
            decoding.report(("rules", "rates", index, "since"), "rate_repeated", "rate_repeated", since=rate.since)
        if rate.vat + rate.duty > 100:
            decoding.report(("rules", "rates", index, "vat"), "rates_above_hundred", "rates_percent")
        seen.add(rate.since)
