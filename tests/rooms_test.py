#!/usr/bin/env python3
"""Reads every #include in src/ and checks it against the table in src/rooms.txt: what is not granted, and what is granted
and not used. Finds files outside of their wing's namespace, types of one name, and sources that do not open with what they do.

Two types of one name in one namespace break the one-definition rule: the program links, and destroys one as the other.

usage: rooms_test.py SOURCE_ROOT     check the tree
       rooms_test.py --self-test     check that the check finds what it must
"""
import pathlib
import re
import sys
import tempfile

SHARED = ("ground", "work")  # wings whose names every wing uses
TYPE = re.compile(r"(?:template <.*> )?(?:struct|class|union|enum(?: class)?) (?:alignas\(\w+\) )?(\w+)(?: final)?(?: :[^:;]*)? \{")
ALIAS = re.compile(r"(?:template <.*> )?using (\w+) =")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def read_table(text):
    """room path -> set of rooms it may include (itself and those of its row), and room path -> what its tests may include too."""
    rows = [line.split("|") for line in text.splitlines() if line[:1].isalpha()]
    paths = {row[0].strip().split("/")[-1]: row[0].strip() for row in rows}
    allowed, tests, seen = {}, {}, set()
    for row in rows:
        room, deps = row[0].strip(), row[1].split()
        for dep in deps:
            if dep not in seen:
                raise SystemExit(f"src/rooms.txt: {room} uses {dep}, which does not stand above it")
        seen.add(room.split("/")[-1])
        allowed[room] = {room} | {paths[dep] for dep in deps}
        tests[room] = {paths[dep] for dep in row[3].split()} if len(row) > 3 else set()
    return allowed, tests


def find_problems(source):
    allowed, tests = read_table((source / "rooms.txt").read_text())
    problems = []
    used = {room: {room} for room in allowed}
    files = [p for p in sorted(source.rglob("*")) if p.suffix in (".h", ".cpp", ".cu", ".inl")]
    for file in files:
        room = file.parent.relative_to(source).as_posix()
        if room not in allowed:
            problems.append(f"{file}: {room} is not a room of src/rooms.txt")
            continue
        granted = allowed[room] | (tests[room] if file.stem.endswith("_test") else set())
        for include in INCLUDE.findall(file.read_text()):
            target = include.rsplit("/", 1)[0]
            if target not in allowed:
                problems.append(f'{file}: "{include}" is not in a room')
            elif target not in granted:
                problems.append(f'{file}: {room} may not include "{include}"')
            elif not (source / include).exists():
                problems.append(f'{file}: "{include}" does not exist')
            else:
                used[room].add(target)
    for room, grants in allowed.items():
        for grant in sorted((grants | tests[room]) - used[room]):
            problems.append(f"src/rooms.txt: {room} may include {grant}, and does not")
    return problems, len(files)


def find_strangers(source):
    """Files that open another namespace than their wing's: lathe for what all wings share, lathe::WING for the others."""
    problems = []
    for file in sorted(source.rglob("*")):
        wing = file.relative_to(source).parts[0]
        if file.suffix not in (".h", ".cpp", ".inl"):
            continue
        own = "lathe" if wing in SHARED else f"lathe::{wing}"
        for opened in re.findall(r"^namespace (lathe[\w:]*) \{", file.read_text(), re.M):
            if opened != own and not (opened.startswith(f"{own}::") and wing not in SHARED):
                problems.append(f"{file}: opens {opened}, its wing's namespace is {own}")
    return problems


def named_types(text):
    """namespace::name of every type that is defined outside of unnamed namespaces and of other types."""
    spaces = []
    for line in text.splitlines():
        if opened := re.match(r"namespace (?:([\w:]+) )?\{", line):
            spaces.append(opened[1] or "")
        elif re.match(r"\}\s*// namespace", line) and spaces:
            spaces.pop()
        elif (found := TYPE.match(line) or ALIAS.match(line)) and "" not in spaces:
            yield "::".join([*spaces, found[1]])


