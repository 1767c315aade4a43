"""What can be wrong with a configuration, as sentences in English and Persian, each with its remedy."""

import json
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from hub.runtime.durations import duration_text


class Phrase(NamedTuple):
    """The same words in both languages."""

    en: str
    fa: str


WRONG: Final[dict[str, Phrase]] = {
    "file_missing": Phrase("there is no such file", "چنین پرونده‌ای نیست"),
    "file_unreadable": Phrase("it can't be read: {why}", "خوانده نمی‌شود: {why}"),
    "not_utf8": Phrase("it is not UTF-8 text", "متن UTF-8 نیست"),
    "toml_syntax": Phrase("it is not valid TOML: {why}", "TOML درستی نیست: {why}"),
    "unknown_key": Phrase("there is no such setting", "چنین تنظیمی وجود ندارد"),
    "unknown_variable": Phrase("this environment variable sets nothing", "این متغیر محیطی هیچ تنظیمی را تغییر نمی‌دهد"),
    "missing": Phrase("it is required and missing", "لازم است و نیامده"),
    "wrong_value": Phrase("it must be {expected}; it is {value}", "باید {expected} باشد؛ {value} آمده است"),
    "secret_value": Phrase("it must be {expected}", "باید {expected} باشد"),
    "variable_missing": Phrase(
        "the environment variable {name} is not set, or empty", "متغیر محیطی {name} تعریف نشده یا خالی است"
    ),
    "secret_file": Phrase("the file {path} can't be read: {why}", "پروندهٔ {path} خوانده نمی‌شود: {why}"),
    "secret_file_empty": Phrase("the file {path} is empty", "پروندهٔ {path} خالی است"),
    "login_missing": Phrase(
        'security = "sasl" needs a user and a password', 'برای security = "sasl" نام کاربر و گذرواژه لازم است'
    ),
    "ca_unused": Phrase(
        'ca_file is of no use with security = "plaintext"', 'ca_file با security = "plaintext" بی‌اثر است'
    ),
    "min_isr": Phrase(
        "it must not be above kafka.replication ({replication}); it is {value}",
        "نباید از kafka.replication ({replication}) بیشتر باشد؛ {value} آمده است",
    ),
    "dsn_scheme": Phrase("it must begin with postgresql://", "باید با postgresql:// آغاز شود"),
    "dsn_and_host": Phrase("both dsn and host are given", "هم dsn آمده است و هم host"),
    "rates_empty": Phrase("there is no tax rate at all", "هیچ نرخ مالیاتی تعریف نشده است"),
    "rate_repeated": Phrase("two rates begin on {since}", "دو نرخ از {since} آغاز می‌شوند"),
    "rates_above_hundred": Phrase(
        "vat and duty together are above 100 percent", "مجموع vat و duty از ۱۰۰ درصد بیشتر است"
    ),
    "unknown_connector": Phrase("there is no connector of this kind", "رابطی از این نوع وجود ندارد"),
    "spec": Phrase("{why}", "{why}"),
}

REMEDY: Final[dict[str, Phrase]] = {
    "name_file": Phrase(
        "Name an existing file with --config or PEYVAND_CONFIG.",
        "پرونده‌ای موجود را با --config یا PEYVAND_CONFIG نام ببرید.",
    ),
    "permit_file": Phrase("Let the hub's user read it.", "به کاربر هاب اجازهٔ خواندن آن را بدهید."),
    "save_utf8": Phrase("Save it as UTF-8 in your editor.", "آن را در ویرایشگر با UTF-8 ذخیره کنید."),
    "mend_line": Phrase(
        "Mend that line: text in quotes, one name = value a line, each key and [section] once.",
        "آن سطر را درست کنید: متن در گیومه، هر سطر یک نام = مقدار، هر کلید و [بخش] یک بار.",
    ),
    "did_you_mean": Phrase("Did you mean {guess}?", "آیا {guess} منظور بود؟"),
    "known": Phrase("Remove it; known here: {known}.", "آن را بردارید؛ تنظیم‌های این بخش: {known}."),
    "example": Phrase("Write for example: {example}", "برای نمونه بنویسید: {example}"),
    "write": Phrase("Write {expected}.", "بنویسید: {expected}."),
    "set_variable": Phrase("Set {name}, or give the value in another way.", "متغیر {name} را تعریف کنید."),
    "secret_file": Phrase(
        "Put the secret into that file, readable for the hub's user.",
        "مقدار محرمانه را در آن پرونده بگذارید و اجازهٔ خواندن بدهید.",
    ),
    "login": Phrase(
        'Give kafka.user and kafka.password, or another kafka.security ("plaintext", "tls").',
        'kafka.user و kafka.password را بدهید، یا kafka.security دیگری ("plaintext"، "tls").',
    ),
    "ca_unused": Phrase(
        'Say security = "tls" or "sasl", or remove it.', 'security = "tls" یا "sasl" بنویسید، یا آن را بردارید.'
    ),
    "min_isr": Phrase("For three nodes: replication = 3, min_isr = 2.", "برای سه گره: replication = 3 و min_isr = 2."),
    "dsn_scheme": Phrase(
        "Write for example: postgresql://user:password@host:5432/database",
        "برای نمونه: postgresql://user:password@host:5432/database",
    ),
    "dsn_or_host": Phrase("Keep one of the two.", "یکی از دو را نگه دارید."),
    "rates": Phrase(
        "Add a [[rules.rates]] table with since, vat and duty, or remove rates to use the built-in ones.",
        "جدول [[rules.rates]] با since و vat و duty بیفزایید، یا rates را بردارید.",
    ),
    "rate_repeated": Phrase("Keep one rate for each day.", "برای هر روز یک نرخ نگه دارید."),
    "rates_percent": Phrase(
        "Rates are percents: vat = 6, duty = 4 make 10 %.", "نرخ‌ها درصدند: vat = 6 و duty = 4 یعنی ۱۰ درصد."
    ),
    "see_connector": Phrase("See docs/configuration.md, [connectors.{kind}.*].", "docs/configuration.md را ببینید."),
}


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong: ``where`` is a file and line or an environment variable, ``key`` the dotted name, if any."""

    where: str
    key: str
    wrong: str
    remedy: str
    data: Mapping[str, object] = {}

    def sentence(self, language: str = "en") -> str:
        """Where, which key, and what is wrong with it."""
        place = ": ".join(part for part in (self.where, self.key) if part)
        return f"{place}: {_say(WRONG[self.wrong], self.data, language)}"

    def advice(self, language: str = "en") -> str:
        """What to do about it."""
        return _say(REMEDY[self.remedy], self.data, language)


class ConfigError(Exception):
    """A configuration that can't be used; ``problems`` has everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{problem.sentence()}\n  {problem.advice()}" for problem in self.problems))


def _say(phrase: Phrase, data: Mapping[str, object], language: str) -> str:
    index = 1 if language == "fa" else 0
    return phrase[index].format_map({key: v[index] if isinstance(v, Phrase) else v for key, v in data.items()})


def toml_text(value: object) -> str:
    """A value as one writes it in the file; long ones are cut."""
    text = _toml_text(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _toml_text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Enum():
            return _toml_text(value.value)
        case timedelta():
            return _toml_text(duration_text(value))
        case date():
            return _toml_text(value.isoformat())
        case int() | Decimal() | float():
            return str(value)
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case list() | tuple():
            return f"[{', '.join(_toml_text(item) for item in value)}]"
        case dict():
            return "{ " + ", ".join(f"{key} = {_toml_text(item)}" for key, item in value.items()) + " }"
        case _:
            return str(value)
