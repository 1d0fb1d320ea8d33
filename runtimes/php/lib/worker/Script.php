<?php

namespace Petrel\Runtime;

/**
 * One request of a script whose output is the answer: PHP's superglobals, header() and its relatives (functions.php), output as it
 * is flushed. Its process works on this request only.
 */
final class Script
{
    /** The request of this process; null where handlers are called. */
    public static ?Script $current = null;
    public int $status = 200;
    /** @var list<array{string, string}> */
    public array $headers = [];
    /** Paths of uploaded files. @var array<string, true> */
    public array $uploads = [];
    public ?\Closure $beforeHeaders = null;
    public bool $sent = false;
    private string $failure = '';
    private string $stack = '';

    public function __construct(public readonly Call $call, private readonly string $entry)
    {
        self::$current = $this;
    }

    /** What $_SERVER says of a request. @return array<string, mixed> */
    public static function serverOf(Call $call): array
    {
        [$path, $query] = explode('?', $call->target, 2) + [1 => ''];
        [$host, $port] = explode(':', $call->header('host') ?? 'localhost', 2) + [1 => null];
        $server = [
            'REQUEST_METHOD' => $call->method, 'REQUEST_URI' => $call->target, 'QUERY_STRING' => $query, 'PATH_INFO' => rawurldecode($path),
            'SERVER_PROTOCOL' => 'HTTP/1.1', 'SERVER_NAME' => $host, 'SERVER_PORT' => $port ?? ($call->scheme() === 'https' ? '443' : '80'),
            'REQUEST_SCHEME' => $call->scheme(), 'REMOTE_ADDR' => $call->client() ?? '127.0.0.1', 'SERVER_SOFTWARE' => 'petrel',
            'GATEWAY_INTERFACE' => 'CGI/1.1', 'REQUEST_TIME' => time(), 'REQUEST_TIME_FLOAT' => microtime(true),
        ];
        if ($call->scheme() === 'https') {
            $server['HTTPS'] = 'on';
        }
        foreach ($call->headers as [$name, $value]) {
            $key = strtoupper(strtr($name, '-', '_'));
            $key = in_array($key, ['CONTENT_TYPE', 'CONTENT_LENGTH'], true) ? $key : "HTTP_$key";
            $server[$key] = isset($server[$key]) ? $server[$key] . ($name === 'cookie' ? '; ' : ', ') . $value : $value;
        }
        return $server;
    }

    public function begin(): void
    {
        $call = $this->call;
        $root = dirname($this->entry);
        $name = '/' . basename($this->entry);
        unset($_SERVER['argv'], $_SERVER['argc']);
        $_SERVER = ['DOCUMENT_ROOT' => $root, 'SCRIPT_FILENAME' => $this->entry, 'SCRIPT_NAME' => $name, 'PHP_SELF' => $name] + self::serverOf($call) + $_SERVER;
        parse_str($_SERVER['QUERY_STRING'], $_GET);
        $_COOKIE = Forms::cookies($call->header('cookie') ?? '');
        $_POST = $_FILES = [];
        $type = $call->header('content-type') ?? '';
        $body = null;
        if ($call->method === 'POST' && preg_match('~^(application/x-www-form-urlencoded|multipart/form-data)\b~i', $type, $form)) {
            $body = (string) stream_get_contents(BodyStream::open($call));
            [$_POST, $files] = Forms::parse($type, $body);
            $this->uploaded($files);
            $body = strtolower($form[1]) === 'multipart/form-data' ? '' : $body;
        }
        $_REQUEST = $_POST + $_GET;
        PhpStream::install($call, $body);
        set_exception_handler(function (\Throwable $error): void {
            if (!$error instanceof Aborted) {
                $this->failure = Errors::line($error);
                $this->stack = Errors::stack($error);
            }
        });
        ob_start($this->output(...), 8192);
        // Registered again from within, so that it comes after those that the script registers.
        register_shutdown_function(fn () => register_shutdown_function($this->end(...)));
    }

    /** @param list<array{field: string, name: string, type: string, path: string, size: int}> $files */
    private function uploaded(array $files): void
    {
        foreach ($files as $file) {
            $this->uploads[$file['path']] = true;
            $entry = ['name' => $file['name'], 'full_path' => $file['name'], 'type' => $file['type'], 'tmp_name' => $file['path'], 'error' => UPLOAD_ERR_OK, 'size' => $file['size']];
            if (!str_ends_with($file['field'], '[]')) {
                $_FILES[$file['field']] = $entry;
                continue;
            }
            foreach ($entry as $key => $value) {
                $_FILES[substr($file['field'], 0, -2)][$key][] = $value;
            }
        }
    }

    /** The callback of the output buffer: what is flushed leaves at once, what is not leaves with the end. */
    private function output(string $text, int $phase): string
    {
        if (($phase & PHP_OUTPUT_HANDLER_CLEAN) !== 0 || ($phase & PHP_OUTPUT_HANDLER_FINAL) !== 0) {
            $this->rest = ($phase & PHP_OUTPUT_HANDLER_CLEAN) !== 0 ? '' : $text;
            return '';
        }
        if ($text !== '' && !$this->call->finished) {
            try {
                if (!$this->sent) {
                    $this->call->start($this->status, $this->head());
                }
                $this->call->write($text);
            } catch (Aborted) {
                // As on any web server: the script ends when its client is gone, unless it said otherwise.
                if (!ignore_user_abort()) {
                    exit(0);
                }
            }
        }
        return '';
    }

    private string $rest = '';

    private function head(): string
    {
        $this->sent = true;
        if ($this->beforeHeaders !== null) {
            ($this->beforeHeaders)();
        }
        $this->sessionCookie();
        $named = array_map(fn ($pair) => strtolower($pair[0]), $this->headers);
        if (!in_array('content-type', $named, true)) {
            $this->headers[] = ['Content-Type', ini_get('default_mimetype') . '; charset=' . ini_get('default_charset')];
        }
        return Answer::block($this->headers);
    }

    /** PHP's sessions set their cookie past header(). */
    private function sessionCookie(): void
    {
        if (!extension_loaded('session') || session_id() === '' || ($_COOKIE[session_name()] ?? null) === session_id()) {
            return;
        }
        $this->sent = false;
        $set = session_get_cookie_params();
        $options = array_diff_key($set, ['lifetime' => 0]) + ['expires' => $set['lifetime'] > 0 ? time() + $set['lifetime'] : 0];
        setcookie(session_name(), session_id(), $options);
        $this->sent = true;
    }

    /** The script is over, by its end, exit, or an error. */
    private function end(): void
    {
        if (Worker::$silent) {
            return;
        }
        $fatal = Errors::fatal();
        if ($fatal !== null && $this->failure === '') {
            $this->failure = Errors::relative($fatal['message']);
            $this->stack = Errors::relative("{$fatal['message']} in {$fatal['file']}:{$fatal['line']}");
        }
        while (ob_get_level() > 0 && ob_end_flush()) {
            continue;
        }
        try {
            if ($this->failure !== '') {
                Answer::fail($this->call, $this->failure, $this->stack);
            } elseif ($this->sent) {
                $this->call->write($this->rest);
                $this->call->finish();
            } else {
                $this->call->respond($this->status, $this->head(), $this->rest);
            }
        } catch (Aborted) {
            // Nobody waits for it.
        } catch (\UnexpectedValueException $error) {
            Answer::fail($this->call, Errors::line($error), Errors::stack($error));
        }
        array_map(fn ($path) => @unlink($path), array_keys($this->uploads));
    }
}
