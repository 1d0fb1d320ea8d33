# frozen_string_literal: true

require_relative 'answer'
require_relative 'handlers'
require_relative 'rack'
require_relative 'recognise'
require_relative 'request'
require_relative 'workers'

module PetrelRuntime
  # From an unpacked package to something that answers requests.
  module Loader
    # Without an entry: these, in this order, otherwise the only Ruby file there is.
    FILES = %w[config.ru main.rb app.rb function.rb handler.rb index.rb server.rb func.rb].freeze

    class << self
      # Loads the package of a `specialise` call. `host` has workers and on_exit(error). Returns [shape, dispatch].
      def load(params, host)
        root = Errors.root
        entry = find_entry(root, params['entry'])
        shape = params['shape']
        if shape == 'program'
          raise SpecialiseError.new(
            'BadRequest',
            'the ruby runtime loads handlers and Rack applications; a program that listens on $PORT is deployed with a ' \
            "Procfile, for example \"web: bundle exec ruby #{File.basename(entry)}\", or with --command"
          )
        end
        # Nothing of the function is shown to strangers unless it asks for that itself.
        ENV['RACK_ENV'] ||= 'production'
        reach_gems(root)
        if params['debugPort']
          require_relative 'debugger'
          Debugger.open(params['debugPort'])
        end
        $LOAD_PATH.unshift(*[root, File.join(root, 'lib'), File.dirname(entry)].uniq.select { |dir| File.directory?(dir) })
        $LOAD_PATH << File.join(Errors::OWN, 'lib') # `require 'petrel'`
        return ['rack', Handlers.rack(RackUp.load(entry), host)] if entry.end_with?('.ru')

        before = Recognise.snapshot
        require entry
        found = Recognise.find(before, params['handler'], shape)
        return [found.shape, Handlers.public_send(found.shape, found.callable, host)] if found

        raise SpecialiseError.new('HandlerNotFound', not_found(before, entry, params['handler']), file: relative(entry))
      end

      private

      def find_entry(root, entry)
        present = Dir.children(root).sort
        shown = present.empty? ? 'the package is empty' : "the package has: #{present.first(20).join(', ')}"
        if entry
          path = File.expand_path(entry, root)
          unless path.start_with?(root + File::SEPARATOR)
            raise SpecialiseError.new('EntryNotFound', "the entry #{entry} is outside the package")
          end

          found = [path, "#{path}.rb"].find { |candidate| File.file?(candidate) }
          return found if found

          raise SpecialiseError.new('EntryNotFound', "there is no file #{entry} in the package; #{shown}", file: entry)
        end
        found = FILES.find { |name| File.file?(File.join(root, name)) }
        found ||= present.select { |name| name.end_with?('.rb') }.then { |all| all.first if all.size == 1 }
        return File.join(root, found) if found

        raise SpecialiseError.new('EntryNotFound', "no file to load: there is no #{FILES.join(', ')}; #{shown}")
      end

      # The gems that the build put into the package. The file is Bundler's own and needs neither Bundler nor RubyGems.
      def reach_gems(root)
        setup = File.join(root, 'vendor/bundle/bundler/setup.rb')
        require setup if File.file?(setup)
      end

      def not_found(before, entry, handler)
        has = "it has: #{Recognise.listing(before)}"
        return "#{relative(entry)} has nothing to call named #{handler}; #{has}" if handler

        "#{relative(entry)} has no handler; #{has}. Looked for, in this order: the methods #{Recognise::METHODS.join(', ')}, " \
          "the constants #{Recognise::CONSTANTS.join(', ')} that respond to call or handle, a single method, a single such constant"
      end

      def relative(path)
        Errors.relative(path)
      end
    end
  end
end
