<?php
/** The frames of the instance protocol (runtimes/PROTOCOL.md): numbers, cutting a byte stream, printing. */

namespace Petrel\Runtime;

const HELLO = 1, REQUEST = 2, REQUEST_BODY = 3, RESPONSE = 4, RESPONSE_BODY = 5, DATA = 6, ENDED = 7, RESET = 8, WINDOW = 9;
const PING = 10, PONG = 11, CALL = 12, RESULT = 13, EVENT = 14, GOAWAY = 15;

/** Between supervisor and workers only. LOAD: params of `specialise`. LOADED and FAILED answer it. READY: the next request may come. CRASH: user code ended the process. */
const LOAD = 100, LOADED = 101, FAILED = 102, READY = 103, CRASH = 104;

const MAX_PAYLOAD = 1048576, MAX_DATA = 65536, WINDOW_SIZE = 262144;
/** Bytes asked of a socket at once. */
const READ_SIZE = 131072;

/** The peer broke the protocol: its connection is closed. */
final class ProtocolError extends \Exception
{
}

function encode(int $kind, int $stream, string $payload = ''): string
{
    return pack('VCV', strlen($payload), $kind, $stream) . $payload;
}

function json(mixed $value): string
{
    return json_encode($value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
}

/** @return array<string, mixed> */
function object_of(string $payload): array
{
    $value = json_decode($payload, true);
    if (!is_array($value) || ($payload[0] ?? '') !== '{') {
        throw new ProtocolError('a payload that is not a JSON object');
    }
    return $value;
}

/**
 * The whole frames in `$held`, which keeps the rest.
 * @return list<array{int, int, string}> kind, stream, payload
 */
function cut(string &$held): array
{
    $frames = [];
    $at = 0;
    $total = strlen($held);
    while ($total - $at >= 9) {
        ['n' => $length, 'k' => $kind, 's' => $stream] = unpack('Vn/Ck/Vs', $held, $at);
        if ($length > MAX_PAYLOAD) {
            throw new ProtocolError("frame of $length bytes, at most " . MAX_PAYLOAD . ' are allowed');
        }
        if ($total - $at - 9 < $length) {
            break;
        }
        $frames[] = [$kind, $stream, substr($held, $at + 9, $length)];
        $at += 9 + $length;
    }
    if ($at > 0) {
        $held = substr($held, $at);
    }
    return $frames;
}
