"""The configuration: what is read, where values come from, and every error with its place, key and remedy."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from hub.rules.settings import CreditPolicy, Policy, RuleSettings, StockPolicy
from hub.runtime import redaction
from hub.runtime.config import Config, Security, connector_specs, load, variables
from hub.runtime.problems import REMEDY, WRONG, ConfigError, Problem
from schemas.documents import Kind, PostingPolicy
from schemas.secret import Secret


class Read:
    """Writes a hub.toml of its own and reads it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "hub.toml"

    def __call__(self, text: str, **environment: str) -> Config:
        self.file.write_text(text, encoding="utf-8")
        return load(self.file, environment)

    def problems(self, text: str, **environment: str) -> list[Problem]:
        with pytest.raises(ConfigError) as raised:
            self(text, **environment)
        return list(raised.value.problems)

    def told(self, text: str, **environment: str) -> list[tuple[str, str]]:
        """(sentence, remedy) of each problem, the file's directory left out."""
        prefix = f"{self.file.parent}/"
        return [
            (each.sentence().replace(prefix, ""), each.advice().replace(prefix, ""))
            for each in self.problems(text, **environment)
        ]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    monkeypatch.setattr(redaction, "_known", set())
    return Read(tmp_path)


def test_nothing_said_is_as_built_in(read: Read) -> None:
    config = read("")
    assert config.kafka.embedded
    assert config.postgres.embedded
    assert config.postgres.connection() is None
    assert config.api.host == "127.0.0.1"
    assert config.rule_settings() == RuleSettings()


def test_every_kind_of_value(read: Read) -> None:
    config = read(
        """
        [company]
        name = "شرکت نمونه"
        prefix = "acme."
        [kafka]
        bootstrap = ["kafka-1:9092", "[::1]:9093"]
        security = "sasl"
        user = "peyvand"
        password = "swordfish"
        [api]
        public_status = true
        [rules]
        closed_until = "۱۴۰۲/۱۲/۲۹"
        limits = { max_quantity = 12.5 }
        [[rules.rates]]
        since = 2024-03-20
        vat = 6
        duty = 3.75
        """
    )
    assert config.company.name == "شرکت نمونه"
    assert config.kafka.servers == "kafka-1:9092,[::1]:9093"
    assert config.kafka.security is Security.SASL
    assert config.kafka.password == Secret("swordfish")
    assert config.api.public_status
    rules = config.rule_settings()
    assert rules.closed_until == date(2024, 3, 19)
    assert rules.limits.max_quantity == Decimal("12.5")
    assert rules.limits.max_lines == 1_000
    (rate,) = rules.rates
    assert (rate.since, rate.vat, rate.duty) == (date(2024, 3, 20), Decimal(6), Decimal("3.75"))


def test_a_source_inherits_what_its_policy_does_not_say(read: Read) -> None:
    config = read(
        """
        [policies.default]
        credit = "reject"
        reservation = "1h30m"
        [policies.shop]
        stock = "partial"
        [policies.branch]
        reservation = "never"
        tax_tolerance = 10
        approval = true
        """
    )
    rules = config.rule_settings()
    assert rules.default == Policy(credit=CreditPolicy.REJECT, reservation=timedelta(minutes=90))
    assert rules.policy("unheard of", Kind.QUOTE) == rules.default
    assert rules.policy("shop", Kind.QUOTE) == msgspec.structs.replace(rules.default, stock=StockPolicy.PARTIAL)
    assert rules.policy("branch", Kind.QUOTE) == Policy(credit=CreditPolicy.REJECT, tax_tolerance=10, approval=True)
    origins = {name: value.origin for name, value in config.policy_values("branch").items()}
    assert origins == {
        "stock": "built in",
        "credit": "policies.default",
        "reservation": "policies.branch",
        "tax_tolerance": "policies.branch",
        "approval": "policies.branch",
        "posting": "built in",
    }


