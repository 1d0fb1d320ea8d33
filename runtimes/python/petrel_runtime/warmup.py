"""Runs each part once while nobody waits, so that the first request does not pay for first use."""

import os
import shutil
import sys
import tempfile


def run(instance) -> None:
    from . import loader

    directory = os.path.realpath(tempfile.mkdtemp(prefix="petrel-warmup-"))
    path = list(sys.path)
    bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        entry = os.path.join(directory, "petrel_warmup.py")
        with open(entry, "w", encoding="utf-8") as file:
            file.write("def handler(request):\n    return 'warm'\n")
        with open(entry, encoding="utf-8") as file:
            loader.is_program(file.read(), entry)
        loader.recognise(instance, loader.import_file(entry), None)
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = bytecode
        sys.modules.pop("petrel_warmup", None)
        shutil.rmtree(directory, ignore_errors=True)
