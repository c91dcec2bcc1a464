"""A Sphinx extension: the reference is read from the source, signatures and docstrings as they stand there.

Nothing of it is imported, so that the site is built without Airflow. Two directives, for reStructuredText::

    .. source-object:: airflow_provider_saagie.hooks.saagie.SaagieHook
       :members: get_conn, jobs

    .. source-module:: airflow_provider_saagie.exceptions

The first shows a class by the name that users import it by, with the methods that are named, or ``all``. The second
shows a module's docstring and each of its public classes.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directives."""
    app.add_directive("source-object", SourceObject)
    app.add_directive("source-module", SourceModule)
    return {"parallel_read_safe": True}


class FromSource(SphinxDirective):
    """What both have in common: they write reStructuredText."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Have the text parsed."""
        text = "\n".join(self.text())
        container = nodes.Element()
        self.state.nested_parse(StringList(text.splitlines(), source=self.arguments[0]), self.content_offset, container)
        return container.children

    def text(self) -> Iterator[str]:
        """Write the text."""
        raise NotImplementedError

    def tree(self, module: str) -> ast.Module:
        """Read a module."""
        file = ROOT / f"{module.replace('.', '/')}.py"
        self.env.note_dependency(str(file))
        return ast.parse(file.read_text(encoding="utf-8"))


class SourceObject(FromSource):
    """Shows a class."""

    option_spec: ClassVar = {"members": directives.unchanged}

    def text(self) -> Iterator[str]:
        """Write the class and what is asked for of its methods."""
        module, _, name = self.arguments[0].rpartition(".")
        yield f".. py:currentmodule:: {module}\n"
        asked = self.options.get("members", "")
        yield from show(self.find(module, name), None if asked == "all" else {one.strip() for one in asked.split(",")})

    def find(self, module: str, name: str) -> ast.ClassDef:
        """Find a class, also where its module has it from another one."""
        tree = self.tree(module)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return node
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module and name in {one.name for one in node.names}:
                return self.find(node.module, name)
        raise self.error(f"{module} has no class {name}.")


class SourceModule(FromSource):
    """Shows a module's docstring and its classes."""

    def text(self) -> Iterator[str]:
        """Write the module's docstring and its classes, in their order."""
        tree = self.tree(self.arguments[0])
        yield f".. py:module:: {self.arguments[0]}\n"
        yield docstring(tree) + "\n"
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from show(node, set())


def show(node: ast.ClassDef, members: set[str] | None) -> Iterator[str]:
    """Write a class with its signature, its docstring, and those of its members.

    :param node: the class.
    :param members: which; None for all that are public.
    """
    functions = [one for one in node.body if isinstance(one, Function)]
    made = next((signature(one) for one in functions if one.name == "__init__"), "")
    bases = [ast.unparse(base) for base in node.bases]
    is_error = any(base.endswith(("Error", "Exception", "Failed")) for base in bases)
    yield f".. py:{'exception' if is_error else 'class'}:: {node.name}{'' if is_error else made}\n"
    if is_error:
        yield indent(f"A kind of {', '.join(f':py:exc:`{base}`' for base in bases)}.\n", "   ")
    yield indent(docstring(node), "   ") + "\n"
    for one in functions:
        if not one.name.startswith("_") and (members is None or one.name in members):
            yield indent("\n".join(show_method(one)), "   ") + "\n"


def show_method(node: Function) -> Iterator[str]:
    """Write a method, or a property, with its docstring."""
    marks = {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}
    if marks & {"property", "cached_property"}:
        yield f".. py:property:: {node.name}"
        if node.returns:
            yield f"   :type: {ast.unparse(node.returns)}"
    else:
        returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        yield f".. py:method:: {node.name}{signature(node)}{returned}"
        if "classmethod" in marks:
            yield "   :classmethod:"
    yield ""
    yield indent(docstring(node), "   ")


def signature(node: Function) -> str:
    """Give a method's parameters, without the first."""
    arguments = ast.parse(ast.unparse(node)).body[0].args  # type: ignore[attr-defined]  # a copy: it is changed below
    (arguments.posonlyargs or arguments.args).pop(0)
    return f"({ast.unparse(arguments)})"


def docstring(node: ast.Module | ast.ClassDef | Function) -> str:
    """Give a docstring, its margin taken away."""
    return inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
