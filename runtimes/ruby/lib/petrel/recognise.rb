# frozen_string_literal: true

module PetrelRuntime
  # What a file defined, which of it is the handler, and which shape it has. The rules are those of README.md.
  module Recognise
    Found = Struct.new(:shape, :callable)
    # Looked at in this order when no handler is asked for.
    METHODS = %i[handle handler main].freeze
    CONSTANTS = %i[App Application Handler Function].freeze
    # Names of a Rack application's only parameter.
    ENVIRONMENT = %i[env environment _env].freeze

    class << self
      # What there was before the file was loaded.
      def snapshot
        { methods: own_methods, constants: Object.constants(false) }
      end

      # The handler asked for or recognised; nil when there is none.
      def find(before, handler, shape)
        return shaped(named(handler), shape) if handler

        methods = own_methods - before[:methods]
        constants = Object.constants(false) - before[:constants]
        METHODS.each { |name| return shaped(top_level(name), shape) if methods.include?(name) }
        CONSTANTS.each do |name|
          found = constants.include?(name) && shaped(Object.const_get(name), shape)
          return found if found
        end
        return shaped(top_level(methods.first), shape) if methods.size == 1

        callable = constants.map { |name| Object.const_get(name) }.select { |value| shaped(value, shape) }
        shaped(callable.first, shape) if callable.size == 1
      end

      # What the file defined, with what it is, for a message.
      def listing(before)
        methods = (own_methods - before[:methods]).map { |name| "#{name} (method)" }
        constants = (Object.constants(false) - before[:constants]).reject { |name| Object.autoload?(name) }
        names = methods + constants.sort.map { |name| "#{name} (#{Object.const_get(name).class})" }
        names.empty? ? 'nothing' : names.first(30).join(', ')
      end

      private

      # Methods defined at the top level of a file are private ones of every object.
      def own_methods
        Object.private_instance_methods(false) + Object.instance_methods(false)
      end

      def top_level(name)
        TOPLEVEL_BINDING.receiver.method(name)
      end

      # `handle`, `App`, `Shop::Handler.call`, `file.Shop::Handler.call` (as Lambda writes it).
      def named(handler)
        parts = handler.split('.')
        [parts, parts.drop(1)].reject(&:empty?).each do |path|
          value = walk(path)
          return value if value
        end
        nil
      end

      def walk(path)
        path.each_with_index.reduce(nil) do |value, (name, index)|
          if name.match?(/\A[A-Z]/) && index.zero?
            Object.const_get(name)
          elsif index.zero?
            top_level(name.to_sym)
          else
            value.method(name.to_sym)
          end
        end
      rescue NameError
        nil
      end

      def shaped(value, shape)
        value = callable_of(value)
        return unless value

        shape = nil unless %w[rack request].include?(shape)
        Found.new(shape || shape_of(value), value)
      end

      # What is called for a value: itself, its `handle`, or that of a new object of a class.
      def callable_of(value)
        return value if value.is_a?(Method) || value.is_a?(Proc)
        return if value.nil? || value.is_a?(Struct)
        return value.method(:handle) if value.respond_to?(:handle)
        return value if value.respond_to?(:call)
        return unless value.is_a?(Class) && (value.method_defined?(:handle) || value.method_defined?(:call))
        return unless value.instance_method(:initialize).arity.between?(-1, 0)

        callable_of(value.new)
      end

      # An object with `call` is a Rack application; a function is one when it calls its parameter env.
      def shape_of(value)
        plain = value.is_a?(Method) || value.is_a?(Proc)
        return 'rack' unless plain

        names = value.parameters.map(&:last)
        names.size == 1 && ENVIRONMENT.include?(names.first) ? 'rack' : 'request'
      end
    end
  end
end
