# frozen_string_literal: true

require_relative 'rack'

module PetrelRuntime
  # From a callable and its shape to something that takes exchanges.
  module Handlers
    class << self
      # `handle(request)`, or without a parameter.
      def request(callable, host)
        takes = !callable.is_a?(Method) && !callable.is_a?(Proc) || !callable.arity.zero?
        on_workers(host) do |exchange|
          value = takes ? callable.call(::Petrel::Request.new(exchange)) : callable.call
          Answer.respond(exchange, value)
        end
      end

      # A Rack application (2 or 3).
      def rack(app, host)
        on_workers(host) { |exchange| RackUp.serve(app, exchange) }
      end

      private

      def on_workers(host)
        workers = host.workers
        work = lambda do |exchange|
          yield exchange
        rescue Aborted
          nil
        rescue SystemExit => error
          host.on_exit(error)
        rescue Exception => error # rubocop:disable Lint/RescueException -- whatever the handler raises is this request's failure
          Answer.fail(exchange, error)
        end
        ->(exchange) { workers.run(work, exchange) unless Answer.refuse_upgrade(exchange) }
      end
    end
  end
end
