def handler(request):
    return f"Hello, {request.args.get('name', 'world')}, from Python!\n"
