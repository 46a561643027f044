"""House rules that no linter checks; one line for each breach, exit 1 when there is any.

1. A Python file has at most 400 lines, a function at most 60.
2. A vendor library is imported by one module of a part of a program, and late (inside a function). A plug-in that
   the vendor itself loads is the exception.
3. No name of a package registry's host or of a place outside the repository stands in a tracked text file.
4. No test is skipped outside tests/gpu, tests/system and tests/browser.
5. No inline exemption from a check, and no note of unfinished work.
6. A display of values is written out, not packed into `*(…)`.
7. A folder of sources with three modules or more has a README.md. (tests/README.md describes the folders of tests.)
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[3]
FILE_LINES = 400
FUNCTION_LINES = 60
MODULES_WITHOUT_README = 2
VISION_VENDORS = frozenset(("av", "cv2", "jetson_utils", "onnxruntime", "openvino", "pycuda", "tensorrt"))
VENDORS = VISION_VENDORS | frozenset(("gpiozero", "lgpio", "paho", "systemd"))
PLUG_INS = frozenset(
    ("device/edges/gpio/jetson_factory.py",)
)  # the vendor loads it by entry point, to subclass its classes
FOREIGN = re.compile(
    r"pypi\.org|pythonhosted\.|npmjs\.|deb\.debian|security\.debian|archive\.ubuntu|crates\.io|huggingface\.co"
    r"|(?<![\w.<}-])/(work|root)/"
)
EXEMPTION = re.compile(
    r"#\s*(noqa|type:\s*ignore|fmt:\s*(off|skip)|pragma:|pylint:|mypy:|ruff:|TO" r"DO|FIX" r"ME|XXX)"
)
MAY_SKIP = ("tests/gpu/", "tests/system/", "tests/browser/")
HOLDS_STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)
SKIPS = frozenset({"skip", "skipif", "xfail", "importorskip"})
TEXT = frozenset(
    {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".sh", ".service", ".conf", ".html", ".js", ".css", ".lock", ""}
)


def main() -> int:
    """Check every file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [p for p in listed.stdout.decode().split("\0") if p and (ROOT / p).is_file()]
    breaches = sorted(breaches_in({p: ROOT / p for p in paths}))
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


def breaches_in(files: dict[str, Path]) -> Iterator[str]:
    """All breaches in some files, given by their path from the repository's root."""
    modules: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, path in files.items():
        if path.suffix not in TEXT:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield from foreign_names(name, text)
        if path.suffix == ".py":
            tree = ast.parse(text, name)
            yield from sizes(name, text, tree)
            yield from exemptions(name, text)
            yield from skips(name, tree)
            yield from packed(name, tree)
            for vendor, line, late in () if name in PLUG_INS else vendor_imports(tree):
                modules[part(name), vendor].add(name)
                if not late and not name.startswith("tests/"):
                    yield f"{name}:{line}: {vendor} is imported at the top of a module; import it where it is used"
    for (owner, vendor), importers in modules.items():
        if len(importers) > 1 and not owner.startswith("tests"):
            yield f"{owner}: {vendor} is imported by {', '.join(sorted(importers))}; one module of a part may"
    yield from without_readme(files)


def part(name: str) -> str:
    """What a file is part of: its folder below device, tools, tools/dev or tests; elsewhere the top folder."""
    parts = PurePosixPath(name).parts
    if parts[0] not in {"device", "tools", "tests"}:
        return parts[0]
    return "/".join(parts[: 3 if parts[:2] == ("tools", "dev") else 2])


def without_readme(names: Iterable[str]) -> Iterator[str]:
    """Folders of sources that no README describes (rule 7)."""
    paths = [PurePosixPath(name) for name in names]
    modules = Counter(path.parent for path in paths if path.suffix == ".py" and path.name != "__init__.py")
    described = {path.parent for path in paths if path.name == "README.md"}
    for folder, count in modules.items():
        if count > MODULES_WITHOUT_README and folder not in described and folder.parts[:1] != ("tests",):
            yield f"{folder}: {count} modules and no README.md; say what is here and how to add one"


def sizes(name: str, text: str, tree: ast.Module) -> Iterator[str]:
    """Lengths of file and functions (rule 1)."""
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{name}:1: {lines} lines; a file has at most {FILE_LINES}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines; a function has at most {FUNCTION_LINES}"


def vendor_imports(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Library, line and whether the import is late, for each vendor import (rule 2); type checking does not count."""
    for node, late in imports(tree.body, late=False):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [node.module or ""] if node.level == 0 else []
        for vendor in {n.split(".")[0] for n in names} & VENDORS:
            yield vendor, node.lineno, late


def imports(body: Iterable[ast.AST], *, late: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below some nodes with its lateness, without those for the type checker alone."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, late
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from imports(node.orelse, late=late)
        else:
            inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            parts = (child for child in ast.iter_child_nodes(node) if isinstance(child, HOLDS_STATEMENTS))
            yield from imports(parts, late=inside)


def foreign_names(name: str, text: str) -> Iterator[str]:
    """Hosts and places (rule 3)."""
    for number, line in enumerate(text.splitlines(), 1):
        found = FOREIGN.search(line)
        if found:
            yield f"{name}:{number}: {found.group()!r} names a host or a place of one machine"


def packed(name: str, tree: ast.Module) -> Iterator[str]:
    """A display of values that is unpacked where it stands (rule 6)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple | ast.List):
            yield f"{name}:{node.lineno}: *({ast.unparse(node.value)[:30]} …) hides a list of values; write them out"


def skips(name: str, tree: ast.Module) -> Iterator[str]:
    """Skipped tests (rule 4)."""
    if not name.startswith("tests/") or name.startswith(MAY_SKIP):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in SKIPS and ast.unparse(node).startswith("pytest."):
            yield f"{name}:{node.lineno}: {ast.unparse(node)}; a test here runs or fails, it is never skipped"


def exemptions(name: str, text: str) -> Iterator[str]:
    """Exemptions and notes, in comments only (rule 5)."""
    if not EXEMPTION.search(text):
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and EXEMPTION.search(token.string):
            yield f"{name}:{token.start[0]}: {token.string.strip()!r}; fix the cause, or file an issue"


if __name__ == "__main__":
    sys.exit(main())