def find_twins(source):
    places = {}
    for file in sorted(source.rglob("*")):
        if file.suffix in (".h", ".cpp", ".inl"):
            for name in named_types(file.read_text()):
                places.setdefault(name, []).append(str(file))
    return [f"{name} is the name of two types: {', '.join(files)}" for name, files in places.items() if len(files) > 1]


def find_silent(source):
    return [f"{file}: does not open with a line on what it does" for file in sorted(source.rglob("*.cpp"))
            if not file.read_text().startswith("// ")]


def self_test():
    with tempfile.TemporaryDirectory() as name:
        source = pathlib.Path(name)
        (source / "rooms.txt").write_text("# table\nlow/base | |\nhigh/app | base |\nhigh/other | |\n")
        for room in ("low/base", "high/app", "high/other", "stray"):
            (source / room).mkdir(parents=True)
        (source / "low/base/a.h").write_text("#include <vector>\n")
        (source / "high/other/o.h").write_text("")
        (source / "high/app/good.cpp").write_text('#include "low/base/a.h"\n')
        assert find_problems(source) == ([], 3), find_problems(source)
        (source / "low/base/up.cpp").write_text('  #  include "high/app/x.h"\n')
        (source / "high/app/side.cpp").write_text('#include "high/other/o.h"\n')
        (source / "high/app/gone.cpp").write_text('#include "low/base/gone.h"\n')
        (source / "high/app/none.cpp").write_text('#include "a.h"\n')
        (source / "stray/x.cpp").write_text("")
        assert len(find_problems(source)[0]) == 5, find_problems(source)
        (source / "rooms.txt").write_text("# table\nlow/base | | | app\nhigh/app | base |\nhigh/other | |\n")
        assert len(find_problems(source)[0]) == 6, "a grant to tests that none uses was not found"
        (source / "low/base/up_test.cpp").write_text('#include "high/app/good.cpp"\n')
        assert len(find_problems(source)[0]) == 5, "a test may include what only tests may"
        (source / "low/base/up_test.cpp").unlink()
        (source / "rooms.txt").write_text("# table\nlow/base | |\nhigh/app | base |\nhigh/other | |\n")
        (source / "high/app/good.cpp").write_text("")
        assert len(find_problems(source)[0]) == 6, "a grant that nothing uses was not found"
        (source / "low/base/a.h").write_text("namespace lathe {\nstruct Twin {\n};\nclass Other;\n}  // namespace lathe\n")
        (source / "low/base/b.h").write_text("namespace lathe {\nnamespace own {\nclass Twin {\n};\n}  // namespace own\nclass Other {\n};\n}  // namespace lathe\n")
        (source / "high/app/c.cpp").write_text("namespace lathe {\nnamespace {\nstruct Twin {\n};\n}  // namespace\n}  // namespace lathe\n")
        assert find_twins(source) == [], find_twins(source)
        (source / "high/app/e.h").write_text("namespace lathe {\nusing Twin = int;\n}  // namespace lathe\n")
        assert len(find_twins(source)) == 1, find_twins(source)
        (source / "high/app/e.h").write_text("")
        strangers = find_strangers(source)
        assert len(strangers) == 3 and all("lathe::" in each for each in strangers), strangers
        (source / "high/app/c.cpp").write_text("namespace lathe::high {\nnamespace {\n}\n}\nnamespace lathe::high::own {\n}\n")
        assert len(find_strangers(source)) == 2, find_strangers(source)
        (source / "high/app/said.cpp").write_text("// What it does.\n")
        (source / "high/app/said_test.cpp").write_text("")
        assert len(find_silent(source)) == 8, find_silent(source)
        (source / "high/app/d.cpp").write_text("namespace lathe {\nenum class Twin : int { kOne };\n}  // namespace lathe\n")
        assert len(find_twins(source)) == 1, find_twins(source)
        try:
            read_table("high/app | base |\nlow/base | |\n")
        except SystemExit:
            return
        raise AssertionError("a room above the one that it uses was not found")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        print("the check finds what it must")
    else:
        root = pathlib.Path(sys.argv[1]) / "src"
        problems, count = find_problems(root)
        problems += find_strangers(root) + find_twins(root) + find_silent(root)
        print("\n".join(problems) or f"{count} files keep to the table")
        sys.exit(bool(problems))
