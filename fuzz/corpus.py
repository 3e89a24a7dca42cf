#!/usr/bin/env python3
"""corpus.py unpack|pack - the kept inputs of the fuzz targets.

unpack  fills fuzz/corpus/TARGET/ from fuzz/corpus.tar.xz
pack    writes fuzz/corpus.tar.xz from fuzz/corpus/, the same bytes for the same files
"""
import io
import lzma
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS, ARCHIVE = HERE / "corpus", HERE / "corpus.tar.xz"


def pack():
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(p for p in CORPUS.rglob("*") if p.is_file()):
            member = tarfile.TarInfo(str(path.relative_to(CORPUS)))
            member.size = path.stat().st_size
            member.mode = 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)
    ARCHIVE.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def unpack():
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(CORPUS)


if __name__ == "__main__":
    if sys.argv[1:] not in (["pack"], ["unpack"]):
        sys.exit(__doc__)
    pack() if sys.argv[1] == "pack" else unpack()
