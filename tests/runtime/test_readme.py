"""What README.md and the pages for people say is so: commands, files, the snippet and the sample file."""

import ast
import json
import re
import shlex
from pathlib import Path
from textwrap import dedent

import pytest

from connectors.files.rows import form_of, rows
from hub.rules.settings import RuleSettings
from hub.runtime import check
from hub.runtime.commands import commands
from hub.runtime.config import connector_specs, load, variables
from hub.runtime.help import UsageError, parser
from tests.runtime.dev_helpers import ROOT

PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("operations", "connecting", "hesabgar", "webhooks")),
]
CONNECTORS = sorted((ROOT / "connectors").glob("*/README.md"))
README = PAGES[0].read_text(encoding="utf-8")
OTHER_VARIABLES = {
    "PEYVAND_CONFIG",
    "PEYVAND_DATA",
    "PEYVAND_CACHE",
    "PEYVAND_MAVEN_REPOSITORY",
    "PEYVAND_KEY",
}

every_page = pytest.mark.parametrize("page", [*PAGES, *CONNECTORS], ids=lambda page: f"{page.parent.name}/{page.name}")


def hub_commands(text: str) -> set[str]:
    """Every ``hub ...`` that stands in code."""
    fences = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+# .*", "", line) for fence in fences for line in fence.splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    code = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] + spans
    return {found[1] for each in code if (found := re.fullmatch(r"(?:\.venv/bin/)?hub ((?!…)[a-z-].*)", each))}


@every_page
def test_every_command_named_is_one_of_ours(page: Path) -> None:
    named = hub_commands(page.read_text(encoding="utf-8"))
    assert named
    for command in named:
        if command == "--help":
            continue
        words = shlex.split(command)
        name = " ".join(words[:2]) if " ".join(words[:2]) in commands() else words[0]
        assert any(known == name or known.startswith(f"{name} ") for known in commands()), command
        given = words[len(name.split()) :]
        options = [option for argument in commands()[name].arguments for option in argument.names] if given else []
        for word in given:
            assert not word.startswith("-") or word in (*options, "--help"), command


@every_page
def test_every_file_linked_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert links or page in CONNECTORS
    for link in links:
        assert (page.parent / link).exists(), link


@every_page
def test_every_variable_named_is_read(page: Path) -> None:
    named = set(re.findall(r"PEYVAND_[A-Z_]+", page.read_text(encoding="utf-8")))
    assert named <= {*variables(), *OTHER_VARIABLES}


def test_it_begins_with_the_two_commands() -> None:
    assert [line.split()[:2] for line in README.splitlines()[2:4]] == [["make", "run"], ["make", "test"]]


def test_the_snippet_is_python_of_the_standard_library() -> None:
    [snippet] = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    imported = {
        alias.name for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported == {"json", "urllib.request"}


def test_the_sample_file_is_one_the_connector_takes() -> None:
    [sample] = re.findall(r"^```csv\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line.encode() for line in sample.splitlines(keepends=True)]
    form = form_of("documents-1.csv", "utf-8", lines)
    assert [(row.values or {}).get("source_id") for row in rows(lines, form)] == ["INV-7", "INV-7"]
    assert all(row.problem is None for row in rows(lines, form))


def test_the_make_targets_it_names_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        page: re.findall(r"(?:`|^ {4}|^\$ )make ([a-z]+)", page.read_text(encoding="utf-8"), re.M) for page in PAGES
    }
    assert all(named[page] for page in PAGES[:3])
    assert {target for page in PAGES for target in named[page]} <= targets


CONFIGURATIONS = [
    (page, block)
    for page in (*PAGES, *CONNECTORS)
    for block in re.findall(r"^ *```toml\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if "kiosk" not in block
]


@pytest.mark.parametrize(("page", "block"), CONFIGURATIONS, ids=lambda each: getattr(each, "name", ""))
def test_every_configuration_shown_is_good(page: Path, block: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    file = tmp_path / "hub.toml"
    file.write_text(re.sub(r"/run/secrets/\w+", "secret", dedent(block)), encoding="utf-8")
    kinds = check.connector_kinds()
    config = load(file, {}, kinds)
    assert connector_specs(config, kinds) or config.rule_settings() != RuleSettings()


def test_the_figures_are_those_of_the_last_benchmarks() -> None:
    found = json.loads((ROOT / "bench" / "results" / "latest.json").read_text(encoding="utf-8"))
    books = json.loads((ROOT / "bench" / "results" / "hesabgar.json").read_text(encoding="utf-8"))
    rates = ("documents", "two_workers_documents", "chain_without_faust_documents", "bare_documents")
    figures = [f"| {found[f'{rate}_per_second']:,.0f} a second" for rate in rates]
    figures += [f"reaches {found['ratio']:.2f} of it", f"median {found['decision_p50_ms']:.0f} ms"]
    figures += [f"99 % within {found['decision_p99_ms']:.0f} ms"]
    figures += [f"{found['intake_single_per_second']:,.0f} / {found['intake_batch_per_second']:,.0f} a second"]
    figures += [f"{found['dev_cold_seconds']:.1f} s / {found['dev_warm_seconds']:.1f} s"]
    figures += [f"{books['sync_seconds']:.1f} s", f"{books['vouchers_per_second']:.0f} invoices"]
    figures += [f"{books['drain_seconds']:.0f} s", f"refreshed in {books['refresh_seconds']:.2f} s"]
    assert [figure for figure in figures if figure not in README] == []


def test_this_file_would_find_a_command_that_is_not_there() -> None:
    assert hub_commands("`hub fly --high` and\n```sh\n$ .venv/bin/hub swim\n```\n") == {"fly --high", "swim"}
    with pytest.raises(UsageError):
        parser(commands()["dev"]).parse_args(["--high"])
