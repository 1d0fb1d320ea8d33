<?php

namespace Petrel\Runtime;

/** The supervisor's end of one worker: a process that loads the user's code and works on one request at a time. */
final class WorkerProcess extends Peer
{
    /** generic, loading, idle, busy, gone */
    public string $state = 'generic';
    public ?Exchange $exchange = null;
    /** When it is ended if it has not come back by then; it works on a request that nobody waits for. */
    public ?float $deadline = null;
    /** When an idle one that is not needed ends. */
    public ?float $idleUntil = null;
    /** What it said of its end before it ended. @var array<string, mixed>|null */
    public ?array $crash = null;
    /** The instance is specialised by what it loads. */
    public bool $loads = false;
    private bool $retired = false;

    /**
     * @param resource $socket
     * @param resource|null $process of proc_open, where processes cannot be forked
     */
    public function __construct($socket, private readonly Crew $crew, public readonly int $pid, private $process = null)
    {
        parent::__construct($socket);
    }

    protected function frame(int $kind, int $stream, string $payload): void
    {
        $this->crew->heard($this, $kind, $stream, $payload);
    }

    protected function gone(): void
    {
        $this->state = 'gone';
        // How it ended is waited for only where somebody has to be told: PHP takes milliseconds to end.
        $owes = $this->deadline === null && $this->exchange !== null && !$this->exchange->finished;
        if (!$this->retired) {
            $this->crew->lost($this, $owes || $this->loads ? $this->reap() : null);
        }
    }

    /** It ends with its channel, by itself; nobody waits for that. */
    public function retire(): void
    {
        $this->retired = true;
        $this->close();
    }

    /** Whether a retired one has ended. */
    public function ended(): bool
    {
        return $this->process !== null ? !proc_get_status($this->process)['running'] : pcntl_waitpid($this->pid, $raw, WNOHANG) !== 0;
    }

    public function kill(): void
    {
        if ($this->process !== null) {
            proc_terminate($this->process, 9);
        } else {
            posix_kill($this->pid, 9);
        }
    }

    /** How it ended, for people, and the exit code of the instance if that was wrong. @return array{string, int} */
    private function reap(): array
    {
        if ($this->process !== null) {
            // Its end of the socket closes a moment before the process itself is over.
            for ($i = 0; ($status = proc_get_status($this->process))['running'] && $i < 200; $i++) {
                usleep(500);
            }
            [$exited, $code, $signal] = [!$status['signaled'], $status['exitcode'], $status['termsig']];
        } else {
            pcntl_waitpid($this->pid, $raw);
            [$exited, $code, $signal] = [pcntl_wifexited($raw), pcntl_wexitstatus($raw), pcntl_wtermsig($raw)];
        }
        return $exited ? ["exit code $code", $code] : ["signal $signal", 128 + $signal];
    }
}