def test_all_errors_are_told_at_once_with_file_line_key_and_remedy(read: Read) -> None:
    told = read.told(
        """\
[kafka]
bootstrap = ["kafka-1:9092", "kafka-2"]
replication = "three"
nin_isr = 2

[postgres]
dsn = { env = "NOPE" }

[api]
port = 99999
public_status = "yes"

[[rules.rates]]
since = "1403/01/01"
vat = 6.0
duty = -1
[[rules.rates]]
since = "1403/13/01"
vat = 6

[policies.default]
reservation = "2 weeks"
[policies.shop]
approvals = true

[log]
level = "loud"
"""
    )
    assert told == [
        ("hub.toml:4: kafka.nin_isr: there is no such setting", "Did you mean min_isr?"),
        ('hub.toml:2: kafka.bootstrap[1]: it must be host:port; it is "kafka-2"', "Write host:port."),
        (
            'hub.toml:3: kafka.replication: it must be a whole number from 1 to 32767; it is "three"',
            "Write for example: replication = 3",
        ),
        (
            "hub.toml:7: postgres.dsn: the environment variable NOPE is not set, or empty",
            "Set NOPE, or give the value in another way.",
        ),
        (
            "hub.toml:10: api.port: it must be a whole number from 0 to 65535; it is 99999",
            "Write for example: port = 8800",
        ),
        (
            'hub.toml:11: api.public_status: it must be true or false; it is "yes"',
            "Write for example: public_status = false",
        ),
        (
            "hub.toml:16: rules.rates[0].duty: it must be a number from 0 to 100; it is -1",
            "Write for example: duty = 4",
        ),
        (
            'hub.toml:18: rules.rates[1].since: it must be a date, 1403/01/31 or 2024-04-19; it is "1403/13/01"',
            'Write for example: since = "1403/01/01"',
        ),
        ("hub.toml:17: rules.rates[1].duty: it is required and missing", "Write for example: duty = 4"),
        (
            "hub.toml:22: policies.default.reservation: "
            'it must be a duration such as 30m, 2h or 3d or "never"; it is "2 weeks"',
            'Write for example: reservation = "2h"',
        ),
        ("hub.toml:24: policies.shop.approvals: there is no such setting", "Did you mean approval?"),
        (
            'hub.toml:27: log.level: it must be one of "debug", "info", "warning", "error"; it is "loud"',
            'Write for example: level = "info"',
        ),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[kafka]\nbootstrap = ["a:1"]\nreplication = 1\nmin_isr = 2\n',
            "hub.toml:4: kafka.min_isr: it must not be above kafka.replication (1); it is 2",
        ),
        ('[kafka]\nsecurity = "sasl"\n', 'hub.toml:2: kafka.security: security = "sasl" needs a user and a password'),
        (
            '[kafka]\nca_file = "ca.pem"\n',
            'hub.toml:2: kafka.ca_file: ca_file is of no use with security = "plaintext"',
        ),
        ('[postgres]\ndsn = "mysql://x"\n', "hub.toml:2: postgres.dsn: it must begin with postgresql://"),
        (
            '[postgres]\ndsn = "postgresql://h/d"\nhost = "h"\n',
            "hub.toml:3: postgres.host: both dsn and host are given",
        ),
        ("[rules]\nrates = []\n", "hub.toml:2: rules.rates: there is no tax rate at all"),
        (
            '[[rules.rates]]\nsince = "1403/01/01"\nvat = 60\nduty = 41\n',
            "hub.toml:3: rules.rates[0].vat: vat and duty together are above 100 percent",
        ),
        (
            '[[rules.rates]]\nsince = "1403/01/01"\nvat = 6\nduty = 4\n'
            "[[rules.rates]]\nsince = 2024-03-20\nvat = 6\nduty = 3\n",
            "hub.toml:6: rules.rates[1].since: two rates begin on 2024-03-20",
        ),
    ],
)
def test_what_does_not_go_together(read: Read, text: str, sentence: str) -> None:
    assert [said for said, _ in read.told(text)] == [sentence]


def test_what_does_not_go_together_is_told_beside_other_sections_errors(read: Read) -> None:
    told = [said for said, _ in read.told('[kafka]\nsecurity = "sasl"\n[api]\nport = -1\n')]
    assert told == [
        "hub.toml:4: api.port: it must be a whole number from 0 to 65535; it is -1",
        'hub.toml:2: kafka.security: security = "sasl" needs a user and a password',
    ]


