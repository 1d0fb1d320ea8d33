<?php

namespace Petrel\Runtime;

use Petrel\Response;

/** Values that handlers return, turned into responses; and the 500 of a handler that failed. */
final class Answer
{
    private const JSON = 'application/json';
    private const TEXT = 'text/plain; charset=utf-8';
    private const BYTES = 'application/octet-stream';
    private const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'];

    /** The handler failed: 500, or, when the head is out already, a reset. */
    public static function fail(Call $call, string $message, string $stack): void
    {
        if ($call->finished) {
            return;
        }
        fwrite(STDERR, "petrel: request {$call->requestId()} failed: $stack\n");
        if ($call->started) {
            $call->reset('handler_error', Errors::$development ? $message : 'the function failed after its answer had begun');
            return;
        }
        $body = ['component' => 'function', 'reason' => 'function_error', 'requestId' => $call->requestId()];
        if (Errors::$development) {
            $body += ['message' => $message, 'stack' => $stack];
        }
        $call->respond(500, self::block([['content-type', self::JSON]]), json($body));
    }

    /** True when the request was an upgrade, which no shape of this runtime can take. */
    public static function refusesUpgrade(Call $call): bool
    {
        if ($call->header('connection') !== 'upgrade' || $call->header('upgrade') === null) {
            return false;
        }
        $message = 'This handler has no notion of an upgrade. Run as a program on $PORT.';
        $body = ['component' => 'function', 'reason' => 'upgrade_not_supported', 'requestId' => $call->requestId(), 'message' => $message];
        $call->respond(501, self::block([['content-type', self::JSON]]), json($body));
        return true;
    }

    public static function status(mixed $status): int
    {
        if (!is_int($status) || $status < 200 || $status > 599) {
            throw new \UnexpectedValueException('the handler returned status ' . json($status) . '; a status is a whole number from 200 to 599');
        }
        return $status;
    }

    /**
     * Header lines. Throws for what would forge another line.
     * @param iterable<array{string|int, mixed}> $pairs
     */
    public static function block(iterable $pairs): string
    {
        $block = '';
        foreach ($pairs as [$name, $value]) {
            $name = strtolower((string) $name);
            $value = (string) $value;
            if (!preg_match('/^[!#$%&\'*+\-.^_`|~0-9a-z]+$/D', $name)) {
                throw new \UnexpectedValueException("invalid header name: $name");
            }
            if (strpbrk($value, "\r\n\0") !== false) {
                throw new \UnexpectedValueException('invalid header value: ' . json($value));
            }
            if (!in_array($name, self::HOP_BY_HOP, true)) {
                $block .= "$name: " . self::latin1($value) . "\r\n";
            }
        }
        return $block;
    }

    /** Text of UTF-8 as latin1; bytes that are no UTF-8 as they are. */
    private static function latin1(string $value): string
    {
        if (!preg_match('/[\x80-\xff]/', $value) || !preg_match('//u', $value)) {
            return $value;
        }
        if (preg_match('/[^\x{0}-\x{ff}]/u', $value)) {
            throw new \UnexpectedValueException("a header value must be latin1: $value");
        }
        return preg_replace_callback('/[\xc2\xc3]([\x80-\xbf])/', fn ($at) => $at[0][0] === "\xc3" ? chr(ord($at[1]) | 0x40) : $at[1], $value);
    }

    /** @param array<string, mixed> $headers name → value, or list of values */
    private static function pairs(array $headers): array
    {
        $pairs = [];
        foreach ($headers as $name => $value) {
            foreach (is_array($value) ? $value : [$value] as $one) {
                $pairs[] = [$name, $one];
            }
        }
        return $pairs;
    }

    /** Answers with what a handler returned. Pieces of a stream go out as they come. */
    public static function respond(Call $call, mixed $value): void
    {
        [$status, $headers, $body, $type] = self::parts($value);
        $status = self::status($status ?? ($body === null ? 204 : 200));
        $pairs = self::pairs($headers);
        if ($type !== null && !in_array('content-type', array_map(fn ($pair) => strtolower((string) $pair[0]), $pairs), true)) {
            $pairs[] = ['content-type', $type];
        }
        $block = self::block($pairs);
        if (!is_iterable($body) && !is_resource($body) && !$body instanceof \Closure) {
            $call->last();
            $call->respond($status, $block, $body ?? '');
            return;
        }
        $call->start($status, $block);
        self::pour($call, $body);
        $call->finish();
    }

    /** @param iterable|resource|\Closure $body */
    private static function pour(Call $call, $body): void
    {
        if ($body instanceof \Closure) {
            $body($call->write(...));
        } elseif (is_resource($body)) {
            while (!feof($body)) {
                $call->write((string) fread($body, MAX_DATA));
            }
            fclose($body);
        } else {
            foreach ($body as $chunk) {
                $call->write((string) $chunk);
            }
        }
    }

    /** @return array{?int, array<string, mixed>, mixed, ?string} status, headers, body (string, null or a stream), type */
    private static function parts(mixed $value): array
    {
        if ($value instanceof Response) {
            [, , $body, $type] = self::parts($value->body);
            return [$value->status, $value->headers, $body, $type];
        }
        if (is_array($value) && count($value) === 3 && array_is_list($value) && is_int($value[0]) && is_array($value[1])) {
            [, , $body, $type] = self::parts($value[2]);
            return [$value[0], $value[1], $body, $type];
        }
        return match (true) {
            $value === null => [null, [], null, null],
            is_string($value) => [null, [], $value, preg_match('//u', $value) ? self::TEXT : self::BYTES],
            is_resource($value), $value instanceof \Traversable, $value instanceof \Closure => [null, [], $value, self::BYTES],
            $value instanceof \Stringable && !$value instanceof \JsonSerializable => [null, [], (string) $value, self::TEXT],
            default => [null, [], json($value), self::JSON],
        };
    }
}
