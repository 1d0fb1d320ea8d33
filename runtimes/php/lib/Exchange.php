<?php

namespace Petrel\Runtime;

/** One request as the supervisor sees it: what is held until a worker takes it, and what has to be forwarded. */
final class Exchange
{
    private static int $count = 0;

    /** Its number on the channel of the worker that works on it. */
    public readonly int $id;
    public bool $finished = false;
    public ?WorkerProcess $worker = null;
    public readonly float $began;
    private bool $ended;
    private int $received = 0;
    private int $allowed = WINDOW_SIZE;
    /** Frames of the body that came before a worker was free. */
    private string $held = '';

    public function __construct(
        private readonly Connection $connection,
        private readonly int $stream,
        private readonly string $head,
        bool $hasBody,
    ) {
        $this->id = ++self::$count & 0xffffffff;
        $this->ended = !$hasBody;
        $this->began = microtime(true);
        $this->held = encode($hasBody ? REQUEST_BODY : REQUEST, $this->id, $head);
    }

    public function requestId(): string
    {
        return preg_match('/^x-request-id:\s*(\S+)/mi', $this->head, $found) ? $found[1] : '';
    }

    public function assign(WorkerProcess $worker): void
    {
        $this->worker = $worker;
        $worker->send($this->held);
        $this->held = '';
    }

    /** Something of the gateway for who works on it. */
    private function forward(string $frame): void
    {
        if ($this->worker !== null) {
            $this->worker->send($frame);
        } else {
            $this->held .= $frame;
        }
    }

    public function receive(string $chunk): void
    {
        if ($this->ended) {
            throw new ProtocolError("DATA after END on stream $this->stream");
        }
        $this->received += strlen($chunk);
        if ($this->received > $this->allowed) {
            throw new ProtocolError("stream $this->stream sent past its window");
        }
        $this->forward(encode(DATA, $this->id, $chunk));
    }

    public function receiveEnd(): void
    {
        if ($this->ended) {
            throw new ProtocolError("a second END on stream $this->stream");
        }
        $this->ended = true;
        $this->forward(encode(ENDED, $this->id));
    }

    public function granted(string $payload): void
    {
        $this->forward(encode(WINDOW, $this->id, $payload));
    }

    /** A frame of the worker for the gateway. True when it completes the answer. */
    public function answer(int $kind, string $payload): bool
    {
        if ($this->finished) {
            return false;
        }
        if ($kind === WINDOW) {
            if ($this->ended) {
                return false;
            }
            $this->allowed += unpack('V', $payload)[1];
        }
        $this->connection->send(encode($kind, $this->stream, $payload));
        if ($kind !== RESPONSE && $kind !== ENDED && $kind !== RESET) {
            return false;
        }
        $this->over();
        return true;
    }

    public function reset(string $code, string $message): void
    {
        if (!$this->finished) {
            $this->connection->send(encode(RESET, $this->stream, json(['code' => $code, 'message' => $message])));
            $this->over();
        }
    }

    /** The gateway wants no answer any more. */
    public function cancelled(string $code, string $message): void
    {
        if ($this->finished) {
            return;
        }
        $this->over();
        $this->worker?->send(encode(RESET, $this->id, json(['code' => $code, 'message' => $message])));
    }

    private function over(): void
    {
        $this->finished = true;
        $this->connection->forget($this->stream);
    }
}
