"""YAML mappings whose errors name file and line: duplicate and unknown keys, wrong types.

PyYAML's loaders keep the last of two equal keys and forget the lines; a hand-edited configuration deserves better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class DocumentError(ValueError):
    """A configuration file is wrong; the message names file, line and what to do."""


@dataclass(frozen=True)
class Entry:
    """A value of a document together with where it stands."""

    node: yaml.Node
    source: str

    @property
    def line(self) -> int:
        """Line number, from 1."""
        return int(self.node.start_mark.line) + 1

    def error(self, sentence: str) -> DocumentError:
        """A DocumentError that starts with file and line of this entry."""
        return DocumentError(f"{self.source}, line {self.line}: {sentence}")

    def mapping(self, what: str, allowed: Iterable[str] | None = None) -> dict[str, Entry]:
        """The entries of this mapping in file order.

        Args:
            what: how to call it in an error, for example "mode 'idle'".
            allowed: the keys that may occur; None: any.

        Raises:
            DocumentError: it is no mapping, a key is no string, occurs twice or is not allowed.
        """
        if _is_null(self.node):
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"{what} must be a mapping (key: value)")
        known = None if allowed is None else sorted(allowed)
        entries: dict[str, Entry] = {}
        for key_node, value_node in self.node.value:
            key = Entry(key_node, self.source)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                raise key.error(f"a key of {what} must be a plain name")
            name = str(key_node.value)
            if name in entries:
                raise key.error(f"{what} has the key '{name}' twice (first on line {entries[name].line})")
            if known is not None and name not in known:
                raise key.error(f"{what} has an unknown key '{name}'; known: {', '.join(known)}")
            entries[name] = Entry(value_node, self.source)
        return entries

    def names(self, what: str) -> tuple[tuple[str, Entry], ...]:
        """The strings of this list, each with its place.

        Raises:
            DocumentError: it is no list of names, or a name occurs twice.
        """
        if _is_null(self.node):
            return ()
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"{what} must be a list of names, like [driver, motion]")
        found: dict[str, Entry] = {}
        for item in self.node.value:
            entry = Entry(item, self.source)
            value = entry.value()
            if not isinstance(value, str):
                raise entry.error(f"{what} must hold names, not {value!r}")
            if value in found:
                raise entry.error(f"{what} names '{value}' twice")
            found[value] = entry
        return tuple(found.items())

    def number(self, what: str) -> float:
        """This entry as a number above zero; DocumentError otherwise."""
        value = self.value()
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self.error(f"{what} must be a number above 0, not {value!r}")
        return float(value)

    def check_keys(self, what: str) -> None:
        """Raises DocumentError when a mapping anywhere in here has a key twice."""
        if isinstance(self.node, yaml.MappingNode):
            for name, entry in self.mapping(what).items():
                entry.check_keys(f"'{name}'")
        elif isinstance(self.node, yaml.SequenceNode):
            for item in self.node.value:
                Entry(item, self.source).check_keys(what)

    def value(self) -> Any:
        """The plain Python value (str, int, float, bool, None, list, dict)."""
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_document(self.node)
        except yaml.YAMLError as error:
            raise self.error(f"cannot be read: {_reason(error)}") from error
        finally:
            loader.dispose()


def read_document(path: Path) -> Entry:
    """The root of the YAML file at `path`.

    Raises:
        DocumentError: no such file, not YAML, or empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DocumentError(f"{path}: cannot be read: {reason}") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise DocumentError(f"{path}{where}: is not valid YAML: {_reason(error)}") from error
    if root is None:
        raise DocumentError(f"{path}: is empty")
    return Entry(root, str(path))


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _reason(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]
