"""Public functions are documented: a first line, and every parameter of a Parameters section exists."""

import ast
import importlib
import inspect
import pkgutil

import pytest

import studies
import tgsr

MODULES = [
    info.name
    for package in (tgsr, studies)
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not info.name.endswith("__main__") and ".bench" not in info.name and "model_code" not in info.name
]


def public_objects(module):
    for name in getattr(module, "__all__", []):
        thing = getattr(module, name)
        if getattr(thing, "__module__", None) == module.__name__ and (
            inspect.isfunction(thing) or inspect.isclass(thing)
        ):
            yield name, thing


@pytest.mark.parametrize("name", MODULES)
def test_public_objects_are_documented_and_annotated(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for label, thing in public_objects(module):
        assert inspect.getdoc(thing), f"{name}.{label} has no docstring"
        if inspect.isfunction(thing):
            missing = set(inspect.signature(thing).parameters) - set(thing.__annotations__)
            assert not missing, f"{name}.{label}: no annotation for {missing}"
            documented = documented_parameters(inspect.getdoc(thing) or "")
            unknown = documented - set(inspect.signature(thing).parameters)
            assert not unknown, f"{name}.{label} documents {unknown}, which it does not take"


def documented_parameters(text: str) -> set[str]:
    lines, names, inside = text.splitlines(), set(), False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if following.startswith("---"):
            inside = line == "Parameters"
        elif inside and line and not line.startswith((" ", "-")):
            names |= {part.strip().lstrip("*") for part in line.split(" : ")[0].split(",")}
    return {name for name in names if name.isidentifier()}


def test_every_module_names_its_public_objects_as_strings():
    for name in MODULES:
        module = importlib.import_module(name)
        tree = ast.parse(inspect.getsource(module))
        exported = [n for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__"]
        for assignment in exported:
            for exported_name in ast.literal_eval(assignment.value):
                assert hasattr(module, exported_name), f"{name}.__all__ names {exported_name}, which is not there"
