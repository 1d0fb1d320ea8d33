<?php

namespace Petrel\Runtime;

/** The request has ended early: the client went away, or its time is over. `reason` is the reset's code. */
final class Aborted extends \RuntimeException
{
    public function __construct(public readonly string $reason, string $message)
    {
        parent::__construct($message);
    }
}

/** One request and its response, as the worker that works on it sees them. */
final class Call
{
    private const INLINE_BODY = 65536;
    private const GRANT_STEP = WINDOW_SIZE / 4;

    public readonly string $method;
    public readonly string $target;
    /** @var list<array{string, string}> names in lower case, values latin1 */
    public readonly array $headers;
    public bool $started = false;
    public bool $finished = false;
    private ?Aborted $aborted = null;
    private bool $ended;
    /** @var list<string> */
    private array $queue = [];
    private int $consumed = 0;
    private int $window = WINDOW_SIZE;
    /** Whether the next request may come: null not yet, true to be said, false said. */
    private ?bool $ready = null;

    public function __construct(private readonly Channel $channel, private readonly int $id, string $head, bool $hasBody)
    {
        $lines = explode("\r\n", $head);
        [$this->method, $this->target] = explode(' ', array_shift($lines), 2);
        $headers = [];
        foreach ($lines as $line) {
            $parts = explode(':', $line, 2);
            if (isset($parts[1])) {
                $headers[] = [$parts[0], trim($parts[1], " \t")];
            }
        }
        $this->headers = $headers;
        $this->ended = !$hasBody;
    }

    public function header(string $name): ?string
    {
        foreach ($this->headers as [$key, $value]) {
            if ($key === $name) {
                return $value;
            }
        }
        return null;
    }

    public function requestId(): string
    {
        return $this->header('x-request-id') ?? '';
    }

    public function scheme(): string
    {
        return $this->header('x-forwarded-proto') === 'https' ? 'https' : 'http';
    }

    /** The client's address, as the gateway saw it. */
    public function client(): ?string
    {
        $hops = explode(',', $this->header('x-forwarded-for') ?? '');
        return trim(end($hops)) ?: null;
    }

    public function cancelled(): bool
    {
        $this->listen(false);
        return $this->aborted !== null;
    }

    /** Takes in what the gateway has said; waits for one frame of this request if asked to. */
    private function listen(bool $wait): void
    {
        while (($frame = $this->channel->next($wait)) !== null) {
            [$kind, $stream, $payload] = $frame;
            if ($stream !== $this->id) {
                continue; // late, for one that is over
            }
            if ($kind === DATA) {
                $this->queue[] = $payload;
            } elseif ($kind === ENDED) {
                $this->ended = true;
            } elseif ($kind === WINDOW) {
                $this->window += unpack('V', $payload)[1];
            } elseif ($kind === RESET) {
                $reason = object_of($payload);
                $this->aborted ??= new Aborted($reason['code'], $reason['message']);
                $this->finished = true;
            }
            $wait = false;
        }
    }

    /** The next bytes of the body, null at its end. Blocks. Throws Aborted. */
    public function read(): ?string
    {
        while (true) {
            $chunk = array_shift($this->queue);
            if ($chunk === '') {
                continue;
            }
            if ($chunk !== null) {
                $this->consumed += strlen($chunk);
                if ($this->consumed >= self::GRANT_STEP && !$this->ended && !$this->finished) {
                    $this->channel->send(encode(WINDOW, $this->id, pack('V', $this->consumed)));
                    $this->consumed = 0;
                }
                return $chunk;
            }
            if ($this->ended) {
                return null;
            }
            if ($this->aborted !== null) {
                throw $this->aborted;
            }
            if ($this->finished) {
                throw new Aborted('complete', 'the response is complete');
            }
            $this->listen(true);
        }
    }

    /** Head and whole body. */
    public function respond(int $status, string $block, string $body): void
    {
        if ($this->finished || $this->started) {
            return;
        }
        $bodyless = $this->method === 'HEAD' || $status === 304;
        if ($bodyless || strlen($body) > self::INLINE_BODY) {
            if (!str_contains($block, 'content-length: ') && !($status === 304 && $body === '')) {
                $block .= 'content-length: ' . strlen($body) . "\r\n";
            }
            $this->start($status, $block);
            if (!$bodyless) {
                $this->write($body);
            }
            $this->finish();
            return;
        }
        $this->started = $this->finished = true;
        $payload = pack('vV', $status, strlen($block)) . $block . ($status === 204 ? '' : $body);
        $this->channel->send(encode(RESPONSE, $this->id, $payload) . $this->andReady());
    }

    /** The head; the body follows with `write` and `finish`. */
    public function start(int $status, string $block): void
    {
        if (!$this->finished && !$this->started) {
            $this->started = true;
            $this->channel->send(encode(RESPONSE_BODY, $this->id, pack('vV', $status, strlen($block)) . $block));
        }
    }

    /** Sends all of it, waiting for the window. Throws Aborted. */
    public function write(string $body): void
    {
        $this->listen(false);
        for ($at = 0, $total = strlen($body); $at < $total && $this->method !== 'HEAD';) {
            if ($this->aborted !== null) {
                throw $this->aborted;
            }
            $size = min($total - $at, $this->window, MAX_DATA);
            if ($size === 0) {
                $this->listen(true);
                continue;
            }
            $this->window -= $size;
            $this->channel->send(encode(DATA, $this->id, substr($body, $at, $size)));
            $at += $size;
        }
        if ($this->aborted !== null) {
            throw $this->aborted;
        }
    }

    public function finish(): void
    {
        if (!$this->finished) {
            $this->finished = true;
            $this->channel->send(encode(ENDED, $this->id));
        }
    }

    public function reset(string $code, string $message): void
    {
        if (!$this->finished) {
            $this->finished = true;
            $this->channel->send(encode(RESET, $this->id, json(['code' => $code, 'message' => $message])));
        }
    }

    /** The handler has returned: whatever completes the answer also says that the next request may come. */
    public function last(): void
    {
        $this->ready ??= true;
    }

    private function andReady(): string
    {
        if ($this->ready !== true) {
            return '';
        }
        $this->ready = false;
        return encode(READY, 0);
    }

    /** Says that the next request may come, if that has not been said. */
    public function done(): void
    {
        $this->last();
        $ready = $this->andReady();
        if ($ready !== '') {
            $this->channel->send($ready);
        }
    }
}
