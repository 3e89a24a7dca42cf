"""Reads a listing as a stranger would, and prints the bytes of each cell in hexadecimal.

decode.py csv|tsv|lines KIND... < listing
decode.py document|jsonl PATH... < listing
decode.py flat|flat-lines|groups NAME... < listing

A row is a line, its cells have a blank between them, the parts of a cell a comma,
the words of a part a point. KIND is text, list or words. A PATH is a key with points.
"""
import csv
import io
import json
import re
import sys

ESCAPE = re.compile(r"\\(?:([\\,/ -])|([ntr])|x([0-9a-f]{2})|u\{([0-9a-f]{1,6})\})", re.ASCII)
PLAIN = {"n": b"\n", "t": b"\t", "r": b"\r"}


def undone(cell):
    out, at = b"", 0
    while at < len(cell):
        if cell[at] != "\\":
            out, at = out + cell[at].encode(), at + 1
            continue
        found = ESCAPE.match(cell, at)
        itself, letter, byte, scalar = found.groups()
        if itself:
            out += itself.encode()
        elif letter:
            out += PLAIN[letter]
        elif byte:
            out += bytes([int(byte, 16)])
        else:
            out += chr(int(scalar, 16)).encode()
        at = found.end()
    return out.hex()


def parts(cell, separator):
    return re.findall(r"(?:^|%s)((?:\\.|[^\\%s])*)" % (separator, separator), cell, re.DOTALL)


def cell(kind, text):
    if kind == "text":
        return undone(text)
    if kind == "list":
        return ",".join(undone(part) for part in parts(text, ","))
    return ",".join(".".join(undone(word) for word in parts(part, " ")) for part in parts(text, ","))


def texts(holder, key):
    value = holder.get(key + "_hex")
    if value is not None:
        return ".".join(value) if isinstance(value, list) else value
    value = holder[key]
    if isinstance(value, list):
        return ".".join(word.encode().hex() for word in value)
    return str(value).encode().hex()


def found(socket, path):
    for key in path[:-1]:
        socket = socket[key]
        if isinstance(socket, list):
            return ",".join(texts(each, path[-1]) for each in socket)
    return texts(socket, path[-1])


def bytes_of(value, raw):
    """A text, a list of them, or a list of lists, where `raw` has what is no UTF-8."""
    if isinstance(value, list):
        return [bytes_of(one, raw[at] if raw else None) for at, one in enumerate(value)]
    return raw if raw is not None else str(value).encode().hex()


def flat(row, name):
    value = bytes_of(row[name], row.get(name + "_hex"))
    if isinstance(value, list):
        return ",".join(".".join(one) if isinstance(one, list) else one for one in value)
    return value


form, wanted = sys.argv[1], sys.argv[2:]
data = sys.stdin.buffer.read().decode("utf-8")
if form == "document":
    sockets = json.loads(data)["sockets"]
elif form == "jsonl":
    sockets = [json.loads(line) for line in data.split("\n")[:-1]]
elif form == "flat-lines":
    listed = [json.loads(line) for line in data.split("\n")[:-1]]
    listed = [row for row in listed if any(name in row for name in wanted)]
elif form in ("flat", "groups"):
    listed = json.loads(data)["sockets" if form == "flat" else "groups"]
if form in ("flat", "groups", "flat-lines"):
    rows = [[flat(row, name) for name in wanted] for row in listed]
elif form in ("document", "jsonl"):
    paths = [path.split(".") for path in wanted]
    rows = [[found(socket, path) for path in paths] for socket in sockets]
else:
    if form == "lines":
        rows = [[line] for line in data.split("\n")[:-1]]
    else:
        options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if form == "tsv" else {}
        rows = list(csv.reader(io.StringIO(data, newline=""), strict=True, **options))
    for row in rows:
        assert len(row) == len(wanted), (len(row), row)
    rows = [[cell(kind, text) for kind, text in zip(wanted, row)] for row in rows]
for row in rows:
    print(" ".join(row))
