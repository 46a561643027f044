"""axe-core on a page of the browser."""

from __future__ import annotations

import json
from typing import Any

from tests.browser.chrome import Chrome
from tools.dev.gate.axe import axe_script

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def load_axe(chrome: Chrome) -> None:
    """Put the checker into the document that is shown now."""
    chrome.ask(axe_script().read_text(encoding="utf-8") + "; 0")


def violations(chrome: Chrome) -> list[Any]:
    """What axe-core finds on the page as it is now: rule, and where."""
    found = chrome.ask(
        f"axe.run(document, {{runOnly: {json.dumps(TAGS)}}}).then(r => r.violations.map("
        "v => [v.id, v.nodes.map(n => n.target.join(' ')).slice(0, 3)]))"
    )
    assert isinstance(found, list)
    return found
