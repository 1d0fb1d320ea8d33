<?php

namespace Petrel\Runtime;

/** What loading ended with, as PROTOCOL.md lists it. */
final class LoadFailure extends \Exception
{
    public function __construct(public readonly string $kind, string $message, public readonly ?string $at = null)
    {
        parent::__construct($message);
    }
}

/** What went wrong, in PHP's own words, with paths relative to the package and without the runtime's own frames. */
final class Errors
{
    private const FATAL = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;
    private const MAX_DETAIL = 16384;

    public static string $root = '';
    public static bool $development = false;

    public static function relative(string $text): string
    {
        return self::$root === '' ? $text : str_replace(self::$root . '/', '', $text);
    }

    /** The error with its trace and what it came from, as PHP prints them. */
    public static function stack(\Throwable $error): string
    {
        $own = preg_quote(dirname(__DIR__, 2) . '/', '~');
        $text = preg_replace("~^#\\d+ (?:$own|\\[internal function\\]: Petrel\\\\Runtime).*\\n?~m", '', (string) $error);
        $text = preg_replace('~\nStack trace:\n#\d+ \{main\}$~', '', trim($text ?? (string) $error));
        return self::relative($text);
    }

    public static function line(\Throwable $error): string
    {
        return $error::class . ': ' . $error->getMessage();
    }

    /** @return array<string, mixed> */
    public static function ofLoading(\Throwable $error, string $entry): array
    {
        if ($error instanceof LoadFailure) {
            return array_filter(['code' => $error->kind, 'message' => $error->getMessage(), 'file' => $error->at], fn ($one) => $one !== null);
        }
        $file = $error->getFile();
        $line = $error->getLine();
        if (!str_starts_with($file, self::$root . '/')) {
            foreach ($error->getTrace() as $frame) {
                if (str_starts_with($frame['file'] ?? '', self::$root . '/')) {
                    [$file, $line] = [$frame['file'], $frame['line']];
                    break;
                }
            }
        }
        if (!str_starts_with($file, self::$root . '/')) {
            return self::loadError(self::line($error), self::stack($error), $entry, null);
        }
        return self::loadError(self::line($error), self::stack($error), $file, $line);
    }

    /** A fatal error that is no exception. @param array{type: int, message: string, file: string, line: int} $error */
    public static function ofFatal(array $error): array
    {
        return self::loadError($error['message'], "{$error['message']} in {$error['file']}:{$error['line']}", $error['file'], $error['line']);
    }

    /** @return array<string, mixed> */
    private static function loadError(string $message, string $detail, string $file, ?int $line): array
    {
        $source = $line === null ? false : @file($file);
        $relative = self::relative($file);
        if ($source !== false && isset($source[$line - 1])) {
            $detail .= "\n\n$relative:$line\n    " . trim($source[$line - 1]);
        }
        $error = ['code' => 'LoadError', 'message' => strtok(self::relative($message), "\n"), 'file' => $relative];
        return $error + ($line === null ? [] : ['line' => $line]) + ['detail' => substr(self::relative($detail), 0, self::MAX_DETAIL)];
    }

    /** The fatal error that ends this process; null when it ends otherwise. @return array{type: int, message: string, file: string, line: int}|null */
    public static function fatal(): ?array
    {
        $error = error_get_last();
        return $error !== null && ($error['type'] & self::FATAL) !== 0 ? $error : null;
    }
}
