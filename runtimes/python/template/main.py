"""Answers every request."""


def handler(request):
    return {"hello": request.args.get("name", "world")}
