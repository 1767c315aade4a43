"""``hub check``."""

import asyncio
from argparse import Namespace

from rich.console import Console

from hub.rules.settings import TaxRate
from hub.runtime import check as checks
from hub.runtime.check import Finding, Outcome
from hub.runtime.config import DEFAULT_POLICY, Config, PolicyValue, load
from hub.runtime.console import screen, show, styled, table
from hub.runtime.problems import toml_text
from schemas.dates import jalali, today_in_tehran, utc_now

_STYLES = {Outcome.GOOD: "green", Outcome.WRONG: "bold red", Outcome.NOTE: "yellow"}


def check(args: Namespace) -> int:
    """Show what was found. 0: all is well; 1: something named isn't ready. A wrong configuration raises."""
    config = load(args.config, kinds=checks.connector_kinds())
    console = screen()
    for finding in checks.declared(config):
        _show_finding(console, finding)
    ready = args.offline or asyncio.run(_show_servers(console, config, args.timeout))
    _show_policies(console, config)
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
    if finding.remedy:
        console.print(f"        {finding.remedy}")


def _show_policies(console: Console, config: Config) -> None:
    rows = []
    for source in (DEFAULT_POLICY, *config.sources()):
        values = config.policy_values(source)
        name = "every other source" if source == DEFAULT_POLICY else source
        rows.append((name, *(_value(each, console) for each in values.values())))
    headings = ("source", *(field.replace("_", " ") for field in config.policy_values(DEFAULT_POLICY)))
    show(console, "", styled("Policies: which value applies, and the table it comes from", "bold"))
    show(console, table(console, headings, rows))


def _value(each: PolicyValue, console: Console) -> str:
    """The value and its origin, one below the other where columns are narrow."""
    text = "never" if each.value is None else toml_text(each.value).strip('"')
    return f"{text}\n({each.origin})" if console.is_terminal else f"{text} ({each.origin})"


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
