#!/usr/bin/env python3
"""Checks the import rule of import_rule.toml against the Rust sources.

usage: import_rule.py [ROOT]      the checkout, default: the one that holds this file
       import_rule.py --self-test plants violations in a scratch tree and fails unless each one is found
"""
import pathlib
import re
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve()
# Comments and literals can name anything; tests (the end of a file) may too.
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.S)
PATH = re.compile(r"(?<![\w:])((?:\w+::)+)(\{|\w+|\*)")


def code(text):
    text = re.split(r"^#\[cfg\(test\)\]\s*mod ", text, flags=re.M)[0]
    return NOISE.sub(lambda m: "\n" * m.group(0).count("\n"), text)


def tree(text, at, prefix):
    """The paths of the use-tree that opens at text[at] == '{', and the place behind it."""
    paths, word, at = [], "", at + 1
    while at < len(text):
        c = text[at]
        if c == "{":
            inner, at = tree(text, at, prefix + word)
            paths += inner
            word = ""
            continue
        if c in ",}":
            if word:
                paths.append(prefix + re.split(r"\bas\b", word)[0])
            word = ""
            if c == "}":
                return paths, at + 1
        elif not c.isspace() or re.fullmatch(r"\w+", word or ""):
            word += c
        at += 1
    return paths, at


def paths(text):
    """Every path with at least two segments, with its line."""
    for match in PATH.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match.group(2) == "{":
            for path in tree(text, match.end() - 1, match.group(1))[0]:
                yield line, path.replace(" ", "").removesuffix("::self")
        else:
            yield line, match.group(0)


def absolute(path, module):
    """`self::` and `super::` spelled out from the crate's root."""
    head, rest = path.split("::"), list(module)
    if head[0] in ("crate", "rag_core"):  # the server knows the rooms of its core by the same names
        return head[1:]
    if head[0] not in ("self", "super"):
        return None
    while head and head[0] in ("self", "super"):
        rest = rest[:-1] if head[0] == "super" else rest
        head = head[1:]
    return rest + head


def room_of(path, rooms):
    fits = [r for r in rooms if path[: len(r.split("::"))] == r.split("::")]
    return max(fits, key=len, default=None)


def check(root, rules):
    found = []
    for program, rule in rules.items():
        source = root / rule["root"]
        for file in sorted(source.rglob("*.rs")):
            module = list(file.relative_to(source).with_suffix("").parts)
            module = module[:-1] if module[-1] in ("mod", "lib", "main") else module
            room = room_of(module, rule["rooms"])
            if room is None or "tests" in module:  # a test module in a file of its own
                continue
            for line, path in paths(code(file.read_text())):
                where = f"{file.relative_to(root)}:{line}"
                inside = absolute(path, module)
                if inside is not None:
                    target = room_of(inside, rule["rooms"])
                    if target and target != room and target not in rule["rooms"][room]:
                        found.append(f"{where}: {room} imports {target} ({path}); the arrow points the wrong way")
                elif room in rule["pure"]["rooms"]:
                    for bad in rule["pure"]["forbidden"]:
                        if path == bad or path.startswith(bad + "::"):
                            found.append(f"{where}: {room} is pure and names {path}")
    return found


PLANTED = {
    "operator/src/api/mod.rs": "use crate::{\n    cluster::{build::{Children}},\n};\n",
    "operator/src/cluster/decide/scaling.rs": "fn now() { let _ = jiff::Timestamp::now(); }\n",
    "operator/src/cluster/validate.rs": "use super::status::Status;\n",
    "operator/src/cluster/build/mod.rs": "use tokio::time::sleep;\n",
    "rag-core/src/model/mod.rs": "// crate::ports is fine here\nuse crate::ports::Clock;\n",
    "rag-core/src/ports/mod.rs": "fn f() { crate::ingest::walk(); }\n",
    "rag-server/src/outside/mod.rs": "use crate::http::router;\n",
    "rag-server/src/operations/mod.rs": "use rag_core::retrieve::Retrieve;\n",
}
ALLOWED = {
    "operator/src/cluster/build/service.rs": 'use crate::api::Name;\nconst A: &str = "tokio::spawn";\nuse std::{collections::BTreeMap};\n',
    "rag-server/src/http/tests.rs": "use crate::adapters::x;\n",
    "rag-server/src/http/mod.rs": "use crate::{ingest::Ingest, model};\n#[cfg(test)]\nmod tests { use crate::adapters::x; }\n",
}


def self_test(rules):
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        for name, text in (PLANTED | ALLOWED).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        found = check(root, rules)
        missed = [n for n in PLANTED if sum(f.startswith(n + ":") for f in found) != 1]
        wrong = [f for f in found if not f.startswith(tuple(n + ":" for n in PLANTED))]
    if missed or wrong:
        sys.exit(f"import rule self-test: missed {missed}, wrongly found {wrong}")
    print(f"import rule self-test: {len(PLANTED)} planted violations found, {len(ALLOWED)} allowed imports passed")


def main():
    rules = tomllib.loads(HERE.with_suffix(".toml").read_text())
    if sys.argv[1:] == ["--self-test"]:
        return self_test(rules)
    root = pathlib.Path(sys.argv[1]).resolve() if sys.argv[1:] else HERE.parents[2]
    found = check(root, rules)
    if found:
        sys.exit("\n".join(found) + f"\nimport rule: {len(found)} violations; the rule stands in tests/lint/import_rule.toml")
    print("import rule: kept")


if __name__ == "__main__":
    main()
