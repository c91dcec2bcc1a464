"""Check what the tests prove: change the package at random places, and count the changes that a test notices.

`python -m scripts.mutants --seed 1 --count 60 MODULE ...` picks `count` mutants of the named modules. Each is one small
change of an expression or a statement: a comparison, a boolean, a number, a condition, a call that is left out. The
mutant is written into the checkout, the tests that execute the changed line are run (`--contexts` names a coverage file
that was written with `pytest --cov --cov-context=test`), and the file is restored. A mutant whose tests all pass has
*survived*. With `--tree` the tests of another checkout are judged by the same mutants: a seed picks the same ones as
long as the modules are the same.

A failure counts only if the failing test fails again on its own, so that a test that races does not count as a proof.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "airflow_provider_saagie"
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}
TIMED_OUT = 124
FEW = 40  # so many tests are quicker in one process than in two


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    :param file: relative to the checkout.
    :param start: offset of the replaced text, in characters.
    :param end: its end.
    :param new: the text that replaces it.
    :param line: the number of its first line.
    :param what: the kind of change.
    """

    file: str
    start: int
    end: int
    new: str
    line: int
    what: str

    def apply(self, text: str) -> str:
        """Return the file's text with the change."""
        return text[: self.start] + self.new + text[self.end :]

    def describe(self, text: str) -> str:
        """Return one line: where, and what is replaced by what."""
        old = " ".join(text[self.start : self.end].split())
        return f"{self.file}:{self.line}: {self.what}: {old[:60]!r} -> {' '.join(self.new.split())[:60]!r}"


