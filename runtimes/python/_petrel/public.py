"""The module `petrel` that user code imports, and a stand-in for `flask` where that is not installed."""

import json
import sys
import types
from importlib.machinery import ModuleSpec

from .request import CurrentRequest, Request, Response


def _module(name, doc, **members):
    module = types.ModuleType(name, doc)
    module.__dict__.update(members)
    return module


request = CurrentRequest()


def _jsonify(*args, **kwargs):
    value = kwargs if kwargs else args[0] if len(args) == 1 else list(args)
    return Response(json.dumps(value), headers={"content-type": "application/json"})


class _FlaskFinder:
    """Comes last, so that a flask of the package's own wins. What functions of Fission's python environment use is here."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec("flask", self) if name == "flask" else None

    def create_module(self, spec):
        import logging

        app = types.SimpleNamespace(logger=logging.getLogger("function"))
        return _module(
            "flask",
            "The request, Response and jsonify of petrel under the names of flask.",
            request=request,
            Request=Request,
            Response=Response,
            jsonify=_jsonify,
            current_app=app,
        )

    def exec_module(self, module):
        pass


def _later(name):
    """What few functions need is loaded by those that name it."""
    if name not in ("state", "StateError"):
        raise AttributeError(f"module 'petrel' has no attribute {name!r}")
    from . import state as own

    sys.modules["petrel"].__dict__.update(state=own.state, StateError=own.StateError)
    return getattr(own, name)


def install():
    if "petrel" in sys.modules:
        return
    sys.modules["petrel"] = _module(
        "petrel",
        "request: the request the calling handler works on. Response: an answer in parts. state: what outlives instances.",
        __getattr__=_later,
        request=request,
        Request=Request,
        Response=Response,
        jsonify=_jsonify,
    )
    sys.meta_path.append(_FlaskFinder())
