# frozen_string_literal: true

module PetrelRuntime
  # Lets a debugger in before the function's code is loaded: Ruby's own `debug`, from the function's gems or the machine's.
  module Debugger
    # The revision before has the port until its requests are over.
    PORTS = 4

    class << self
      def open(port)
        require 'rubygems' unless defined?(Gem)
        begin
          require 'debug/session'
        rescue LoadError
          raise SpecialiseError.new('LoadError', 'a debugger was asked for, and the gem debug is not there: gem install debug, or add it to the Gemfile')
        end
        found = (port...port + PORTS).find { |candidate| free?(candidate) }
        raise SpecialiseError.new('LoadError', "no debugger can listen on the ports #{port} to #{port + PORTS - 1}: they are taken") unless found

        DEBUGGER__.open(host: '127.0.0.1', port: found, nonstop: true)
      end

      private

      def free?(port)
        TCPServer.new('127.0.0.1', port).close
        true
      rescue SystemCallError
        false
      end
    end
  end
end
