# Rack: an application is what responds to call(env).
class Shout
  def initialize(app)
    @app = app
  end

  def call(env)
    status, headers, body = @app.call(env)
    [status, headers, body.map(&:upcase)]
  end
end

use Shout
run ->(env) { [200, { 'content-type' => 'text/plain' }, ["Hello from Rack at #{env['PATH_INFO']}\n"]] }
