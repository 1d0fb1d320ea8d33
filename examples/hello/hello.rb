def handle(request)
  "Hello, #{request.query['name'] || 'world'}!\n"
end