def test_min_isr_is_no_matter_for_the_embedded_kafka(read: Read) -> None:
    assert read("[kafka]\nreplication = 1\n").kafka.min_isr == 2


def test_a_kind_of_document_may_be_treated_otherwise(read: Read) -> None:
    config = read(
        """
        [policies.default.kinds.sales_order]
        posting = "manual"
        credit = "reject"
        [policies.shop]
        posting = "never"
        [policies.shop.kinds.sales_invoice]
        posting = "automatic"
        """
    )
    rules = config.rule_settings()
    assert rules.policy("other", Kind.SALES_ORDER) == Policy(credit=CreditPolicy.REJECT, posting=PostingPolicy.MANUAL)
    assert rules.policy("other", Kind.QUOTE) == Policy()
    assert rules.policy("shop", Kind.SALES_INVOICE) == Policy()
    assert rules.policy("shop", Kind.QUOTE) == Policy(posting=PostingPolicy.NEVER)
    # The source's own word goes before the default's of the kind.
    assert rules.policy("shop", Kind.SALES_ORDER) == Policy(credit=CreditPolicy.REJECT, posting=PostingPolicy.NEVER)
    values = config.policy_values("shop", Kind.SALES_ORDER)
    assert (values["credit"].origin, values["posting"].origin) == (
        "policies.default.kinds.sales_order",
        "policies.shop",
    )


def test_a_kind_there_is_not_and_a_kind_within_a_kind_are_told(read: Read) -> None:
    told = read.told(
        """[policies.shop.kinds.sale_order]
posting = "manual"
[policies.shop.kinds.quote]
posting = "later"
[policies.shop.kinds.quote.kinds.quote]
"""
    )
    assert told == [
        ("hub.toml:1: policies.shop.kinds.sale_order: there is no such setting", "Did you mean sales_order?"),
        (
            "hub.toml:5: policies.shop.kinds.quote.kinds: there is no such setting",
            "Remove it; known here: approval, credit, posting, reservation, stock, tax_tolerance.",
        ),
        (
            'hub.toml:4: policies.shop.kinds.quote.posting: it must be one of "automatic", "manual", "never"; '
            'it is "later"',
            'Write for example: posting = "automatic"',
        ),
    ]


def test_nested_and_quoted_keys_have_their_line(read: Read) -> None:
    told = read.told(
        """\
kafka.bootstrapp = []   # dotted, at the top
[policies."my shop"]
stock = "some"
[policies.x]
"tax_tolerance" = 1.5
[rules.limits]
max_lines = 0
"""
    )
    assert [said for said, _ in told] == [
        "hub.toml:1: kafka.bootstrapp: there is no such setting",
        "hub.toml:7: rules.limits.max_lines: it must be a whole number from 1 to 2000; it is 0",
        'hub.toml:3: policies."my shop".stock: '
        'it must be one of "all_or_nothing", "partial", "backorder"; it is "some"',
        "hub.toml:5: policies.x.tax_tolerance: it must be a whole number of 0 or more; it is 1.5",
    ]


def test_text_of_several_lines_that_looks_like_keys_hides_no_line(read: Read) -> None:
    text = "[company]\nname = '''\n[api]\nport = 1\n\"\\q\" = 2\n'''\n[api]\nport = -1\n"
    assert read.problems(text)[0].where == f"{read.file}:8"


def test_no_float_and_no_infinity_where_a_number_is_wanted(read: Read) -> None:
    assert isinstance(read("[rules.limits]\nmax_quantity = 1.1\n").rules.limits.max_quantity, Decimal)
    for value in ("inf", "nan", "true", '"5"'):
        (problem,) = read.problems(f"[rules.limits]\nmax_quantity = {value}\n")
        assert problem.key == "rules.limits.max_quantity"


def test_a_section_that_is_no_table(read: Read) -> None:
    assert read.told("api = 3\n", PEYVAND_API_PORT="80")[0][0] == "hub.toml:1: api: it must be a table; it is 3"
    (told,) = read.told("[connectors.files]\nfolder = 'x'\n")
    assert told[0] == ('hub.toml:2: connectors.files.folder: it must be a table, [connectors.KIND.NAME]; it is "x"')


# --- the file itself


