<?php

namespace Petrel\Runtime;

use Petrel\Request;

/** A process that loads the user's code and works on one request at a time. What has to run in PHP's global scope is in supervisor.php. */
final class Worker
{
    /** The supervisor is gone: nobody is told of anything any more. */
    public static bool $silent = false;
    public string $entry = '';
    private Channel $channel;
    /** @var array<string, mixed> */
    private array $params = [];
    private string $phase = 'generic';
    /** The last output of the code itself. */
    private string $said = '';
    /** @var array<string, mixed> */
    private array $before = [];
    private ?Call $call = null;

    /** @param resource $socket */
    public function __construct($socket)
    {
        $this->channel = new Channel($socket);
        self::endWithParent();
    }

    /** The kernel ends this process with its supervisor, however that ends; where PHP cannot say so, the sandbox does. */
    private static function endWithParent(): void
    {
        if (PHP_OS_FAMILY !== 'Linux' || !extension_loaded('FFI')) {
            return;
        }
        try {
            \FFI::cdef('int prctl(int option, unsigned long value);')->prctl(1, 9);
        } catch (\FFI\Exception) {
            return;
        }
    }

    /** Waits for what is to be loaded. True: a handler, and `entry` has to be included; false: a script. */
    public function begin(): bool
    {
        do {
            [$kind, , $payload] = $this->channel->next();
        } while ($kind !== LOAD);
        $this->phase = 'loading';
        $this->params = $params = object_of($payload);
        register_shutdown_function($this->atEnd(...));
        try {
            return $this->prepare($params);
        } catch (\Throwable $error) {
            $this->failed($error);
        }
    }

    /** @param array<string, mixed> $params */
    private function prepare(array $params): bool
    {
        $root = realpath($params['code']);
        Errors::$root = $root;
        Errors::$development = ($params['development'] ?? null) === true;
        $env = ($params['env'] ?? []) + (isset($params['port']) ? ['PORT' => (string) $params['port']] : []);
        foreach ($env as $name => $value) {
            putenv("$name=$value");
            $_ENV[$name] = $_SERVER[$name] = (string) $value;
        }
        chdir($params['workdir'] ?? $root);
        $this->entry = Recognise::entry($root, $params['entry'] ?? null);
        $shape = $params['shape'] ?? null;
        if ($shape === 'program') {
            throw new LoadFailure('BadRequest', 'the php runtime loads handlers and scripts; a program that listens on $PORT is deployed with a Procfile, for example "web: php -S 127.0.0.1:$PORT", or with --command');
        }
        $_SERVER['argv'] = $GLOBALS['argv'] = [$this->entry];
        $_SERVER['argc'] = $GLOBALS['argc'] = 1;
        $source = (string) file_get_contents($this->entry);
        try {
            $script = Recognise::isScript($source);
        } catch (\ParseError $error) {
            include $this->entry; // says it again, with the file's name
            throw $error;
        }
        $handler = isset($params['handler']) || $shape === 'handler' || $shape === 'psr15' || $shape === 'request';
        if ($shape === 'script' || $script && !$handler) {
            chdir(dirname($this->entry));
            return false;
        }
        if (is_file("$root/vendor/autoload.php")) {
            require_once "$root/vendor/autoload.php";
        }
        ob_start($this->log(...), 1);
        $this->before = Recognise::snapshot();
        return true;
    }

    /** What a handler prints belongs into the log. */
    private function log(string $text): string
    {
        if ($text !== '') {
            fwrite(STDOUT, $text);
            $this->said = substr($text, -1024);
        }
        return '';
    }

    /** The file has been included; answers requests from now on. */
    public function serve(mixed $returned): never
    {
        $file = Errors::relative($this->entry);
        try {
            $found = Recognise::handler($returned, $this->before, $this->params['handler'] ?? null)
                ?? throw Recognise::notFound($file, $this->params['handler'] ?? null, $returned, $this->before);
            [$shape, $handler] = $found;
            $psr = $shape === 'psr15' ? new Psr() : null;
        } catch (\Throwable $error) {
            $this->failed($error);
        }
        $this->loaded($shape);
        while (true) {
            $call = $this->nextCall();
            if (!Answer::refusesUpgrade($call)) {
                $this->answer($call, $handler, $psr);
            }
            $this->call = null;
            $this->phase = 'idle';
            $call->done();
        }
    }

    private function answer(Call $call, callable $handler, ?Psr $psr): void
    {
        self::callDebugger();
        try {
            $value = $handler($psr?->request($call) ?? new Request($call));
            if (is_object($value) && is_a($value, 'Psr\Http\Message\ResponseInterface')) {
                Psr::respond($call, $value);
            } else {
                Answer::respond($call, $value);
            }
        } catch (Aborted) {
            return;
        } catch (\Throwable $error) {
            Answer::fail($call, Errors::line($error), Errors::stack($error));
        }
    }

    /** Where a debugger listens, it gets this request; PHP's calls it, not the other way round. */
    private static function callDebugger(): void
    {
        if (function_exists('xdebug_connect_to_client') && !xdebug_is_debugger_active()) {
            xdebug_connect_to_client();
        }
    }

    /** Of a script: waits for the only request of this process, which `entry`, included then, answers. */
    public function takeScript(): void
    {
        $this->loaded('script');
        $call = $this->nextCall();
        self::callDebugger();
        $this->phase = 'script'; // it says itself how it ended
        if (Answer::refusesUpgrade($call)) {
            exit(0);
        }
        (new Script($call, $this->entry))->begin();
    }

    private function loaded(string $shape): void
    {
        $this->phase = 'idle';
        $this->channel->send(encode(LOADED, 0, json(['shape' => $shape])) . encode(READY, 0));
    }

    private function nextCall(): Call
    {
        do {
            [$kind, $id, $payload] = $this->channel->next();
        } while ($kind !== REQUEST && $kind !== REQUEST_BODY);
        $this->phase = 'request';
        return $this->call = new Call($this->channel, $id, $payload, $kind === REQUEST_BODY);
    }

    /** The code could not be loaded. */
    public function failed(\Throwable $error): never
    {
        $this->channel->send(encode(FAILED, 0, json(Errors::ofLoading($error, Errors::relative($this->entry)))));
        self::$silent = true;
        exit(1);
    }

    /** The process ends: by an error that nobody can catch, or because the code called exit. */
    private function atEnd(): void
    {
        if (self::$silent || $this->phase === 'script' || $this->phase === 'idle') {
            return;
        }
        $fatal = Errors::fatal();
        $file = Errors::relative($this->entry);
        if ($this->phase === 'loading') {
            $message = "$file called exit while it was loaded" . ($this->said === '' ? '' : ": $this->said");
            $error = $fatal !== null ? Errors::ofFatal($fatal) : ['code' => 'LoadError', 'message' => $message, 'file' => $file, 'detail' => $message];
            $this->channel->send(encode(FAILED, 0, json($error)));
        } elseif ($fatal !== null) {
            $at = Errors::relative("{$fatal['message']} in {$fatal['file']}:{$fatal['line']}");
            Answer::fail($this->call, Errors::relative($fatal['message']), $at);
        } else {
            $message = 'the handler called exit' . ($this->said === '' ? '' : ": $this->said");
            $detail = "$message\nin $file, while it worked on {$this->call->method} {$this->call->target}";
            $this->channel->send(encode(CRASH, 0, json(['reason' => 'exit', 'message' => $message, 'detail' => $detail])));
        }
    }
}
