"""``hub check``."""

import asyncio
from argparse import Namespace
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.rules.settings import TaxRate
from hub.runtime import check as checks
from hub.runtime import policies
from hub.runtime.check import Finding, Outcome
from hub.runtime.config import DEFAULT_POLICY, Config, load
from hub.runtime.connect import configured
from hub.runtime.console import screen, show, styled, table
from hub.runtime.policies import Saying, Users
from hub.runtime.words import KINDS
from schemas.dates import jalali, today_in_tehran, utc_now

_STYLES = {Outcome.GOOD: "green", Outcome.WRONG: "bold red", Outcome.NOTE: "yellow"}


def check(args: Namespace) -> int:
    """Show what was found. 0: all is well; 1: something named isn't ready. A wrong configuration raises."""
    config = load(args.config, kinds=checks.connector_kinds())
    console = screen()
    for finding in checks.declared(config):
        _show_finding(console, finding)
    ready = args.offline or asyncio.run(_show_servers(console, config, args.timeout))
    known = None if args.offline else asyncio.run(checks.live_keys(config, args.timeout))
    used = policies.users(configured(config), known or ())
    for finding in checks.flows(config, used, keys_known=known is not None):
        _show_finding(console, finding)
    _show_policies(console, config, used)
    _show_rates(console, config)
    return 0 if ready else 1


async def _show_servers(console: Console, config: Config, seconds: float) -> bool:
    ready = True
    async for finding in checks.found(config, seconds):
        _show_finding(console, finding)
        ready &= finding.outcome is not Outcome.WRONG
    return ready


def _show_finding(console: Console, finding: Finding) -> None:
    mark = styled(f"{finding.outcome:<5}", _STYLES[finding.outcome])
    console.print(mark, f"{finding.subject}: {finding.sentence}")
    if finding.persian:
        console.print(f"        {finding.persian}")
    if finding.remedy:
        console.print(f"        {finding.remedy}")


def _show_policies(console: Console, config: Config, used: Users) -> None:
    """A table for each source that has a policy of its own, and one for all the others."""
    show(console, "", styled("Policies by source (سیاست هر مبدأ)", "bold"))
    for source in (*config.sources(), DEFAULT_POLICY):
        show(console, "", _heading(source, config, used), _sayings(console, policies.sayings(config, source)))
        for kind in config.policy_kinds(source):
            name = KINDS[kind]
            if differing := policies.differences(config, source, kind):
                show(console, f"  but of each {name.en} ({name.fa}):", _sayings(console, differing))


def _heading(source: str, config: Config, used: Users) -> Text:
    if source != DEFAULT_POLICY:
        return Text.assemble((source, "bold"), f"  {', '.join(used.get(source, ()))}".rstrip())
    others = [f"{name} ({', '.join(by)})" for name, by in used.items() if name not in config.sources()]
    return Text.assemble(("every other source (مبدأهای دیگر)", "bold"), f"  {', '.join(others)}".rstrip())


def _sayings(console: Console, said: Iterable[Saying]) -> Table:
    rows = [
        (f"  {each.setting.replace('_', ' ')}", each.value, each.origin, each.meaning.en, each.meaning.fa)
        for each in said
    ]
    return table(console, ("", "", "", "", ""), rows)


def _show_rates(console: Console, config: Config) -> None:
    settings = config.rule_settings()
    today = today_in_tehran(utc_now())
    present = max((rate.since for rate in settings.rates if rate.since <= today), default=None)
    rows = [_rate(rate, now=rate.since == present) for rate in settings.rates]
    show(console, "", styled("Tax rates by date, in percent", "bold"))
    show(console, table(console, ("from", "", "VAT", "duty", "together", ""), rows))
    closed = settings.closed_until
    if closed:
        show(console, "", f"Closed fiscal period: up to {jalali(closed)} ({closed}); older documents are rejected.")


def _rate(rate: TaxRate, *, now: bool) -> tuple[str, ...]:
    together = rate.vat + rate.duty
    in_force = "in force today" if now else ""
    return jalali(rate.since), str(rate.since), f"{rate.vat:f}", f"{rate.duty:f}", f"{together:f}", in_force
