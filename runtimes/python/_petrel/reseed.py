"""
Random numbers in processes that are forked: what one draws must not be another's. Python itself seeds `random` anew, the kernel and
OpenSSL know of forks; here is what libraries keep of their own. Also: whose drawing while code loads does no harm because of it.
"""

import sys


def _numpy(module):
    module.seed()


def _multiprocessing(module):
    import os

    process = module.current_process()
    process._config["authkey"] = module.AuthenticationString(os.urandom(32))


def _nothing(_module):
    pass


# What is done in a forked process, by the module that has drawn random numbers when it was imported.
LIBRARIES = {
    "numpy.random": _numpy,
    "multiprocessing.process": _multiprocessing,
    # Looks at the number of its process itself.
    "tempfile": _nothing,
}


def is_ours(name):
    """Whether what this module draws is drawn anew, or has nothing to do with what it gives."""
    return any(name == library or name.startswith(library + ".") for library in LIBRARIES)


def reseed():
    import random

    random.seed()
    for name, anew in LIBRARIES.items():
        module = sys.modules.get(name)
        if module is not None:
            anew(module)
