"""Fission: main() without arguments."""

from petrel import request


def main():
    return f"Hello, {request.args.get('name', 'world')}!\n", 200, {"content-type": "text/plain"}
