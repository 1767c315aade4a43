"""The few XPath forms the contract's procedures use on an xml parameter: steps, attributes, text(), ``[1]``."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from connectors.hesabgar.simulator.errors import SqlError

Element = ElementTree.Element

_SINGLE = re.compile(r"^\((?P<path>.+)\)\[1\]$", re.DOTALL)


def parse(text: str) -> Element:
    """A document, or several elements side by side, under one root of our own. Raises error 9455 (not XML)."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise SqlError(6359, "Parsing XML with internal subset DTDs not allowed.")
    body = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    try:
        return ElementTree.fromstring(f"<root>{body}</root>")  # noqa: S314 (no entities: refused above)
    except ElementTree.ParseError as error:
        line, character = error.position
        raise SqlError(
            9455, f"XML parsing: line {line}, character {character}, illegal qualified name character"
        ) from None


def nodes(context: Element, path: str) -> Iterator[Element]:
    """The elements a path leads to."""
    found = [context]
    for step in path.strip().lstrip("/").split("/"):
        if step and step != ".":
            found = [child for each in found for child in each if step in (child.tag, "*")]
    return iter(found)


def value(context: Element, path: str) -> str | None:
    """The text of an attribute or element; None when there is none."""
    path = path.strip()
    single = _SINGLE.match(path)
    if single:
        path = single["path"].strip()
    elif not path.startswith("@") and path != ".":
        raise SqlError(
            2389,
            "XQuery [value()]: 'value()' requires a singleton (or empty sequence), found operand of type "
            "'xdt:untypedAtomic *'",
        )
    steps, last = path.rsplit("/", 1) if "/" in path else ("", path)
    for element in nodes(context, steps):
        if last.startswith("@"):
            if last[1:] in element.attrib:
                return element.attrib[last[1:]]
        elif last == "text()":
            if element.text:
                return element.text
        elif last == ".":
            return "".join(element.itertext())
        else:
            for child in element:
                if child.tag == last:
                    return "".join(child.itertext())
    return None


def exists(context: Element, path: str) -> bool:
    """Whether a path leads anywhere."""
    if "@" in path or "text()" in path:
        return value(context, f"({path})[1]") is not None
    return next(nodes(context, path), None) is not None
