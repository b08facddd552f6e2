"""Whatever the store can do, the service does: each public method of its classes has a caller in ``app``.

A call counts for a method where the name before the dot is known to hold an object of its class: by the
annotation of a parameter, by an assignment of a new object, or as an attribute of a unit of work.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"


@cache
def trees() -> dict[Path, ast.Module]:
    """The parsed modules of ``app``."""
    return {path: ast.parse(path.read_text()) for path in sorted(APP.rglob("*.py"))}


def store_classes() -> dict[str, ast.ClassDef]:
    """Every class of the store that has methods, by name, but those whose methods a library calls."""
    found = {}
    for path, tree in trees().items():
        if path.is_relative_to(APP / "store"):
            for node in tree.body:
                if (
                    isinstance(node, ast.ClassDef)
                    and any(public_methods(node))
                    and not is_plugged_in(node, tree)
                ):
                    assert node.name not in found, f"two classes of the store are called {node.name}"
                    found[node.name] = node
    return found


def is_plugged_in(node: ast.ClassDef, tree: ast.Module) -> bool:
    """Whether a class derives from one of a library, which calls its methods."""
    imports = (part for part in tree.body if isinstance(part, ast.ImportFrom | ast.Import))
    imported = {
        alias.asname or alias.name
        for part in imports
        if not (isinstance(part, ast.ImportFrom) and (part.module or "").startswith("app."))
        for alias in part.names
    }
    return bool({leftmost(base) for base in node.bases} & imported)


def leftmost(node: ast.AST) -> str | None:
    """The first name of ``a``, ``a.b`` or ``a[b]``."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return named(node)


def public_methods(node: ast.ClassDef) -> Iterator[str]:
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and not part.name.startswith("_"):
            yield part.name


def family(name: str, classes: dict[str, ast.ClassDef]) -> set[str]:
    """A class and its bases within the store."""
    bases = {base.id for base in classes[name].bases if isinstance(base, ast.Name)} & classes.keys()
    return {name}.union(*(family(base, classes) for base in bases))


def named(node: ast.AST | None) -> str | None:
    """The last name of ``a``, ``a.b`` or ``"a"``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def protocols_of_store() -> dict[str, set[str]]:
    """The methods of each protocol; a name annotated with one may hold any class that has them."""
    return {
        node.name: set(public_methods(node))
        for path, tree in trees().items()
        if path.is_relative_to(APP / "store")
        for node in tree.body
        if isinstance(node, ast.ClassDef) and "Protocol" in {leftmost(base) for base in node.bases}
    }


def holders(classes: dict[str, ast.ClassDef]) -> dict[str, set[str]]:
    """For each name, the store's classes whose objects it may hold anywhere in ``app``."""
    held: dict[str, set[str]] = defaultdict(set)
    held["unit"] = held["writing"] = {"WriteUnit", "SignOfLife"} & classes.keys()
    protocols = protocols_of_store()
    for node in (node for tree in trees().values() for node in ast.walk(tree)):
        if isinstance(node, ast.arg | ast.AnnAssign) and named(node.annotation) in classes:
            name = node.arg if isinstance(node, ast.arg) else named(node.target)
            # ``self._database = database`` keeps the name of the parameter.
            held[name].add(named(node.annotation))
            held[f"_{name}"].add(named(node.annotation))
        elif isinstance(node, ast.arg | ast.AnnAssign) and named(node.annotation) in protocols:
            name = node.arg if isinstance(node, ast.arg) else named(node.target)
            methods = protocols[named(node.annotation)]
            kinds = {kind for kind, one in classes.items() if methods <= set(public_methods(one))}
            held[name] |= kinds
            held[f"_{name}"] |= kinds
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = node.value.func
            kinds = {named(made), named(made.value) if isinstance(made, ast.Attribute) else None}
            for target in node.targets:
                held[named(target)] |= kinds & classes.keys()
    return held


def unit_attributes() -> set[str]:
    """The repositories of a unit of work, such as ``unit.images``; other classes use these names too."""
    tree = trees()[APP / "store" / "unit_of_work.py"]
    assigned = (named(node.targets[0]) for node in ast.walk(tree) if isinstance(node, ast.Assign))
    return {name for name in assigned if name is not None and not name.startswith("_")}


def called(classes: dict[str, ast.ClassDef]) -> set[tuple[str, str]]:
    """Pairs of a class and a method that is used on a name that may hold it."""
    held, of_units = holders(classes), unit_attributes()
    used = set()
    for outer in (node for tree in trees().values() for node in ast.walk(tree)):
        if isinstance(outer, ast.ClassDef) and outer.name in classes:
            attributes = (node for node in ast.walk(outer) if isinstance(node, ast.Attribute))
            used |= {(outer.name, node.attr) for node in attributes if named(node.value) in {"self", "cls"}}
        if isinstance(outer, ast.Attribute) and (name := named(outer.value)) is not None:
            is_other = name in of_units and named(getattr(outer.value, "value", None)) not in {
                "unit",
                "writing",
            }
            kinds = {name} & classes.keys() if is_other else held.get(name, set()) | ({name} & classes.keys())
            used |= {(kind, outer.attr) for kind in kinds}
    return {(base, method) for kind, method in used for base in family(kind, classes)}


def test_every_public_method_of_the_store_has_a_caller():
    classes = store_classes()
    used = called(classes)

    uncalled = [
        f"{name}.{method}"
        for name, node in classes.items()
        for method in public_methods(node)
        if (name, method) not in used
    ]

    assert uncalled == []


def test_a_method_that_only_another_class_calls_by_its_name_is_found(monkeypatch):
    """``collections.sweep`` had no caller, while ``sweeper.sweep`` had one."""
    chores = APP / "services" / "operations" / "chores.py"
    without = trees()[chores].body
    monkeypatch.setitem(
        trees(),
        chores,
        ast.parse(ast.unparse(ast.Module(without, [])).replace("unit.collections.sweep", "other.sweep")),
    )
    classes = store_classes()
    [owner] = [name for name, node in classes.items() if "sweep" in set(public_methods(node))]

    assert (owner, "sweep") not in called(classes)
