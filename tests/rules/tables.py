"""Case tables: YAML an accountant can read, taken strictly, so that a misspelt field fails instead of passing."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import yaml

CASES = Path(__file__).parent / "cases"

_CaseT = TypeVar("_CaseT", bound="Case")


class Case(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every case has: its title in Persian and English."""

    fa: str
    en: str


class _Loader(yaml.SafeLoader):
    """YAML in which 2.5 is the text "2.5", never a float, and a key written twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"written twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: loader.construct_scalar(node))


def read(name: str) -> Any:
    """The whole of ``cases/<name>.yml``."""
    return yaml.load((CASES / f"{name}.yml").read_text("utf-8"), _Loader)


def cases(name: str, case: type[_CaseT]) -> list[Any]:
    """The cases of a file as pytest parameters, each under its English title. Every title is there once."""
    found = msgspec.convert(read(name), list[case])  # type: ignore[valid-type]
    titles = [each.en for each in found]
    assert found
    assert len(set(titles)) == len(titles), f"{name}.yml: two cases have the same title"
    return [pytest.param(each, id=each.en) for each in found]
