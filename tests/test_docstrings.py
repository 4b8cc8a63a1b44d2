"""What the docstring of every public function must contain."""

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
    """Yield public functions and methods, with their qualified names."""
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
    """Tell whether click makes a command of a function; its options have help texts of their own."""
    return any("command" in ast.unparse(decorator) for decorator in function.decorator_list)


def promises() -> dict[str, list[str]]:
    """Return the parameters of every method by its qualified name, which ``See`` may refer to."""
    return {
        name: parameters(function)
        for path in MODULES
        for name, function in public_functions(ast.parse(path.read_text()).body)
    }


PROMISES = promises()


def keeps_a_promise(name: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a method's docstring only refers to a protocol whose method has the same parameters."""
    promise = re.match(r"See ``(\w+)``", ast.get_docstring(function) or "")
    if promise is None:
        return False
    _, _, method = name.rpartition(".")
    return PROMISES.get(f"{promise[1]}.{method}") == parameters(function)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_functions_of_three_parameters_explain_them(path: Path) -> None:
    """Functions of three or more parameters explain each in ``Args``; methods of a protocol do so in the protocol."""
    silent = [
        (name, parameter)
        for name, function in public_functions(ast.parse(path.read_text()).body)
        if len(parameters(function)) >= 3 and not is_command(function) and not keeps_a_promise(name, function)
        for parameter in parameters(function)
        if f"{parameter}: " not in (ast.get_docstring(function) or "").partition("Args:")[2]
    ]

    assert silent == []
