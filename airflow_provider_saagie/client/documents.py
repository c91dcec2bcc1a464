"""The GraphQL documents: read from ``graphql/*.graphql``, joined with their fragments and parsed when first used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphql import DefinitionNode, DocumentNode, FragmentDefinitionNode, OperationDefinitionNode

__all__ = ["Document", "document", "operation_names", "watch_jobs_text", "watch_logs_text", "watch_text"]

# Every file speaks to the projects' endpoint, but for the catalogue's.
GATEWAY_FILE = "gateway.graphql"


@dataclass(frozen=True)
class Document:
    """An operation with the fragments that it uses.

    :param name: the operation's name, unique in this package.
    :param node: the parsed document.
    :param is_mutation: whether it changes something.
    :param at_gateway: whether it goes to the technology catalogue rather than to the projects.
    """

    name: str
    node: DocumentNode
    is_mutation: bool
    at_gateway: bool

    @cached_property
    def text(self) -> str:
        """The document as it is sent."""
        from graphql import print_ast

        return print_ast(self.node)


@cache
def document(name: str) -> Document:
    """Give the document of an operation.

    :param name: the operation's name in ``graphql/*.graphql``.
    :raises KeyError: where no file has it.
    """
    from graphql import DocumentNode, OperationType

    operations, fragments = _definitions()
    operation, file = operations[name]
    used = _fragments_used(operation, fragments)
    return Document(
        name=name,
        node=DocumentNode(definitions=(operation, *used)),
        is_mutation=operation.operation is OperationType.MUTATION,
        at_gateway=file == GATEWAY_FILE,
    )


def operation_names() -> list[str]:
    """List the names of all operations."""
    return sorted(_definitions()[0])


@lru_cache(maxsize=256)
def watch_text(size: int) -> str:
    """Give the text of one query that asks for many instances: fields ``i0`` … of the variables ``$i0`` ….

    It is composed and printed once per size, since both are half of what a batch costs.

    :param size: how many instances, at least 1.
    """
    from graphql import print_ast

    _, fragments = _definitions()
    variables = ", ".join(f"$i{n}: UUID!" for n in range(size))
    fields = "\n".join(f"  i{n}: jobInstance(id: $i{n}) {{ ...WatchedInstance }}" for n in range(size))
    return f"query watchInstances({variables}) {{\n{fields}\n}}\n\n{print_ast(fragments['WatchedInstance'])}"


@lru_cache(maxsize=256)
def watch_jobs_text(size: int) -> str:
    """Give the text of one query for the newest instances of many jobs: fields ``j0`` … of ``$i0`` ….

    At most ``$n0`` … of each, without the newest ``$s0`` ….

    :param size: how many jobs, at least 1.
    """
    from graphql import print_ast

    _, fragments = _definitions()
    variables = ", ".join(f"$i{n}: UUID!, $n{n}: Int, $s{n}: Int" for n in range(size))
    fields = "\n".join(
        f"  j{n}: job(id: $i{n}) {{ ...WatchedJob instances(limit: $n{n}, skip: $s{n}) {{ ...ListedInstance }} }}"
        for n in range(size)
    )
    texts = "\n\n".join(print_ast(fragments[name]) for name in ("WatchedJob", "ListedInstance"))
    return f"query watchJobs({variables}) {{\n{fields}\n}}\n\n{texts}"


@lru_cache(maxsize=64)
def watch_logs_text(size: int) -> str:
    """Give the text of one query that asks for lines of many logs: fields ``l0`` … of ``$i0``, from ``$s0`` on ….

    The variable ``$limit`` says how many lines of each.

    :param size: how many instances, at least 1.
    """
    variables = ", ".join(f"$i{n}: UUID!, $s{n}: Int" for n in range(size))
    fields = "\n".join(
        f"  l{n}: filteredLogs(jobInstanceID: $i{n}, limit: $limit, skip: $s{n}, streams: [STDOUT, STDERR])"
        " { count content { value stream } }"
        for n in range(size)
    )
    return f"query watchLogs($limit: Int, {variables}) {{\n{fields}\n}}\n"


@cache
def _definitions() -> tuple[dict[str, tuple[OperationDefinitionNode, str]], dict[str, FragmentDefinitionNode]]:
    from graphql import FragmentDefinitionNode, OperationDefinitionNode, Source, parse

    operations: dict[str, tuple[OperationDefinitionNode, str]] = {}
    fragments: dict[str, FragmentDefinitionNode] = {}
    for file in sorted(resources.files(__package__).joinpath("graphql").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".graphql"):
            continue
        for definition in parse(Source(file.read_text("utf-8"), file.name), no_location=True).definitions:
            if isinstance(definition, FragmentDefinitionNode):
                fragments[definition.name.value] = definition
            elif isinstance(definition, OperationDefinitionNode) and definition.name:
                operations[definition.name.value] = (definition, file.name)
    return operations, fragments


def _fragments_used(
    definition: DefinitionNode, fragments: dict[str, FragmentDefinitionNode]
) -> list[FragmentDefinitionNode]:
    from graphql import FragmentSpreadNode, Visitor, visit

    names: list[str] = []

    class Collect(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
            names.append(node.name.value)

    pending = [definition]
    used: dict[str, FragmentDefinitionNode] = {}
    while pending:
        names.clear()
        visit(pending.pop(), Collect())
        new = [name for name in names if name not in used]
        used.update({name: fragments[name] for name in new})
        pending.extend(fragments[name] for name in new)
    return list(used.values())
