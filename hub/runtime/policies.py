"""Which policy applies to which source, and why, in words a shopkeeper understands: for ``hub check`` and previews."""

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from hub.rules.settings import CreditPolicy, StockPolicy
from hub.runtime.config import DEFAULT_POLICY, Config
from hub.runtime.connect import Instance
from hub.runtime.durations import duration_text
from hub.runtime.problems import Phrase, toml_text
from hub.store.keys import Key
from schemas.documents import Kind, PostingPolicy
from schemas.text import group

_STOCK: Final = {
    StockPolicy.ALL_OR_NOTHING: Phrase("rejected unless all goods are there", "اگر همهٔ کالاها موجود نباشد رد می‌شود"),
    StockPolicy.PARTIAL: Phrase("takes what goods there are, without the rest", "هر چه موجود است، بدون باقی"),
    StockPolicy.BACKORDER: Phrase(
        "keeps what goods there are and waits for the rest", "هر چه هست رزرو می‌شود و منتظر باقی می‌ماند"
    ),
}
_CREDIT: Final = {
    CreditPolicy.HOLD: Phrase("without enough credit: waits for an approval", "بدون اعتبار کافی: در انتظار تأیید"),
    CreditPolicy.REJECT: Phrase("without enough credit: rejected", "بدون اعتبار کافی: رد می‌شود"),
}
_POSTING: Final = {
    PostingPolicy.AUTOMATIC: Phrase("goes to the books once cleared", "پس از تأیید در حسابگر ثبت می‌شود"),
    PostingPolicy.MANUAL: Phrase(
        "goes to the books once someone releases it", "پس از آزادسازی دستی در حسابگر ثبت می‌شود"
    ),
    PostingPolicy.NEVER: Phrase("stays in the hub", "در هاب می‌ماند و در حسابگر ثبت نمی‌شود"),
}
_UNITS: Final = {"d": "روز", "h": "ساعت", "m": "دقیقه", "s": "ثانیه"}


def _reservation(value: timedelta | None) -> Phrase:
    if value is None:
        return Phrase("goods stay reserved until it is posted or cancelled", "کالا تا ثبت یا لغو سند رزرو می‌ماند")
    text = duration_text(value)
    fa = " و ".join(f"{count} {_UNITS[unit]}" for count, unit in _parts(text))
    return Phrase(f"goods stay reserved for {text}", f"کالا {fa} رزرو می‌ماند")


def _parts(text: str) -> Iterator[tuple[str, str]]:
    count = ""
    for each in text:
        if each.isdigit():
            count += each
        else:
            yield count, each
            count = ""


def _tolerance(value: int) -> Phrase:
    if not value:
        return Phrase("waits for an approval if its tax differs from ours", "با هر اختلاف مالیات: در انتظار تأیید")
    rials = group(value)
    return Phrase(
        f"waits for an approval if its tax differs by more than {rials} rials",
        f"با اختلاف مالیات بیش از {rials} ریال: در انتظار تأیید",
    )


def _approval(value: bool) -> Phrase:
    if value:
        return Phrase("all that takes credit waits for an approval", "هر سند اعتباری در انتظار تأیید می‌ماند")
    return Phrase("no further approval", "تأیید دیگری لازم نیست")


_MEANINGS: Final[Mapping[str, Callable[[Any], Phrase]]] = {
    "stock": _STOCK.__getitem__,
    "credit": _CREDIT.__getitem__,
    "reservation": _reservation,
    "tax_tolerance": _tolerance,
    "approval": _approval,
    "posting": _POSTING.__getitem__,
}


class Saying(NamedTuple):
    """One setting that applies: its name and value as in the file, the table it comes from, and what it means."""

    setting: str
    value: str
    origin: str
    meaning: Phrase


def sayings(config: Config, source: str, kind: Kind | None = None) -> list[Saying]:
    """What applies to a source's documents, or to those of one kind."""
    return [
        Saying(
            name,
            "never" if each.value is None else toml_text(each.value).strip('"'),
            each.origin,
            _MEANINGS[name](each.value),
        )
        for name, each in config.policy_values(source, kind).items()
    ]


def differences(config: Config, source: str, kind: Kind) -> list[Saying]:
    """What applies to a kind of a source's documents and not to the rest of them."""
    usual = set(sayings(config, source))
    return [each for each in sayings(config, source, kind) if each not in usual]


Users = Mapping[str, Sequence[str]]
"""Who brings the documents of a source, by the source: "connector files.main", "key till"."""


def users(instances: Iterable[Instance], keys: Iterable[Key]) -> Users:
    """Every source documents can come from: the configured connectors' and the live API keys'."""
    found: dict[str, list[str]] = defaultdict(list)
    for instance in instances:
        if source := instance.spec.documents_source(instance.name):
            found[source].append(f"connector {instance.full_name}")
    for key in keys:
        if key.revoked_at is None and key.may("documents:write"):
            found[key.source].append(f"key {key.name}")
    return found


class Note(NamedTuple):
    """Something about a source that may not be meant."""

    source: str
    sentence: Phrase


def notes(config: Config, used: Users, *, keys_known: bool) -> Iterator[Note]:
    """Policies of a source nobody uses, connectors whose source has no policy of its own, and those that share one."""
    own = config.sources()
    for source in own:
        if source not in used:
            yield Note(source, _unused(source, sorted(used), keys_known=keys_known))
    for source, by in used.items():
        connectors = [each for each in by if each.startswith("connector ")]
        if source not in own and connectors:
            who = ", ".join(connectors)
            yield Note(
                source,
                Phrase(
                    f"it has no policy of its own, so [policies.{DEFAULT_POLICY}] applies to what {who} brings",
                    f"سیاست جداگانه ندارد؛ برای سندهای {who} همان [policies.{DEFAULT_POLICY}] اعمال می‌شود",
                ),
            )
        if len(connectors) > 1:
            who = ", ".join(connectors)
            yield Note(
                source,
                Phrase(
                    f"{who} share it: of two documents with the same number only the first is taken in, so give each a "
                    "source of its own unless their numbers differ",
                    f"میان {who} مشترک است؛ از دو سند هم‌شماره فقط اولی پذیرفته می‌شود، پس اگر شماره‌ها یکتا نیست "
                    "به هر کدام مبدأ جداگانه بدهید",
                ),
            )


def _unused(source: str, used: Sequence[str], *, keys_known: bool) -> Phrase:
    whose = Phrase("no connector and no API key", "هیچ رابط یا کلید API‌ای")
    if not keys_known:
        whose = Phrase("no connector (whether an API key has, wasn't asked)", "هیچ رابطی (کلیدهای API پرسیده نشد)")
    close = difflib.get_close_matches(source, used, 1)
    guess = Phrase(f"; is {close[0]} meant?", f"؛ شاید {close[0]} منظور است؟") if close else Phrase("", "")
    return Phrase(
        f"[policies.{source}] applies to nothing: {whose.en} has this source{guess.en}",
        f"[policies.{source}] به هیچ سندی نمی‌رسد: {whose.fa} این مبدأ را ندارد{guess.fa}",
    )
