<?php

namespace Petrel\Runtime;

/** The state of this instance and its loop: it never runs user code, so it answers whatever that does. */
final class Supervisor
{
    public string $state = 'generic';
    public bool $leaving = false;
    public readonly Crew $crew;
    private int $inFlight = 0;
    private bool $draining = false;
    private bool $development = false;
    private bool $warm = false;
    private float $began = 0;
    /** @var callable|null */
    private $answer = null;
    /** @var array<int, Connection> */
    private array $connections = [];
    /** @var array<string, array{float, callable}> name → when, what */
    private array $timers = [];
    /** @var list<callable> */
    private array $drains = [];
    /** @var resource */
    private $server;
    /** @var array{resource, resource} Wakes the loop from a signal handler. */
    private array $wake;

    /** @param array<string, mixed> $options */
    public function __construct(private readonly array $options)
    {
        $this->crew = new Crew($this);
    }

    public function listen(): void
    {
        @unlink($this->options['socket']);
        $server = @stream_socket_server("unix://{$this->options['socket']}", $code, $message);
        if ($server === false) {
            fwrite(STDERR, "petrel: cannot listen on {$this->options['socket']}: $message\n");
            exit(2);
        }
        $this->server = $server;
        stream_set_blocking($server, false);
        $this->wake = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        array_map(fn ($end) => stream_set_blocking($end, false), $this->wake);
        if (function_exists('pcntl_signal')) {
            pcntl_async_signals(true);
            pcntl_signal(SIGTERM, fn () => fwrite($this->wake[1], 'T'));
            pcntl_signal(SIGCHLD, fn () => fwrite($this->wake[1], 'C'));
        }
        $this->alone($this->options['orphan']);
    }

    /** Never returns; throws InWorker in a worker that was forked. */
    public function run(): void
    {
        while (true) {
            $wait = $this->tick(); // first: it opens and closes sockets
            $read = [$this->server, $this->wake[0]];
            $write = [];
            $peers = [];
            foreach ([...$this->connections, ...$this->crew->workers] as $peer) {
                $read[] = $peer->socket;
                $peers[(int) $peer->socket] = $peer;
                if ($peer->wantsToWrite()) {
                    $write[] = $peer->socket;
                }
            }
            $none = null;
            $seconds = $wait === null ? null : (int) $wait;
            $micros = $wait === null ? null : (int) (($wait - $seconds) * 1000000);
            if (!@stream_select($read, $write, $none, $seconds, $micros)) {
                continue; // a timer, or a signal
            }
            foreach ($write as $socket) {
                $peers[(int) $socket]->closed || $peers[(int) $socket]->writable();
            }
            foreach ($read as $socket) {
                if ($socket === $this->server) {
                    $this->accept();
                } elseif ($socket === $this->wake[0]) {
                    $this->crew->reap();
                    if (str_contains((string) fread($socket, 64), 'T')) {
                        $this->drain($this->options['termGrace'], fn () => $this->leave(0));
                    }
                } elseif (!$peers[(int) $socket]->closed) {
                    $peers[(int) $socket]->readable();
                }
            }
        }
    }

    private function accept(): void
    {
        $socket = @stream_socket_accept($this->server, 0);
        if ($socket !== false) {
            $connection = new Connection($socket, $this);
            $this->connections[spl_object_id($connection)] = $connection;
        }
    }

    /** Does what is due; returns the seconds until something is, null when nothing will be. */
    private function tick(): ?float
    {
        $now = microtime(true);
        foreach ($this->timers as $name => [$at, $act]) {
            if ($at <= $now) {
                unset($this->timers[$name]);
                $act();
            }
        }
        $next = $this->crew->tick($now);
        foreach ($this->timers as [$at]) {
            $next = max(0, min($next ?? INF, $at - $now));
        }
        return $next;
    }

    private function after(string $name, float $seconds, callable $act): void
    {
        $this->timers[$name] = [microtime(true) + $seconds, $act];
    }

    /** In a forked worker: what belongs to the supervisor alone is closed. */
    public function abandon(): void
    {
        $this->leaving = true;
        foreach ([...$this->connections, ...$this->crew->workers] as $peer) {
            $peer->closed = true;
            fclose($peer->socket);
        }
        fclose($this->server);
        array_map(fclose(...), $this->wake);
        pcntl_signal(SIGTERM, SIG_DFL);
        pcntl_signal(SIGCHLD, SIG_DFL);
        pcntl_async_signals(false);
    }

    // ---- asked by connections ----

    /** @return array<string, mixed> */
    public function hello(): array
    {
        $state = $this->state === 'specialising' ? 'generic' : $this->state;
        return ['version' => 1, 'runtime' => 'php', 'language' => PHP_VERSION, 'pid' => getmypid(), 'state' => $state];
    }

    public function counted(): void
    {
        $this->inFlight++;
    }

    public function answered(): void
    {
        $this->inFlight--;
        if ($this->inFlight === 0) {
            foreach (array_splice($this->drains, 0) as $act) {
                $act();
            }
        }
    }

    public function request(Exchange $exchange): void
    {
        if ($this->state === 'specialised') {
            $this->crew->request($exchange);
        } else {
            $exchange->reset('overloaded', "this instance is $this->state and takes no requests here");
        }
    }

    public function opened(Connection $connection): void
    {
        if ($connection->role === 'control') {
            unset($this->timers['alone']);
            if (!$this->warm) {
                $this->warm = true;
                $this->after('warm', 0, fn () => $this->crew->warmUp());
            }
        }
        if ($this->draining) {
            $connection->goaway();
        }
    }

