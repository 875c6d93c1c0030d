#!/usr/bin/env python3
"""Checks that src/ and include/ keep to the include table of docs/architecture.md.

    scripts/check_includes.py [ROOT]

A file may include project headers of its own folder and of the folders its own may reach.
No two files may define types of one name in one namespace. Prints every other include as `file:line: ...` and exits with 1 if there is one.
"""

import pathlib
import re
import sys

# Folder of src/ (or the public headers, "include") -> the folders it may include; "may include" is
# transitive. The public headers hold the few types that core and users share.
TABLE = {
    "include": [],
    "core": ["include"],
    "arithmetic": ["core"],
    "graph": ["arithmetic"],
    "formats": ["graph"],
    "data": ["core"],
    "kernels": ["arithmetic"],
    "engine": ["graph", "kernels"],
    "calibration": ["engine", "data"],
    "optim": ["core"],
    "passes": ["calibration", "optim"],
    "training": ["engine", "data", "optim"],
    "analysis": ["calibration"],
    "tuning": ["passes", "training", "analysis"],
    "api": ["formats", "tuning"],
    "cli": ["api"],
}
# The command line sees the library as its users do.
NOT_TRANSITIVE = {"cli": {"cli", "api", "include"}}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def reachable(folder):
    if folder in NOT_TRANSITIVE:
        return NOT_TRANSITIVE[folder]
    seen, todo = {folder}, list(TABLE[folder])
    while todo:
        following = todo.pop()
        if following not in seen:
            seen.add(following)
            todo += TABLE[following]
    return seen


def check_file(path, relative, problems):
    folder = relative.parts[0 if relative.parts[0] == "include" else 1]
    if folder not in TABLE:
        problems.append(f"{relative}:1: folder {folder} is not in the include table")
        return
    allowed = reachable(folder)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match or "/" not in match[1]:
            continue
        target = match[1].split("/")[0]
        target = "include" if target == "octet" else target
        if target not in allowed:
            problems.append(f'{relative}:{number}: {folder} may not include "{match[1]}"')


NAMESPACE = re.compile(r"^namespace ([\w:]*)\s*\{")
TYPE = re.compile(r"^(?:struct|class|enum class|union) (\w+)(?!\w|::)[^;]*\{")


def types_of(path):
    """Names of the types that a file defines outside unnamed namespaces and other types."""
    inside = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := NAMESPACE.match(line):
            inside.append(match[1])
        elif line.startswith("}  // namespace"):
            inside.pop()
        elif "" not in inside and (match := TYPE.match(line)):
            yield "::".join([*inside, match[1]])


def check_types(files, root, problems):
    """Two types of one name are undefined behaviour that only a sanitizer sees."""
    seen = {}
    for path in files:
        for name in types_of(path):
            first = seen.setdefault(name, path)
            if first != path:
                problems.append(f"{path.relative_to(root)}: {name} is a type of {first.relative_to(root)}, too")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    files = [f for top in ("src", "include") for f in sorted((root / top).rglob("*"))
             if f.suffix in (".h", ".cpp")]
    if not files:
        sys.exit(f"check_includes.py: no sources under {root}")
    problems = []
    for path in files:
        check_file(path, path.relative_to(root), problems)
    check_types(files, root, problems)
    print("\n".join(problems) if problems else f"{len(files)} files keep to the include table")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
