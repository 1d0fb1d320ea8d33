# frozen_string_literal: true

# What functions use of the ruby runtime. Loaded already; `require 'petrel'` does no harm.
module Petrel
  # Case-insensitive view of header lines. Several of one name are joined by `[]`.
  class Headers
    include Enumerable

    def initialize(pairs)
      @pairs = pairs.map { |name, value| [name, value.dup.force_encoding(Encoding::ISO_8859_1).encode(Encoding::UTF_8)] }
    end

    def [](name)
      found = all(name)
      found.join(name.to_s.casecmp?('cookie') ? '; ' : ', ') unless found.empty?
    end

    def fetch(name, *fallback, &block)
      self[name] || (block ? yield(name) : fallback.fetch(0) { raise KeyError, "there is no header #{name}" })
    end

    # Every value of that name.
    def all(name)
      name = name.to_s.downcase
      @pairs.filter_map { |key, value| value if key == name }
    end

    def key?(name)
      !self[name].nil?
    end

    def each(&block)
      @pairs.each(&block)
    end

    def to_h
      @pairs.to_h { |name, _| [name, self[name]] }
    end
  end

  # A request. The body is read when it is asked for: whole with `body`, `text`, `json`, `form`; in pieces with `each`; as an IO with `stream`.
  class Request
    attr_reader :method, :path, :query_string, :headers

    def initialize(exchange)
      @exchange = exchange
      @method = exchange.method
      path, @query_string = exchange.target.dup.force_encoding(Encoding::UTF_8).split('?', 2)
      @query_string ||= ''
      @path = self.class.unescape(path.to_s)
      @headers = Headers.new(exchange.headers)
    end

    # The first value of each query parameter.
    def query
      @query ||= pairs(@query_string).reverse.to_h
    end

    # Every value of each query parameter.
    def query_values
      pairs(@query_string).group_by(&:first).transform_values { |all| all.map(&:last) }
    end
    alias params query

    def host
      @headers['host'] || 'localhost'
    end

    def scheme
      @exchange.scheme
    end

    def url
      "#{scheme}://#{host}#{@exchange.target}"
    end

    def content_type
      @headers['content-type']
    end

    def content_length
      @headers['content-length']&.to_i
    end

    def remote_addr
      @headers['x-forwarded-for']&.split(',')&.last&.strip
    end

    def request_id
      @exchange.request_id
    end

    def cookies
      (@headers['cookie'] || '').split(/;\s*/).to_h do |pair|
        name, value = pair.split('=', 2)
        [name.to_s.strip, self.class.unescape(value.to_s)]
      end
    end

    # The whole body, bytes.
    def body
      @body ||= stream.read
    end
    alias read body

    # The whole body as UTF-8.
    def text
      body.dup.force_encoding(Encoding::UTF_8)
    end

    # The body as JSON; nil when it is empty.
    def json
      body.empty? ? nil : JSON.parse(text)
    end

    # The first value of each parameter of an urlencoded form.
    def form
      pairs(text).reverse.to_h
    end

    # The body as an IO: read, readpartial, gets, each, eof?.
    def stream
      @stream ||= PetrelRuntime::Input.new(@exchange)
    end

    # Yields the body in pieces, as they come.
    def each(&block)
      return enum_for(:each) unless block

      stream.each_chunk(&block)
    end

    def inspect
      "#<Petrel::Request #{@method} #{url}>"
    end

    # For handlers that take a context with a request and a logger.
    def request
      self
    end

    def logger
      require 'logger'
      @logger ||= Logger.new($stdout)
    end

    # Whether the client has gone, or the request's time is over.
    def cancelled?
      !@exchange.aborted.nil?
    end

    def self.unescape(text)
      text.b.gsub(/%\h\h/n) { |code| code[1, 2].hex.chr }.force_encoding(Encoding::UTF_8).scrub
    end

    private

    def pairs(text)
      text.split('&').reject(&:empty?).map do |pair|
        name, value = pair.tr('+', ' ').split('=', 2)
        [self.class.unescape(name.to_s), self.class.unescape(value.to_s)]
      end
    end
  end

  # An answer in parts. `body`: text, bytes, nil, something with each, readpartial or call(stream), or anything with a JSON form.
  class Response
    attr_accessor :status, :headers, :body

    def initialize(body = nil, status: nil, headers: {}, content_type: nil)
      @status = status || (body.nil? ? 204 : 200)
      @headers = headers.is_a?(Hash) ? headers.dup : headers.to_a.dup
      @body = body
      return unless content_type

      @headers.is_a?(Hash) ? @headers['content-type'] = content_type : @headers << ['content-type', content_type]
    end
  end
end
