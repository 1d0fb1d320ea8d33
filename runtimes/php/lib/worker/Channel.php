<?php

namespace Petrel\Runtime;

/** The worker's end of its socket to the supervisor. Blocks. */
final class Channel
{
    private string $held = '';
    /** @var list<array{int, int, string}> */
    private array $frames = [];

    /** @param resource $socket */
    public function __construct(private $socket)
    {
        stream_set_blocking($socket, true);
        stream_set_read_buffer($socket, 0);
        stream_set_write_buffer($socket, 0);
    }

    /**
     * The next frame; null when there is none yet and `$wait` is false. Without a supervisor the process ends.
     * @return array{int, int, string}|null kind, stream, payload
     */
    public function next(bool $wait = true): ?array
    {
        while ($this->frames === []) {
            if (!$wait) {
                $read = [$this->socket];
                $none = null;
                if (!@stream_select($read, $none, $none, 0)) {
                    return null;
                }
            }
            $chunk = @fread($this->socket, READ_SIZE);
            if ($chunk === '' && !feof($this->socket)) {
                continue; // a signal
            }
            if ($chunk === '' || $chunk === false) {
                Worker::$silent = true;
                exit(0);
            }
            $this->held .= $chunk;
            $this->frames = cut($this->held);
        }
        return array_shift($this->frames);
    }

    public function send(string $bytes): void
    {
        while ($bytes !== '') {
            $sent = @fwrite($this->socket, $bytes);
            if ($sent === false || ($sent === 0 && feof($this->socket))) {
                Worker::$silent = true;
                exit(0);
            }
            $bytes = substr($bytes, $sent);
        }
    }
}
