<?php

namespace Petrel\Runtime;

/**
 * The workers of this instance. A generic one waits from the warm-up on; the others are started when requests wait, up to the
 * function's concurrency, and end when they have had nothing to do for a while. Every worker loads the code itself, so nothing
 * (connections, random seeds) is shared; opcache's memory is, so only the first one compiles.
 */
final class Crew
{
    /** Workers of a function without a concurrency of its own. */
    private const MOST = 64;
    /** Started at once at most: more would only hold up each other. */
    private const LOADING = 8;
    private const IDLE_SECONDS = 30;
    /** A worker whose request is over is ended this long after the request's own time, and after being told. */
    private const STUCK_SECONDS = 5;

    /** With which PHP was started, for workers that cannot be forked. */
    public const SETTINGS = ['display_errors', 'log_errors', 'html_errors', 'opcache.enable_cli', 'disable_functions'];

    /** @var array<int, WorkerProcess> */
    public array $workers = [];
    /** Those that have not been seen to end. @var list<WorkerProcess> */
    private array $retired = [];
    /** @var list<Exchange> */
    private array $queue = [];
    /** @var list<callable> */
    private array $waiting = [];
    private int $limit = self::MOST;
    private string $load = '';
    private float $requestSeconds = 300;
    private bool $once = false;

    public function __construct(private readonly Supervisor $host)
    {
    }

    /** A worker that has loaded nothing, so that `specialise` finds one. */
    public function warmUp(): void
    {
        if ($this->workers === []) {
            $this->start();
        }
    }

    /** Has the code loaded by a first worker; `heard` tells of the outcome. */
    public function specialise(array $params): void
    {
        $this->limit = ($params['concurrency'] ?? 0) > 0 ? $params['concurrency'] : self::MOST;
        $this->requestSeconds = ($params['timeoutMs'] ?? 300000) / 1000;
        $this->load = encode(LOAD, 0, json($params));
        $this->warmUp();
        foreach ($this->workers as $worker) {
            $worker->loads = true;
            $this->loading($worker);
        }
    }

    public function request(Exchange $exchange): void
    {
        $this->queue[] = $exchange;
        $this->dispatch();
    }

    /** The request is over, by the gateway's word. */
    public function cancel(Exchange $exchange, string $code, string $message): void
    {
        $exchange->cancelled($code, $message);
        if ($exchange->worker === null) {
            $this->queue = array_values(array_filter($this->queue, fn ($one) => $one !== $exchange));
        } elseif ($exchange->worker->exchange === $exchange) {
            $end = max($exchange->began + $this->requestSeconds, microtime(true)) + self::STUCK_SECONDS;
            $exchange->worker->deadline = $end;
        }
    }

    /** Calls `$act` when a request that comes now would be worked on: not while every worker is stuck with one that is over. */
    public function whenAble(callable $act): void
    {
        $stuck = count(array_filter($this->workers, fn ($worker) => $worker->deadline !== null));
        if ($stuck >= $this->limit) {
            $this->waiting[] = $act;
        } else {
            $act();
        }
    }

    /** A frame of a worker. */
    public function heard(WorkerProcess $worker, int $kind, int $stream, string $payload): void
    {
        if ($kind === READY) {
            $worker->state = 'idle';
            $worker->exchange = $worker->deadline = null;
            $worker->idleUntil = microtime(true) + self::IDLE_SECONDS;
            $this->able();
        } elseif ($kind === LOADED) {
            $this->once = object_of($payload)['shape'] === 'script';
            $worker->loads = false;
            $this->host->loaded(object_of($payload));
        } elseif ($kind === FAILED) {
            $this->host->failed(object_of($payload));
        } elseif ($kind === CRASH) {
            $worker->crash = object_of($payload);
        } elseif ($worker->exchange !== null && $worker->exchange->id === $stream) {
            $worker->exchange->answer($kind, $payload);
        }
    }

