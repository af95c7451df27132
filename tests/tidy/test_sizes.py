"""Functions have 70 lines at most, files 800.

A line counts when it holds code: blank lines, comments and docstrings do not, so that explaining costs nothing.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING

from tests.tidy import sources

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION_LINES = 70
ASSET_LINES = 40
FILE_LINES = 800

_FUNCTION = re.compile(r"\bfn\s+(\w+)")
_NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def python_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, first line and number of code lines of each function."""
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NOT_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in functions:
        lines = code & set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        first = node.body[0]
        if ast.get_docstring(node, clean=False) is not None:
            lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
        yield node.name, node.lineno, len(lines)


def rust_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, first line and number of code lines of each function that has a body."""
    bare = sources.bare_rust(text)
    blanked = [not line.strip() for line in bare.split("\n")]
    for match in _FUNCTION.finditer(bare):
        end = _body_end(bare, match.end())
        if end is None:
            continue
        first, last = bare.count("\n", 0, match.start()), bare.count("\n", 0, end)
        yield match.group(1), first + 1, sum(not blank for blank in blanked[first : last + 1])


def _body_end(bare: str, start: int) -> int | None:
    """Where the body closes; `None` for a declaration without one."""
    depth = 0
    for position in range(start, len(bare)):
        character = bare[position]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if character == "}" and depth == 0:
                return position
        elif character == ";" and depth == 0:
            return None
    return None


def test_the_rust_scanner_sees_through_strings_comments_and_lifetimes() -> None:
    text = """
        trait T { fn declared(&self) -> [u8; 4]; }
        fn first<'a>(x: &'a str) -> char {
            // }
            let s = r#"}"#;

            '}'
        }
        fn second() { let _ = "\\"}"; }
    """
    assert [(name, lines) for name, _, lines in rust_functions(text)] == [("first", 4), ("second", 1)]


def test_python_counts_code_and_not_its_explanation() -> None:
    text = 'def f(\n    x: int,\n) -> int:\n    """One.\n\n    Two.\n    """\n    # why\n\n    return x\n'
    assert list(python_functions(text)) == [("f", 1, 4)]


def test_functions_are_short() -> None:
    long = []
    for path in sources.with_suffix(".py", ".rs"):
        if sources.is_generated(path):
            continue
        functions = python_functions if path.suffix == ".py" else rust_functions
        limit = ASSET_LINES if path.parts[0] == "assets" else FUNCTION_LINES
        long += [
            f"{path}:{line}: {name} has {lines} lines of code, at most {limit}: split it"
            for name, line, lines in functions(sources.read(path))
            if lines > limit
        ]
    assert not long, "\n".join(long)


def test_files_are_short() -> None:
    long = []
    for path in sources.with_suffix(".py", ".pyi", ".rs", ".proto"):
        lines = sources.read(path).count("\n")
        if lines > FILE_LINES and not sources.is_generated(path):
            long.append(f"{path}: {lines} lines, at most {FILE_LINES}: make it a folder, split by noun")
    assert not long, "\n".join(long)
