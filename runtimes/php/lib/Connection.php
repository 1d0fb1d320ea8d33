<?php

namespace Petrel\Runtime;

/** One accepted connection of the instance's socket. */
final class Connection extends Peer
{
    public string $role = '';
    private bool $goingAway = false;
    private int $lastStream = 0;
    /** @var array<int, Exchange> */
    public array $exchanges = [];

    /** @param resource $socket */
    public function __construct($socket, private readonly Supervisor $host)
    {
        parent::__construct($socket);
    }

    public function forget(int $stream): void
    {
        unset($this->exchanges[$stream]);
        $this->host->answered();
    }

    public function goaway(): void
    {
        if ($this->role === 'data' && !$this->goingAway) {
            $this->send(encode(GOAWAY, 0));
        }
        $this->goingAway = true;
    }

    protected function gone(): void
    {
        foreach ($this->exchanges as $exchange) {
            $this->host->crew->cancel($exchange, 'cancelled', 'the connection to the gateway has closed');
        }
        $this->host->closed($this);
    }

    protected function frame(int $kind, int $stream, string $payload): void
    {
        if ($this->role === '') {
            $this->hello($kind, $payload);
            return;
        }
        match (true) {
            $kind === REQUEST, $kind === REQUEST_BODY => $this->request($kind, $stream, $payload),
            $kind >= DATA && $kind <= WINDOW => $this->onStream($kind, $stream, $payload),
            $kind === PING => $this->ping($payload),
            $kind === CALL => $this->call($payload),
            $kind === PONG, $kind > GOAWAY => null,
            default => throw new ProtocolError("frame type $kind is not for an instance"),
        };
    }

    private function hello(int $kind, string $payload): void
    {
        if ($kind !== HELLO) {
            throw new ProtocolError('the first frame is not HELLO');
        }
        $hello = object_of($payload);
        $role = $hello['role'] ?? '';
        if (($hello['version'] ?? null) !== 1) {
            throw new ProtocolError('a version that this instance does not speak; it speaks 1');
        }
        if ($role !== 'data' && $role !== 'control') {
            throw new ProtocolError('no such role');
        }
        $this->role = $role;
        $this->send(encode(HELLO, 0, json($this->host->hello())));
        $this->host->opened($this);
    }

    private function request(int $kind, int $stream, string $payload): void
    {
        if ($this->role !== 'data' || $stream <= $this->lastStream) {
            throw new ProtocolError("unexpected REQUEST, stream $stream");
        }
        $this->lastStream = $stream;
        if ((int) strpos($payload, ' ') < 1) {
            throw new ProtocolError('a request head without method and target');
        }
        $exchange = new Exchange($this, $stream, $payload, $kind === REQUEST_BODY);
        $this->exchanges[$stream] = $exchange;
        $this->host->counted();
        if ($this->goingAway) {
            $exchange->reset('draining', 'this instance is draining');
        } else {
            $this->host->request($exchange);
        }
    }

    private function onStream(int $kind, int $stream, string $payload): void
    {
        $exchange = $this->exchanges[$stream] ?? null;
        if ($exchange === null) {
            // For a stream that is over a frame is late, not wrong; for one that never began it is wrong.
            if ($this->role !== 'data' || $stream === 0 || $stream > $this->lastStream) {
                throw new ProtocolError("frame $kind for stream $stream, which never began");
            }
            return;
        }
        if ($kind === DATA) {
            if (strlen($payload) > MAX_DATA) {
                throw new ProtocolError('DATA of ' . strlen($payload) . ' bytes, at most ' . MAX_DATA . ' are allowed');
            }
            $exchange->receive($payload);
        } elseif ($kind === ENDED) {
            $exchange->receiveEnd();
        } elseif ($kind === WINDOW) {
            if (strlen($payload) !== 4) {
                throw new ProtocolError('a WINDOW that is not 4 bytes');
            }
            $exchange->granted($payload);
        } else {
            $reason = object_of($payload);
            $code = (string) ($reason['code'] ?? 'cancelled');
            $this->host->crew->cancel($exchange, $code, (string) ($reason['message'] ?? $code));
        }
    }

    private function ping(string $payload): void
    {
        if (strlen($payload) !== 8) {
            throw new ProtocolError('a PING that is not 8 bytes');
        }
        $this->host->crew->whenAble(fn () => $this->send(encode(PONG, 0, $payload)));
    }

    private function call(string $payload): void
    {
        if ($this->role === 'data') {
            throw new ProtocolError('CALL on a data connection');
        }
        $call = object_of($payload);
        if (!is_int($call['id'] ?? null) || !is_string($call['method'] ?? null)) {
            throw new ProtocolError('a CALL without id or method');
        }
        $this->host->call($this, $call);
    }
}
