"""embed_console.py PAGES NODE_MODULES OUT.c: the console's files as C arrays, each with a copy compressed by gzip where that is
shorter, and a tag made from its bytes. The same files give the same text."""

import gzip
import hashlib
import os
import re
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".mjs": "text/javascript; charset=utf-8", ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png",
         ".ico": "image/x-icon", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8",
         ".woff2": "font/woff2"}
VENDOR = {"uplot": ("dist/uPlot.esm.js", "dist/uPlot.iife.min.js", "dist/uPlot.min.css")}
LICENCES = "licences.txt"


def read(path):
    with open(path, "rb") as f:
        return f.read()


def pages(top):
    for where, directories, names in os.walk(top):
        directories[:] = [d for d in directories if d != "node_modules"]
        for name in names:
            path = os.path.relpath(os.path.join(where, name), top)
            if not re.fullmatch(r"package.*\.json|README\.md", path):
                yield path, read(os.path.join(where, name))


def vendor(modules):
    """What is not ours, and under which terms it is there."""
    licences = b"Of the console's pages these parts are the work of others.\n"
    for package, names in sorted(VENDOR.items()):
        if not os.path.isdir(os.path.join(modules, package)):  # npm had no registry: charts.js does without
            yield from (("vendor/" + os.path.basename(name), b"/* built without " + package.encode() + b" */\n") for name in names)
            continue
        for name in names:
            yield "vendor/" + os.path.basename(name), read(os.path.join(modules, package, name))
        licences += f"\n== {package} ==\n\n".encode() + read(os.path.join(modules, package, "LICENSE"))
    yield LICENCES, licences


def array(name, data):
    return f"static const unsigned char {name}[] = {{{','.join(map(str, data))}}};\n"


def main(top, modules, out):
    files = dict(sorted([*pages(top), *vendor(modules)]))
    arrays, rows = [], []
    for n, (path, data) in enumerate(files.items()):
        kind = TYPES.get(os.path.splitext(path)[1])
        if not kind or not data or not re.fullmatch(r"[A-Za-z0-9._-]{1,100}(/[A-Za-z0-9._-]{1,100})?", path):
            sys.exit(f"{path}: a page's file has bytes, a known suffix, and a plain name in console/ or one directory below")
        packed = gzip.compress(data, 9, mtime=0)
        if len(packed) >= len(data):
            packed = b""
        arrays.append(array(f"file_{n}", data) + (array(f"gzip_{n}", packed) if packed else ""))
        tag = hashlib.sha256(data).hexdigest()[:16]
        rows.append(f'    {{"{path}", "{kind}", "{tag}", file_{n}, {f"gzip_{n}" if packed else "NULL"}, {len(data)}, {len(packed)}}},\n')
    with open(out, "w") as f:
        f.write('#include "console/console.h"\n\n' + "".join(arrays) + "\nconst struct console_file console_files[] = {\n"
                + "".join(rows) + "    {NULL, NULL, NULL, NULL, NULL, 0, 0},\n};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
