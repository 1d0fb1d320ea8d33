"""Entry of a Python instance: a generic process that is specialised once. See ../PROTOCOL.md."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# Ours is imported in full before anything of the user's, then leaves the path, so that no name of ours hides one of theirs.
sys.path.insert(0, HERE)
from petrel_runtime import process  # noqa: E402

sys.path.remove(HERE)

if __name__ == "__main__":
    process.run()
