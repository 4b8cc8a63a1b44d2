"""What every public function must say of itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "proxy").rglob("*.py"))


def public_functions(
    body: list[ast.stmt], prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield functions and methods that others may call, by their qualified names."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in {"self", "cls"}]


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether click makes a command of it: its options have help of their own."""
    return any("command" in ast.unparse(decorator) for decorator in function.decorator_list)


def promises() -> dict[str, list[str]]:
    """Return the parameters of every method, by its qualified name: what ``See`` may point to."""
    return {
        name: parameters(function)
        for path in MODULES
        for name, function in public_functions(ast.parse(path.read_text()).body)
    }


PROMISES = promises()


def keeps_a_promise(name: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a method only refers to the protocol that says what it does, with the same parameters."""
    promise = re.match(r"See ``(\w+)``", ast.get_docstring(function) or "")
    if promise is None:
        return False
    _, _, method = name.rpartition(".")
    return PROMISES.get(f"{promise[1]}.{method}") == parameters(function)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_functions_of_three_parameters_explain_them(path: Path) -> None:
    """Meaning, units and shapes stand in ``Args``, each parameter by its name; of a protocol's method once, there."""
    silent = [
        (name, parameter)
        for name, function in public_functions(ast.parse(path.read_text()).body)
        if len(parameters(function)) >= 3 and not is_command(function) and not keeps_a_promise(name, function)
        for parameter in parameters(function)
        if f"{parameter}: " not in (ast.get_docstring(function) or "").partition("Args:")[2]
    ]

    assert silent == []
