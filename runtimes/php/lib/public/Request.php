<?php

namespace Petrel;

use Petrel\Runtime\BodyStream;
use Petrel\Runtime\Call;

/** A request. The body is read when it is asked for: whole with `body`, `json`, `form`; in pieces with `chunks`; as a stream with `stream`. */
final class Request
{
    public readonly string $method;
    /** Without the query, percent-decoded. */
    public readonly string $path;
    public readonly string $queryString;
    /** As $_GET. @var array<string, mixed> */
    public readonly array $query;
    /** Names in lower case; several values of a name are joined. @var array<string, string> */
    public readonly array $headers;
    private ?string $body = null;

    /** @internal */
    public function __construct(private readonly Call $call)
    {
        $this->method = $call->method;
        [$path, $query] = explode('?', $call->target, 2) + [1 => ''];
        $this->path = rawurldecode($path);
        $this->queryString = $query;
        parse_str($query, $parsed);
        $this->query = $parsed;
        $headers = [];
        foreach ($call->headers as [$name, $value]) {
            $value = self::utf8($value);
            $headers[$name] = isset($headers[$name]) ? $headers[$name] . ($name === 'cookie' ? '; ' : ', ') . $value : $value;
        }
        $this->headers = $headers;
    }

    public function header(string $name, ?string $default = null): ?string
    {
        return $this->headers[strtolower($name)] ?? $default;
    }

    /** Every parameter of the query, in its order. @return list<array{string, string}> */
    public function queryPairs(): array
    {
        $pairs = [];
        foreach (array_filter(explode('&', $this->queryString), fn ($one) => $one !== '') as $pair) {
            [$name, $value] = explode('=', $pair, 2) + [1 => ''];
            $pairs[] = [urldecode($name), urldecode($value)];
        }
        return $pairs;
    }

    public function host(): string
    {
        return $this->headers['host'] ?? 'localhost';
    }

    public function scheme(): string
    {
        return $this->call->scheme();
    }

    public function url(): string
    {
        return "{$this->scheme()}://{$this->host()}{$this->call->target}";
    }

    public function contentType(): ?string
    {
        return $this->headers['content-type'] ?? null;
    }

    public function remoteAddr(): ?string
    {
        return $this->call->client();
    }

    public function requestId(): string
    {
        return $this->call->requestId();
    }

    /** @return array<string, string> */
    public function cookies(): array
    {
        return Runtime\Forms::cookies($this->headers['cookie'] ?? '');
    }

    /** The whole body. */
    public function body(): string
    {
        if ($this->body === null) {
            $body = '';
            while (($chunk = $this->call->read()) !== null) {
                $body .= $chunk;
            }
            $this->body = $body;
        }
        return $this->body;
    }

    /** The body as JSON, objects as arrays; null when it is empty. Throws JsonException. */
    public function json(): mixed
    {
        return $this->body() === '' ? null : json_decode($this->body(), true, 512, JSON_THROW_ON_ERROR);
    }

    /** As $_POST, of an urlencoded form. @return array<string, mixed> */
    public function form(): array
    {
        parse_str($this->body(), $form);
        return $form;
    }

    /** The body in pieces, as they come. @return \Generator<string> */
    public function chunks(): \Generator
    {
        while (($chunk = $this->call->read()) !== null) {
            yield $chunk;
        }
    }

    /** The body as a stream to read from. @return resource */
    public function stream()
    {
        return BodyStream::open($this->call);
    }

    /** Whether the client has gone, or the request's time is over. */
    public function cancelled(): bool
    {
        return $this->call->cancelled();
    }

    private static function utf8(string $latin1): string
    {
        return preg_replace_callback('/[\x80-\xff]/', fn ($at) => chr(0xc0 | ord($at[0]) >> 6) . chr(0x80 | ord($at[0]) & 0x3f), $latin1);
    }
}
