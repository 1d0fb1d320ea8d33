# frozen_string_literal: true

module PetrelRuntime
  # An error of the `specialise` call, as PROTOCOL.md lists them.
  class SpecialiseError < StandardError
    attr_reader :code

    def initialize(code, message, **where)
      super(message)
      @code = code
      @where = where
    end

    def to_h
      { code: @code, message: message, **@where.compact }
    end
  end

  # What went wrong, in Ruby's own words, with paths relative to the package and without the runtime's own frames.
  module Errors
    OWN = File.expand_path('../..', __dir__) + File::SEPARATOR
    MAX_DETAIL = 16_384
    @root = nil
    @development = false

    class << self
      # The package's directory, and whether messages may leave the instance.
      attr_accessor :root, :development

      def relative(text)
        # Messages may come in any encoding; what is not UTF-8 is shown as far as it can be.
        text = text.dup.force_encoding(Encoding::UTF_8) if text.encoding == Encoding::BINARY
        text = text.scrub
        @root ? text.gsub(@root + File::SEPARATOR, '') : text
      end

      # The error with its backtrace and causes, as Ruby prints them.
      def stack_of(error)
        trimmed(error)
        # Without a place in the user's code Ruby would name one of the runtime's.
        return relative("#{error.message} (#{error.class})").strip if error.backtrace.nil? || error.backtrace.empty?

        relative(error.full_message(highlight: false, order: :top)).strip
      end

      # The SpecialiseError for whatever loading raised.
      def load_error(error, entry)
        return error if error.is_a?(SpecialiseError)

        file = entry
        line = nil
        text = error.message
        if error.is_a?(SyntaxError) && (found = /\A(?<file>[^\n]+?):(?<line>\d+): (?<text>.*)/m.match(text))
          file = relative(found[:file])
          line = found[:line].to_i
          text = found[:text]
        elsif (frame = error.backtrace_locations&.find { |one| one.absolute_path&.start_with?("#{@root}/") })
          file = relative(frame.absolute_path)
          line = frame.lineno
        end
        text = relative("#{error.class}: #{text}").lines.first.to_s.strip
        detail = [stack_of(error), excerpt(file, line)].compact.join("\n\n")
        SpecialiseError.new('LoadError', text, file: file, line: line, detail: detail.byteslice(0, MAX_DETAIL).scrub)
      end

      # Where a thread is now, without the runtime's own frames.
      def stack_of_thread(thread)
        relative((thread.backtrace || []).reject { |line| own?(line) }.join("\n"))
      end

      private

      def own?(line)
        line.start_with?(OWN, '<internal:')
      end

      # Without the frames of the runtime; of itself and everything it came from.
      def trimmed(error, depth = 0)
        error.set_backtrace(error.backtrace.reject { |line| own?(line) }) if error.backtrace
        trimmed(error.cause, depth + 1) if error.cause && depth < 10
        error
      rescue FrozenError
        error
      end

      # The line of the source itself, which a Ruby backtrace does not show.
      def excerpt(file, line)
        return unless line

        text = File.foreach(File.join(@root, file)).first(line)[line - 1]
        text && "#{file}:#{line}\n    #{text.scrub.strip}"
      rescue SystemCallError
        nil
      end
    end
  end
end