    /** A worker's process has ended. @param array{string, int}|null $how null: with nothing left to do */
    public function lost(WorkerProcess $worker, ?array $how): void
    {
        unset($this->workers[spl_object_id($worker)]);
        if ($this->host->leaving) {
            return;
        }
        if ($how === null) {
            $this->retired[] = $worker;
            $this->reap();
            $this->able();
            return;
        }
        [$words, $code] = $how;
        if ($worker->loads) {
            $this->host->failed(['code' => 'LoadError', 'message' => "loading ended with $words", 'detail' => "loading ended with $words"]);
        } elseif ($this->once) {
            // A script has its process for itself: nobody else is touched.
            fwrite(STDERR, "petrel: request {$worker->exchange->requestId()} failed: its process ended with $words\n");
            $worker->exchange->reset('crashed', "the script's process ended with $words");
            $this->able();
        } else {
            $words = "the worker ended with $words";
            $this->host->crash(['code' => $code] + ($worker->crash ?? ['reason' => 'exit', 'message' => $words, 'detail' => $words]));
        }
    }

    /** A worker is there again, or may be started. */
    private function able(): void
    {
        $able = $this->waiting;
        $this->waiting = [];
        foreach ($able as $act) {
            $act();
        }
        $this->dispatch();
    }

    /** Ends who is stuck or not needed; returns seconds until it has to look again, or null. */
    public function tick(float $now): ?float
    {
        $next = null;
        $idle = count(array_filter($this->workers, fn ($worker) => $worker->state === 'idle'));
        foreach ($this->workers as $worker) {
            $at = $worker->deadline;
            if ($at === null && $worker->state === 'idle' && $idle > 1) {
                $at = $worker->idleUntil;
            }
            if ($at === null) {
                continue;
            }
            if ($at > $now) {
                $next = min($next ?? $at, $at);
            } elseif ($worker->deadline !== null) {
                $worker->kill();
                $worker->idleUntil = $worker->deadline = $now + self::STUCK_SECONDS;
            } else {
                $idle--;
                unset($this->workers[spl_object_id($worker)]);
                $worker->retire();
                $this->retired[] = $worker;
            }
        }
        return $next === null ? null : max(0, $next - $now);
    }

    private function dispatch(): void
    {
        if ($this->load === '' || $this->host->state !== 'specialised') {
            return;
        }
        $busy = count(array_filter($this->workers, fn ($worker) => $worker->state === 'busy'));
        foreach ($this->workers as $worker) {
            if ($this->queue === [] || $busy >= $this->limit) {
                break;
            }
            if ($worker->state === 'idle') {
                $busy++;
                $worker->state = 'busy';
                $worker->idleUntil = null;
                $worker->exchange = array_shift($this->queue);
                $worker->exchange->assign($worker);
            }
        }
        $states = array_count_values(array_map(fn ($worker) => $worker->state, $this->workers));
        $coming = ($states['loading'] ?? 0) + ($states['idle'] ?? 0);
        // A script's process works on one request only: the next one is started while this is worked on.
        $wanted = max(count($this->queue), $this->once || $this->workers === [] ? 1 : 0);
        while ($coming < min($wanted, self::LOADING) && count($this->workers) < $this->limit + ($this->once ? 1 : 0)) {
            $this->loading($this->start());
            $coming++;
        }
    }

    private function loading(WorkerProcess $worker): void
    {
        $worker->state = 'loading';
        $worker->send($this->load);
    }

    /** Takes leave of those that have ended since they were retired. */
    public function reap(): void
    {
        $this->retired = array_values(array_filter($this->retired, fn ($worker) => !$worker->ended()));
    }

    private function start(): WorkerProcess
    {
        $this->reap();
        if (!function_exists('pcntl_fork') || !function_exists('posix_kill')) {
            $settings = array_map(fn ($name) => "-d$name=" . ini_get($name), self::SETTINGS);
            $process = proc_open(
                [PHP_BINARY, ...$settings, MAIN, '--worker'],
                [0 => ['file', '/dev/null', 'r'], 1 => STDOUT, 2 => STDERR, 3 => ['socket']],
                $pipes,
            );
            $worker = new WorkerProcess($pipes[3], $this, proc_get_status($process)['pid'], $process);
        } else {
            [$ours, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
            $pid = pcntl_fork();
            if ($pid === 0) {
                fclose($ours);
                $this->host->abandon();
                throw new InWorker($theirs);
            }
            fclose($theirs);
            $worker = new WorkerProcess($ours, $this, $pid);
        }
        return $this->workers[spl_object_id($worker)] = $worker;
    }
}

/** Takes a forked worker out of the supervisor's loop. */
final class InWorker extends \Exception
{
    /** @param resource $channel */
    public function __construct(public $channel)
    {
    }
}
