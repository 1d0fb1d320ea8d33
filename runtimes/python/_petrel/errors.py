"""What went wrong, in Python's own words, with paths relative to the package and without the runtime's own frames."""

import os

ROOT = {"path": None}
SETTINGS = {"development": False}
OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
MAX_DETAIL = 16384


class SpecialiseError(Exception):
    """An error of the `specialise` call, as PROTOCOL.md lists them."""

    def __init__(self, code, message, **where):
        super().__init__(message)
        self.code = code
        self.where = where

    def to_json(self):
        return {"code": self.code, "message": str(self), **{k: v for k, v in self.where.items() if v is not None}}


def relative(text):
    root = ROOT["path"]
    return text.replace(root + os.sep, "") if root else text


def _is_user(filename):
    return not filename.startswith(OWN) and not filename.startswith("<frozen")


def _trim(error, seen):
    """Drops the frames of the runtime and of the import machinery from an error and everything it came from."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    tb = error.__traceback__
    while tb is not None and not _is_user(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    at = tb
    while at is not None and at.tb_next is not None:
        while at.tb_next is not None and not _is_user(at.tb_next.tb_frame.f_code.co_filename):
            at.tb_next = at.tb_next.tb_next
        at = at.tb_next
    error.__traceback__ = tb
    _trim(error.__cause__, seen)
    _trim(error.__context__, seen)


def stack_of(error):
    """The traceback as Python prints it."""
    import traceback

    _trim(error, set())
    return relative("".join(traceback.format_exception(type(error), error, error.__traceback__))).strip()


def load_error(error, entry):
    """The SpecialiseError for whatever loading raised."""
    if isinstance(error, SpecialiseError):
        return error
    root = ROOT["path"] or ""
    detail = stack_of(error)
    file, line, column = entry and os.path.relpath(entry, root), None, None
    if isinstance(error, SyntaxError) and error.filename:
        file, line, column = relative(error.filename), error.lineno, error.offset
    else:
        import traceback

        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith(root + os.sep):
                file, line = relative(frame.filename), frame.lineno
                column = getattr(frame, "colno", None)
                column = None if column is None else column + 1
    text = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    return SpecialiseError("LoadError", relative(text), file=file, line=line, column=column, detail=detail[:MAX_DETAIL])


def main_thread_stack():
    """Where the main thread, which loads user code, is now; without the runtime's own frames."""
    import sys
    import threading
    import traceback

    frame = sys._current_frames().get(threading.main_thread().ident)
    lines = traceback.extract_stack(frame) if frame is not None else []
    return relative("".join(traceback.format_list([line for line in lines if _is_user(line.filename)])))
