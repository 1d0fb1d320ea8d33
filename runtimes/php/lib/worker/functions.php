<?php
/**
 * PHP's functions for the head of an answer. The command line's own do nothing, so the runtime starts PHP with them disabled, and
 * these are in their place. Where handlers are called, which return their head, they do as little.
 */

use Petrel\Runtime\Script;

function header(string $header, bool $replace = true, int $response_code = 0): void
{
    $script = Script::$current;
    if ($script === null || headers_sent()) {
        $script && trigger_error('Cannot modify header information - headers already sent', E_USER_WARNING);
        return;
    }
    if (preg_match('~^HTTP/[\d.]+ (\d{3})~i', $header, $found)) {
        $script->status = (int) $found[1];
        return;
    }
    [$name, $value] = explode(':', $header, 2) + [1 => ''];
    if ($replace) {
        header_remove($name);
    }
    $script->headers[] = [$name, trim($value)];
    if (strcasecmp($name, 'location') === 0 && $response_code === 0 && $script->status !== 201 && intdiv($script->status, 100) !== 3) {
        $script->status = 302;
    }
    if ($response_code !== 0) {
        $script->status = $response_code;
    }
}

function header_remove(?string $name = null): void
{
    if (Script::$current !== null) {
        Script::$current->headers = $name === null ? [] : array_values(array_filter(Script::$current->headers, fn ($pair) => strcasecmp($pair[0], $name) !== 0));
    }
}

function headers_list(): array
{
    return array_map(fn ($pair) => "$pair[0]: $pair[1]", Script::$current->headers ?? []);
}

function headers_sent(&$filename = null, &$line = null): bool
{
    return Script::$current->sent ?? false;
}

function http_response_code(int $response_code = 0): int|bool
{
    $script = Script::$current;
    if ($script === null) {
        return false;
    }
    $before = $script->status;
    if ($response_code !== 0) {
        $script->status = $response_code;
    }
    return $before;
}

function header_register_callback(callable $callback): bool
{
    if (Script::$current !== null) {
        Script::$current->beforeHeaders = Closure::fromCallable($callback);
    }
    return true;
}

function setcookie(string $name, string $value = '', array|int $expires_or_options = 0, string $path = '', string $domain = '', bool $secure = false, bool $httponly = false): bool
{
    return setrawcookie($name, rawurlencode($value), $expires_or_options, $path, $domain, $secure, $httponly);
}

function setrawcookie(string $name, string $value = '', array|int $expires_or_options = 0, string $path = '', string $domain = '', bool $secure = false, bool $httponly = false): bool
{
    if (headers_sent()) {
        return false;
    }
    $given = is_array($expires_or_options) ? array_change_key_case($expires_or_options) : ['expires' => $expires_or_options];
    $options = $given + ['expires' => 0, 'path' => $path, 'domain' => $domain, 'secure' => $secure, 'httponly' => $httponly, 'samesite' => ''];
    if ($name === '' || strpbrk("$name$options[path]$options[domain]$options[samesite]", "=,; \t\r\n\v\f") !== false || strpbrk($value, ",; \t\r\n\v\f") !== false) {
        throw new ValueError('setcookie(): a name, value or option has a character that it may not have');
    }
    $expires = (int) $options['expires'];
    if ($value === '') {
        $value = 'deleted';
        $expires = 1;
    }
    $cookie = "$name=$value";
    if ($expires !== 0) {
        $cookie .= '; expires=' . gmdate('D, d M Y H:i:s', $expires) . ' GMT; Max-Age=' . max(0, $expires - time());
    }
    foreach (['path' => 'path', 'domain' => 'domain', 'samesite' => 'SameSite'] as $key => $label) {
        $cookie .= (string) $options[$key] === '' ? '' : "; $label=$options[$key]";
    }
    header("Set-Cookie: $cookie" . ($options['secure'] ? '; secure' : '') . ($options['httponly'] ? '; HttpOnly' : ''), false);
    return true;
}

function flush(): void
{
    if (Script::$current !== null && ob_get_level() === 1) {
        ob_flush();
    }
}

function connection_aborted(): int
{
    return (int) (Script::$current?->call->cancelled() ?? false);
}

function connection_status(): int
{
    return connection_aborted();
}

function is_uploaded_file(string $filename): bool
{
    return isset(Script::$current->uploads[$filename]);
}

function move_uploaded_file(string $from, string $to): bool
{
    return is_uploaded_file($from) && rename($from, $to);
}

if (!function_exists('getallheaders')) {
    function getallheaders(): array
    {
        $headers = [];
        foreach (Script::$current->call->headers ?? [] as [$name, $value]) {
            $headers[ucwords($name, '-')] = $value;
        }
        return $headers;
    }

    function apache_request_headers(): array
    {
        return getallheaders();
    }
}
