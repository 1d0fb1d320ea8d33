<?php
/**
 * The supervisor of the php runtime: one instance. Speaks runtimes/PROTOCOL.md on the unix socket named by PETREL_SOCKET, is
 * specialised at most once, and ends when its platform does.
 *
 * This process never runs user code: a loop reads every connection, and workers, forked from it, load the code and work on one
 * request at a time each.
 */

namespace Petrel\Runtime;

const MAIN = __FILE__;

require __DIR__ . '/lib/frames.php';
foreach (['Peer', 'Connection', 'Exchange', 'WorkerProcess', 'Crew', 'Supervisor'] as $petrel_name) {
    require __DIR__ . "/lib/$petrel_name.php";
}
unset($petrel_name);

/** Loads what workers need; what the supervisor needs is loaded first, so that it says HELLO early. */
function loadWorker(): void
{
    foreach (['Channel', 'Call', 'Errors', 'Answer', 'BodyStream', 'Forms', 'Recognise', 'Psr', 'Script', 'PhpStream', 'Worker', 'functions'] as $name) {
        require __DIR__ . "/lib/worker/$name.php";
    }
    require __DIR__ . '/lib/public/Request.php';
    require __DIR__ . '/lib/public/Response.php';
}

/**
 * PHP has to be started for its debugger: this process becomes another that is. Where there is no Xdebug it stays, and the load fails with
 * words that say so.
 */
function withDebugger(string $port): void
{
    if ($port === '' || getenv('XDEBUG_CONFIG') !== false || !function_exists('pcntl_exec')) {
        return;
    }
    $loaded = extension_loaded('xdebug');
    if (!$loaded && !is_file(ini_get('extension_dir') . '/xdebug.so')) {
        return;
    }
    $settings = array_map(fn (string $name) => "-d$name=" . ini_get($name), Crew::SETTINGS);
    $xdebug = ['xdebug.mode=debug', 'xdebug.start_with_request=trigger', 'xdebug.client_host=127.0.0.1', "xdebug.client_port=$port", 'xdebug.log_level=0'];
    $more = array_map(fn (string $one) => "-d$one", $loaded ? $xdebug : ['zend_extension=xdebug', ...$xdebug]);
    // The variable would win over the setting; the other one tells that this has been done.
    pcntl_exec(PHP_BINARY, [...$settings, ...$more, MAIN], ['XDEBUG_MODE' => 'debug', 'XDEBUG_CONFIG' => 'log_level=0'] + getenv());
}

/** @return resource|null The channel of a worker; null in the supervisor, which does not come back. */
function start()
{
    if (in_array('--worker', $GLOBALS['argv'], true)) {
        loadWorker();
        return fopen('php://fd/3', 'r+b');
    }
    $seconds = fn (string $name, int $fallback): float => (int) (getenv($name) ?: $fallback) / 1000;
    $options = [
        'socket' => (string) getenv('PETREL_SOCKET'),
        // Life after the last control connection has closed, and without one ever.
        'controlGrace' => $seconds('PETREL_CONTROL_GRACE_MS', 10000),
        'orphan' => $seconds('PETREL_ORPHAN_MS', 60000),
        'load' => $seconds('PETREL_LOAD_TIMEOUT_MS', 30000),
        // Requests in flight at SIGTERM.
        'termGrace' => $seconds('PETREL_TERM_GRACE_MS', 25000),
    ];
    withDebugger((string) getenv('PETREL_DEBUG_PORT'));
    foreach (array_keys(getenv()) as $name) {
        if (str_starts_with($name, 'PETREL_')) {
            putenv($name);
            unset($_SERVER[$name], $_ENV[$name]);
        }
    }
    if ($options['socket'] === '') {
        fwrite(STDERR, "petrel: PETREL_SOCKET is not set: the php runtime is started by the platform\n");
        exit(2);
    }
    // Standard input is at its end for user code, whatever the process was started with: the lowest free descriptor is 0.
    fclose(STDIN);
    $GLOBALS['petrel_stdin'] = fopen('/dev/null', 'rb');
    $supervisor = new Supervisor($options);
    $supervisor->listen();
    loadWorker(); // before they are forked
    try {
        $supervisor->run();
    } catch (InWorker $forked) {
        return $forked->channel;
    }
}

$petrel_channel = start();
$petrel_worker = new Worker($petrel_channel);
unset($petrel_channel);
// From here on it is PHP's global scope that matters: code that is included here has the global variables it expects.
if ($petrel_worker->begin()) {
    try {
        $petrel_returned = require $petrel_worker->entry;
    } catch (\Throwable $petrel_error) {
        $petrel_worker->failed($petrel_error);
    }
    $petrel_worker->serve($petrel_returned);
}
$petrel_worker->takeScript();
$petrel_entry = $petrel_worker->entry;
unset($petrel_worker);
require $petrel_entry;