def test_a_file_that_is_missing_or_no_toml_or_no_utf8(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    with pytest.raises(ConfigError, match=r"hub\.toml: there is no such file\n  Name an existing file with --config"):
        load(file, {})
    file.write_text("[api]\nport = = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"hub\.toml:2: it is not valid TOML: Invalid value"):
        load(file, {})
    file.write_bytes("name = 'شرکت'".encode("windows-1256"))
    with pytest.raises(ConfigError, match=r"hub\.toml: it is not UTF-8 text"):
        load(file, {})
    with pytest.raises(ConfigError, match="it can't be read: Is a directory"):
        load(tmp_path, {})


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_bytes(b"\xef\xbb\xbf[api]\r\nport = 81\r\n")
    assert load(file, {}).api.port == 81


def test_which_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environment={}).origin.file is None
    Path("hub.toml").write_text("[api]\nport = 1\n", encoding="utf-8")
    Path("other.toml").write_text("[api]\nport = 2\n", encoding="utf-8")
    assert load(environment={}).api.port == 1
    assert load(environment={"PEYVAND_CONFIG": "other.toml"}).api.port == 2
    assert load(Path("hub.toml"), {"PEYVAND_CONFIG": "other.toml"}).api.port == 1


# --- the environment


def test_environment_variables_override_the_file(read: Read) -> None:
    config = read(
        "[api]\nport = 1\nmax_batch = 7\n",
        PEYVAND_API_PORT="8801",
        PEYVAND_API_PUBLIC_STATUS="true",
        PEYVAND_KAFKA_BOOTSTRAP="a:1, b:2",
        PEYVAND_RULES_CLOSED_UNTIL="1402/12/29",
        PEYVAND_RULES_LIMITS_MAX_QUANTITY="2.5",
        PEYVAND_LOG_FORMAT="",
    )
    assert (config.api.port, config.api.max_batch, config.api.public_status) == (8801, 7, True)
    assert config.kafka.bootstrap == ("a:1", "b:2")
    assert config.rules.closed_until == date(2024, 3, 19)
    assert config.rules.limits.max_quantity == Decimal("2.5")


def test_a_wrong_variable_is_named_instead_of_the_file(read: Read) -> None:
    told = read.told("[api]\nport = 1\n", PEYVAND_API_PORT="eighty", PEYVAND_KAFKA_BOTSTRAP="a:1", PEYVAND_X="mine")
    assert told == [
        ("PEYVAND_KAFKA_BOTSTRAP: this environment variable sets nothing", "Did you mean PEYVAND_KAFKA_BOOTSTRAP?"),
        (
            'PEYVAND_API_PORT: api.port: it must be a whole number from 0 to 65535; it is "eighty"',
            "Write for example: port = 8800",
        ),
    ]


@pytest.mark.parametrize("name", variables())
def test_every_variable_sets_its_setting(read: Read, name: str) -> None:
    """Nonsense in a variable becomes the setting's value, or is found wrong there."""
    section, *keys = map(str, variables()[name].path)
    found, value = _load(read, **{name: "ق"})
    if value is None:
        assert {problem.where for problem in found} == {name}
        return
    value = getattr(value, section)
    for key in keys:
        value = getattr(value, key)
    assert value in ("ق", Secret("ق"))


def _load(read: Read, **environment: str) -> tuple[tuple[Problem, ...], object]:
    try:
        return (), read("", **environment)
    except ConfigError as error:
        return error.problems, None


# --- secrets


def test_secrets_come_from_the_file_a_variable_or_a_file_of_their_own(read: Read, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n", encoding="utf-8")
    assert read('[postgres]\npassword = "plain"\n').postgres.password == Secret("plain")
    assert read('[postgres]\npassword = { env = "PW" }\n', PW="from env").postgres.password == Secret("from env")
    assert read('[postgres]\npassword = { file = "password" }\n').postgres.password == Secret("from a file")
    given = str(tmp_path / "password")
    assert read("", PEYVAND_POSTGRES_PASSWORD_FILE=given).postgres.password == Secret("from a file")
    assert read("", PEYVAND_POSTGRES_PASSWORD="over").postgres.password == Secret("over")


def test_a_secret_that_cannot_be_had(read: Read, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    said = [
        read.told(f"[postgres]\npassword = {given}\n")[0][0].removeprefix("hub.toml:2: postgres.password: ")
        for given in ('{ file = "nowhere" }', '{ file = "empty" }', '{ env = "E", file = "f" }', "17", '""')
    ]
    shape = 'it must be text, { env = "NAME" } or { file = "path" }'
    assert said == [
        "the file nowhere can't be read: No such file or directory",
        "the file empty is empty",
        shape,
        shape,
        shape,
    ]


def test_secrets_are_nowhere_to_be_read(read: Read) -> None:
    kafka = '[kafka]\nsecurity = "sasl"\nuser = "u"\npassword = "trout1"\n'
    config = read(f'{kafka}[postgres]\ndsn = "postgresql://u:swordfish@h/d"\n')
    for text in (repr(config), str(config.postgres), f"{config.kafka.password}", f"{config.kafka.password:>5}"):
        assert "swordfish" not in text
        assert "trout1" not in text
    with pytest.raises(TypeError):
        msgspec.json.encode(config.kafka)
    (problem,) = read.problems('[postgres]\ndsn = "mysql://u:swordfish@h/d"\n')
    assert "swordfish" not in problem.sentence() + problem.advice() + repr(problem)


def test_a_dsn_is_made_of_its_parts(read: Read) -> None:
    config = read('[postgres]\nhost = "db"\nuser = "me@home"\npassword = "p/w:1"\ndatabase = "hub"\nport = 5433\n')
    dsn = config.postgres.connection()
    assert dsn is not None
    assert dsn.reveal() == "postgresql://me%40home:p%2Fw%3A1@db:5433/hub"


# --- connectors


class Scale(msgspec.Struct, frozen=True):
    port: str
    password: Secret | None = None
    poll: timedelta = timedelta(seconds=1)
    bits: int = 8

    def __post_init__(self) -> None:
        if self.bits not in (7, 8):
            raise ValueError("bits must be 7 or 8")


def test_connectors_are_read_by_their_own_spec(read: Read) -> None:
    config = read("[connectors.scale.till]\nport = 'COM1'\npoll = '5s'\npassword = { env = 'P' }\n", P="trout2")
    specs = connector_specs(config, {"scale": Scale})
    assert specs == {("scale", "till"): Scale("COM1", Secret("trout2"), timedelta(seconds=5))}


def test_connectors_secrets_are_not_wanted_where_none_runs(read: Read) -> None:
    assert read("[connectors.scale.till]\nport = 'COM1'\npassword = { env = 'P' }\n").connectors["scale"]


def test_connectors_errors_are_told_with_all_others(read: Read) -> None:
    read.file.write_text(
        "[api]\nport = -1\n[connectors.scal.x]\n[connectors.scale.till]\nbits = 9\nport = 'COM1'\n"
        "[connectors.scale.two]\nprot = 'COM2'\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as raised:
        load(read.file, {}, {"scale": Scale})
    told = [problem.sentence().replace(f"{read.file.parent}/", "") for problem in raised.value.problems]
    assert told == [
        "hub.toml:2: api.port: it must be a whole number from 0 to 65535; it is -1",
        "hub.toml:3: connectors.scal: there is no connector of this kind",
        "hub.toml:4: connectors.scale.till: bits must be 7 or 8",
        "hub.toml:8: connectors.scale.two.prot: there is no such setting",
        "hub.toml:7: connectors.scale.two.port: it is required and missing",
    ]


# --- words


def test_errors_can_be_told_in_persian(read: Read) -> None:
    (problem,) = read.problems("[api]\nport = 99999\n")
    assert problem.sentence("fa").endswith("api.port: باید عددی صحیح از 0 تا 65535 باشد؛ 99999 آمده است")
    assert problem.advice("fa") == "برای نمونه بنویسید: port = 8800"


def test_every_sentence_has_the_same_places_to_fill_in_both_languages() -> None:
    for phrase in WRONG.values():
        assert _places(phrase.en) == _places(phrase.fa)
    for phrase in REMEDY.values():
        assert _places(phrase.fa) <= _places(phrase.en)


def _places(template: str) -> set[str]:
    from string import Formatter

    return {name for _, name, _, _ in Formatter().parse(template) if name}
