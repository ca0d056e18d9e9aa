"""docs/ingest.md names a test for each rule: each of them exists."""

import ast
import re

from aiops.plugin.load import HOUSE

NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def test_every_test_that_the_rules_name_exists() -> None:
    named = set(NAMED.findall((HOUSE / "docs" / "ingest.md").read_text()))
    assert len(named) > 30
    files = {path.name: path for path in (HOUSE / "tests").rglob("test_*.py")}
    there = {
        (name, node.name)
        for name in {file for file, _ in named} & files.keys()
        for node in ast.walk(ast.parse(files[name].read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not named - there


def test_every_fate_is_explained() -> None:
    from aiops.wire.intake import Tally

    text = (HOUSE / "docs" / "ingest.md").read_text()
    assert not [fate for fate in Tally().counts() if f"`{fate}`" not in text]