class Collector(ast.NodeVisitor):
    """Collects the possible mutants of one module."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found: list[Mutant] = []

    def offset(self, line: int, column: int) -> int:
        """Return an offset in characters; ast counts columns in bytes."""
        start = self.starts[line - 1]
        return start + len(self.text[start : self.starts[line]].encode()[:column].decode())

    def replace(self, node: ast.expr | ast.stmt, new: str, what: str) -> None:
        """Note that the node's text may be replaced."""
        start = self.offset(node.lineno, node.col_offset)
        end = self.offset(node.end_lineno or 0, node.end_col_offset or 0)
        self.found.append(Mutant(self.file, start, end, new, node.lineno, what))

    def source(self, node: ast.AST) -> str:
        """Return the node's text."""
        return ast.get_source_segment(self.text, node) or ast.unparse(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Turn a comparison round."""
        if len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            operator = COMPARISONS[type(node.ops[0])]
            self.replace(
                node, f"({self.source(node.left)} {operator} {self.source(node.comparators[0])})", "comparison"
            )
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Swap `and` and `or`."""
        joint = " or " if isinstance(node.op, ast.And) else " and "
        self.replace(node, "(" + joint.join(f"({self.source(value)})" for value in node.values) + ")", "and/or")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Leave a `not` out."""
        if isinstance(node.op, ast.Not):
            self.replace(node, f"bool({self.source(node.operand)})", "not")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Swap arithmetic operators."""
        if type(node.op) in ARITHMETIC and not isinstance(node.left, (ast.Constant, ast.JoinedStr)):
            operator = ARITHMETIC[type(node.op)]
            self.replace(node, f"({self.source(node.left)} {operator} {self.source(node.right)})", "arithmetic")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Change a boolean or a number."""
        if isinstance(node.value, bool):
            self.replace(node, str(not node.value), "boolean")
        elif isinstance(node.value, (int, float)):
            self.replace(node, f"({node.value!r} + 1)", "number")

    def visit_If(self, node: ast.If) -> None:
        """Negate a condition."""
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.replace(node.test, f"(not ({self.source(node.test)}))", "condition")
            self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        """Return None instead."""
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.replace(node.value, "None", "return")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Leave a call out."""
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(value, ast.Call):
            self.replace(node, "pass", "call")
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Leave annotations alone."""
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Leave annotations and decorators alone."""
        for default in [*node.args.defaults, *(one for one in node.args.kw_defaults if one)]:
            self.visit(default)
        for statement in node.body:
            self.visit(statement)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815


def mutants(tree: Path, module: str) -> list[Mutant]:
    """List the possible mutants of a module, by its path."""
    text = (tree / module).read_text(encoding="utf-8")
    collector = Collector(module, text)
    collector.visit(ast.parse(text))
    return collector.found


def choose(tree: Path, modules: list[str], count: int, seed: int) -> list[Mutant]:
    """Pick mutants at random, as many of each module as of any other while it has some."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    pools = {module: mutants(tree, module) for module in modules}
    chosen: list[Mutant] = []
    while len(chosen) < count and any(pools.values()):
        for module in modules:
            if pools[module] and len(chosen) < count:
                chosen.append(pools[module].pop(rng.randrange(len(pools[module]))))
    return chosen


def covering_tests(contexts: Path, tree: Path, mutant: Mutant) -> list[str]:
    """List the tests that execute a mutant's line."""
    from coverage import CoverageData

    data = CoverageData(basename=str(contexts))
    data.read()
    wanted = Path(mutant.file)
    for name in data.measured_files():
        if Path(name) in (wanted, tree / wanted):
            by_line = data.contexts_by_lineno(name)
            text = (tree / mutant.file).read_text(encoding="utf-8")
            lines = range(mutant.line, mutant.line + text[mutant.start : mutant.end].count("\n") + 1)
            found = {context for line in lines for context in by_line.get(line, ()) if context}
            if not found and any(by_line.get(line) for line in lines):  # at import only: a default, a constant
                found = {context for contexts in by_line.values() for context in contexts if context}
            return sorted({context.partition("|")[0] for context in found})
    return []


def run(tree: Path, options: argparse.Namespace, tests: list[str]) -> tuple[int, str]:
    """Run tests up to the first failure; return pytest's exit code and the first failing test."""
    command = [options.python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not by_hand"]
    command += ["--timeout", str(options.seconds)]  # a mutant may wait for ever
    if len(tests) > FEW:
        command += ["-n", "2"]
    try:
        done = subprocess.run(
            [*command, *tests], cwd=tree, capture_output=True, text=True, timeout=4 * options.seconds, check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return TIMED_OUT, "time limit"
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return done.returncode, failed[1] if failed else done.stdout[-300:] + done.stderr[-300:] if done.returncode else ""


def judge(tree: Path, options: argparse.Namespace, mutant: Mutant, tests: list[str]) -> tuple[str, str]:
    """Return the verdict on a mutant, and the test that decided it."""
    if not tests:
        return "survived", "no test executes it"
    file = tree / mutant.file
    original = file.read_text(encoding="utf-8")
    file.write_text(mutant.apply(original), encoding="utf-8")
    try:
        for _ in range(2):
            code, failed = run(tree, options, tests)
            if code == 0:
                return "survived", f"{len(tests)} tests pass"
            if code == TIMED_OUT:  # the tests wait for ever
                return "killed", failed
            if "::" not in failed or run(tree, options, [failed])[0] != 0:
                return "killed", failed
        return "killed", f"{failed} (not on its own)"
    finally:
        file.write_text(original, encoding="utf-8")


def report(tree: Path, chosen: list[Mutant], options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Judge mutants one after the other."""
    for number, mutant in enumerate(chosen, 1):
        if options.only and number not in options.only:
            continue
        text = (tree / mutant.file).read_text(encoding="utf-8")
        tests = covering_tests(options.contexts, tree, mutant)
        tests = [test for test in tests if (tree / test.partition("::")[0]).exists()]
        verdict, by = judge(tree, options, mutant, tests)
        row = {"mutant": mutant.describe(text), "verdict": verdict, "by": by, "tests": str(len(tests))}
        print(f"{number:3d} {verdict:9s} {row['mutant']}   [{by}]", flush=True)
        yield row


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="+", help="files of the package, relative to the checkout")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout; its files are changed and restored")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the mutants to judge, from 1")
    parser.add_argument("--seconds", type=int, default=90, help="of one test")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--contexts", type=Path, help="a coverage file with test contexts")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    tree = options.tree.resolve()
    chosen = choose(tree, options.modules, options.count, options.seed)
    if options.list:
        for mutant in chosen:
            print(mutant.describe((tree / mutant.file).read_text(encoding="utf-8")))
        return 0
    if options.contexts is None:
        parser.error("--contexts is needed, unless --list is given")
    rows = list(report(tree, chosen, options))
    killed = sum(row["verdict"] == "killed" for row in rows)
    print(f"{killed} of {len(rows)} mutants killed (seed {options.seed})")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
