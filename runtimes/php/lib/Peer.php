<?php

namespace Petrel\Runtime;

/** A socket of the supervisor's loop: frames come in, bytes that cannot leave at once are held. What is held is bounded by the windows of its streams. */
abstract class Peer
{
    private string $held = '';
    private string $out = '';
    public bool $closed = false;

    /** @param resource $socket */
    public function __construct(public $socket)
    {
        stream_set_blocking($socket, false);
        stream_set_read_buffer($socket, 0);
        stream_set_write_buffer($socket, 0);
    }

    abstract protected function frame(int $kind, int $stream, string $payload): void;

    /** The other side has closed, or broken the protocol. Called once. */
    abstract protected function gone(): void;

    public function send(string $bytes): void
    {
        if ($this->closed) {
            return;
        }
        if ($this->out === '') {
            $sent = @fwrite($this->socket, $bytes);
            if ($sent === strlen($bytes)) {
                return;
            }
            $bytes = substr($bytes, (int) $sent);
        }
        $this->out .= $bytes;
    }

    public function wantsToWrite(): bool
    {
        return $this->out !== '';
    }

    public function writable(): void
    {
        $sent = @fwrite($this->socket, $this->out);
        $this->out = $sent === false ? '' : substr($this->out, $sent);
    }

    public function readable(): void
    {
        $chunk = @fread($this->socket, READ_SIZE);
        if ($chunk === false || ($chunk === '' && feof($this->socket))) {
            $this->close();
            return;
        }
        $this->held .= $chunk;
        try {
            foreach (cut($this->held) as [$kind, $stream, $payload]) {
                if ($this->closed) {
                    return;
                }
                $this->frame($kind, $stream, $payload);
            }
        } catch (ProtocolError $error) {
            fwrite(STDERR, "petrel: protocol error from the platform: {$error->getMessage()}; connection closed\n");
            $this->close();
        }
    }

    public function close(): void
    {
        if ($this->closed) {
            return;
        }
        $this->closed = true;
        fclose($this->socket);
        $this->gone();
    }

    /** Sends what is held, as far as that goes without waiting for a peer that does not read. */
    public function flush(float $seconds): void
    {
        $deadline = microtime(true) + $seconds;
        while ($this->out !== '' && !$this->closed && microtime(true) < $deadline) {
            $none = null;
            $write = [$this->socket];
            if (@stream_select($none, $write, $none, 0, 50000)) {
                $this->writable();
            }
        }
    }
}