    public function closed(Connection $connection): void
    {
        unset($this->connections[spl_object_id($connection)]);
        $controls = array_filter($this->connections, fn ($one) => $one->role === 'control');
        if ($connection->role === 'control' && $controls === []) {
            $this->alone($this->options['controlGrace']);
        }
    }

    /** Without a platform the instance ends. */
    private function alone(float $seconds): void
    {
        $this->after('alone', $seconds, fn () => $this->leave(0));
    }

    /** @param array<string, mixed> $call */
    public function call(Connection $connection, array $call): void
    {
        $answer = fn (array $value) => $connection->send(encode(RESULT, 0, json(['id' => $call['id']] + $value)));
        $params = is_array($call['params'] ?? null) ? $call['params'] : [];
        match ($call['method']) {
            'specialise' => $this->specialise($params, $answer),
            'health' => $answer(['result' => ['state' => $this->hello()['state'], 'inFlight' => $this->inFlight]]),
            'drain' => $this->drain(($params['graceMs'] ?? 30000) / 1000, fn () => $answer(['result' => ['left' => $this->inFlight]])),
            'shutdown' => [$answer(['result' => new \stdClass()]), $this->leave(0)],
            default => $answer(['error' => ['code' => 'BadRequest', 'message' => "no such method: {$call['method']}"]]),
        };
    }

    // ---- specialise ----

    /** @param array<string, mixed> $params */
    private function specialise(array $params, callable $answer): void
    {
        $wrong = $this->problem($params);
        if ($wrong !== null) {
            $answer(['error' => $wrong]);
            return;
        }
        $this->state = 'specialising';
        $this->began = microtime(true);
        $this->answer = $answer;
        $this->development = ($params['development'] ?? null) === true;
        $this->after('load', $this->options['load'], function () use ($params): void {
            $message = ($params['entry'] ?? 'the package') . " did not finish loading within {$this->options['load']} s";
            $this->failed(['code' => 'LoadError', 'message' => $message, 'detail' => $message]);
        });
        if (isset($params['debugPort']) && !extension_loaded('xdebug')) {
            $message = 'a debugger was asked for, and Xdebug is not installed: apt install php-xdebug, or pecl install xdebug';
            $this->failed(['code' => 'LoadError', 'message' => $message, 'detail' => $message]);
            return;
        }
        $this->crew->specialise($params);
    }

    /** @param array<string, mixed> $params */
    private function problem(array $params): ?array
    {
        if ($this->state !== 'generic') {
            return ['code' => 'AlreadySpecialised', 'message' => "this instance is $this->state already"];
        }
        $kinds = array_fill_keys(['code', 'entry', 'handler', 'shape', 'cache', 'workdir', 'function', 'namespace'], 'is_string');
        $kinds += ['env' => 'is_array', 'port' => 'is_int', 'concurrency' => 'is_int', 'timeoutMs' => 'is_numeric'];
        foreach ($kinds as $name => $is) {
            if (isset($params[$name]) ? !$is($params[$name]) : $name === 'code') {
                return ['code' => 'BadRequest', 'message' => "specialise: $name has the wrong type"];
            }
        }
        if (!is_dir($params['code'])) {
            return ['code' => 'BadRequest', 'message' => "specialise: {$params['code']} is not a directory"];
        }
        return null;
    }

    /** @param array<string, mixed> $result */
    public function loaded(array $result): void
    {
        if ($this->state !== 'specialising') {
            return; // a further worker
        }
        unset($this->timers['load']);
        $this->state = 'specialised';
        $took = round((microtime(true) - $this->began) * 1000, 2);
        ($this->answer)(['result' => ['shape' => $result['shape'], 'loadMs' => $took, 'transport' => ['kind' => 'mux']]]);
    }

    /** @param array<string, mixed> $error */
    public function failed(array $error): void
    {
        if ($this->state === 'specialising') {
            $this->state = 'failed';
            ($this->answer)(['error' => $error]);
            $this->leave(1);
        }
        // A further worker cannot load what the first one could: the file or what it needs is gone.
        $this->crash(['reason' => 'load', 'message' => $error['message'], 'detail' => $error['detail'] ?? $error['message'], 'code' => 1]);
    }

    // ---- the end ----

    /** Takes no new requests; calls `$then` when none is left, or the time is over. */
    private function drain(float $seconds, callable $then): void
    {
        $this->draining = true;
        foreach ($this->connections as $connection) {
            $connection->goaway();
        }
        if ($this->inFlight === 0) {
            $then();
            return;
        }
        $name = 'drain ' . count($this->timers) . microtime();
        $once = function () use ($name, &$then): void {
            unset($this->timers[$name]);
            $act = $then;
            $then = null;
            if ($act !== null) {
                $act();
            }
        };
        $this->after($name, $seconds, $once);
        $this->drains[] = $once;
    }

    /** @param array<string, mixed> $crash reason, message, detail, code */
    public function crash(array $crash): void
    {
        $this->state = 'failed';
        foreach ($this->connections as $connection) {
            $connection->goaway(); // first, so that nothing new is sent here
        }
        $told = $this->development ? $crash['message'] : 'the instance crashed while it worked on this request';
        $event = ['event' => 'failed', 'reason' => $crash['reason'], 'message' => $crash['message'], 'detail' => $crash['detail']];
        foreach ($this->connections as $connection) {
            foreach ($connection->exchanges as $exchange) {
                $exchange->reset('crashed', $told);
            }
            if ($connection->role === 'control') {
                $connection->send(encode(EVENT, 0, json($event)));
            }
        }
        $this->leave($crash['code'] ?: 1);
    }

    public function leave(int $code): never
    {
        $this->leaving = true;
        foreach ($this->connections as $connection) {
            $connection->flush(1);
        }
        foreach ($this->crew->workers as $worker) {
            $worker->kill();
        }
        exit($code);
    }
}
