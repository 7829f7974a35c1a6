"""Who may import whom, and what the engine must never do: read from the source, not from a running program."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from inspect import isfunction, ismodule
from pathlib import Path

import pytest

import sre2l_core

PACKAGE = Path(sre2l_core.__file__).parent
STAGES = ("squeeze", "recover", "relabel", "validate")
LAYERS = [
    (
        *("ahead", "config", "counter_random", "errors", "events", "files", "locks", "manifests", "pictures", "ranks"),
        *("registry", "runtime", "settings", "steps", "storage", "tabular", "tracking", "worker"),
    ),
    ("augment", "views", "bn_stats", "losses", "data", "backbones", "codecs", "terms", "groups", "parametrisations"),
    ("artifacts", "committee", "presets", "embed"),
    ("starts",),
    ("work",),
    ("stages",),
    ("continual", "theory"),
    ("studies",),
    ("figures",),
    ("runs",),
    ("paper",),
    ("comparisons",),
    ("widgets",),
    ("arguments", "interrupts", "torchrun", "commands", "cli", "__main__"),
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def block_after(file, words):
    """The first block of code after some words of a text."""
    text = (PACKAGE.parent / file).read_text(encoding="utf-8")
    return text[text.index(words) :].split("```")[1].strip("\n")


def test_the_rooms_in_contributing_are_the_layers():
    rooms = [line.split("  ")[0].split() for line in block_after("CONTRIBUTING.md", "Downwards only").splitlines()]
    assert rooms[0] == ["notebooks"]
    assert [set(room) for room in rooms[:0:-1]] == [set(layer) for layer in LAYERS]


def test_the_tree_in_the_readme_is_there_and_leaves_no_folder_out():
    tree = block_after("README.md", "## The tree")
    ours = tree[: tree.index("\nnotebooks/")].splitlines()[1:]
    named = [name for line in ours for name in line[2:].split("   ")[0].split("  ") if name]
    assert [name for name in named if not (PACKAGE / name).exists()] == []
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == {n.strip("/") for n in named if "/" in n}


def part_of(path):
    """The part of the package that a file belongs to: its top-level module or folder."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree):
    """Full names of all imported modules, also inside functions; not what is only imported for annotations."""
    for_types = [
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    ]
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree):
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def each_file(test):
    return pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())(test)


@each_file
def test_imports_point_downwards(path):
    part, stage = part_of(path), stage_of(path.relative_to(PACKAGE).with_suffix("").parts)
    assert part in LEVEL, f"say in LAYERS where {part} belongs"
    for name in imported(tree_of(path)):
        if not name.startswith("sre2l_core."):
            continue
        other = name.split(".")[1]
        if other == "__version__":
            continue
        assert LEVEL[other] <= LEVEL[part], f"{part} imports {name}"
        assert not stage or stage_of(name.split(".")[1:]) in (None, stage), f"stages never import one another: {name}"


def stage_of(parts):
    """The stage that a module of `stages/` belongs to; None for what stages share, such as `training`."""
    return parts[1] if len(parts) > 1 and parts[0] == "stages" and parts[1] in STAGES else None


def private(name):
    return name.startswith("_") and not name.startswith("__")


@each_file
def test_private_names_stay_in_their_module(path):
    tree, ours = tree_of(path), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sre2l_core"):
            assert not private(node.module.rpartition(".")[2]), ast.unparse(node)
            assert not any(private(alias.name) for alias in node.names), ast.unparse(node)
            ours |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ours:
            assert not private(node.attr), ast.unparse(node)


@each_file
def test_only_what_is_shown_knows_matplotlib_and_jupyter(path):
    graphical = {"matplotlib", "ipywidgets", "IPython", "jupyter"} & {n.split(".")[0] for n in imported(tree_of(path))}
    assert not graphical or LEVEL[part_of(path)] >= LEVEL["figures"]
    assert not graphical - {"matplotlib"} or LEVEL[part_of(path)] >= LEVEL["widgets"]


@each_file
def test_the_engine_is_quiet_and_touches_nothing_global(path):
    if LEVEL[part_of(path)] > LEVEL["theory"]:
        return
    used = set(calls(tree_of(path)))
    seeding = {"torch.manual_seed", "torch.seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all"}
    seeding |= {"np.random.seed", "numpy.random.seed", "random.seed", "seed_everything"}
    assert not used & {"print", "input", "sys.exit"}
    assert not used & {"warnings.filterwarnings", "warnings.simplefilter"} or "warnings.catch_warnings" in used
    assert not used & seeding
    if path != PACKAGE / "backbones" / "__init__.py":  # there, inside a fork of the random state
        assert not any(name.startswith("torch.default_generator") for name in used)
    assert "random" not in {name.split(".")[0] for name in imported(tree_of(path))}


@each_file
def test_only_runtime_knows_the_machine(path):
    if path == PACKAGE / "runtime.py":
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            assert node.attr != "cuda", ast.unparse(node)


@each_file
def test_nothing_is_pickled_and_checkpoints_load_weights_only(path):
    tree = tree_of(path)
    for name in imported(tree):
        assert name.split(".")[0] not in ("dill", "joblib", "shelve", "marshal"), name
        assert not name.startswith("pickle.") or name.endswith("Error"), name
        assert name != "pickle"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "numpy.load"):
            safe = {"weights_only": True, "allow_pickle": False}
            given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
            library = "weights_only" if ast.unparse(node.func).startswith("torch") else "allow_pickle"
            assert given.get(library, False if library == "allow_pickle" else None) == safe[library], ast.unparse(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.save":
            raise AssertionError(ast.unparse(node))


def test_importing_the_package_is_quick_and_loads_no_torch():
    program = (
        "import sys, time; import sre2l_core; sre2l_core.__version__; "
        "print(time.process_time(), 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, torch, numpy = done.stdout.split()
    assert float(seconds) < 2
    assert (torch, numpy) == ("False", "False")


def test_every_name_of_the_front_door_is_there():
    for name in sre2l_core.__all__:
        assert getattr(sre2l_core, name) is not None
    for verb in STAGES:
        assert ismodule(import_module(f"sre2l_core.stages.{verb}"))
        assert isfunction(getattr(sre2l_core, verb)), f"{verb} is hidden by the module of that name"
    with pytest.raises(AttributeError, match="no attribute 'squeze'"):
        _ = sre2l_core.squeze
