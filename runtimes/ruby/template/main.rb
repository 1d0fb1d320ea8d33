# frozen_string_literal: true

def handle(request)
  { message: "Hello, #{request.query['name'] || 'world'}!" }
end
