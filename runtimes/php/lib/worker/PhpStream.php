<?php

namespace Petrel\Runtime;

/** `php://` of a script: php://input is the request's body, everything else is PHP's own. */
final class PhpStream
{
    /** @var resource|null Given by PHP. */
    public $context;
    private static Call $call;
    private static ?string $body;
    /** @var resource */
    private $inner;

    /** @param string|null $body Where it has been read already. */
    public static function install(Call $call, ?string $body): void
    {
        self::$call = $call;
        self::$body = $body;
        stream_wrapper_unregister('php');
        stream_wrapper_register('php', self::class);
    }

    public function stream_open(string $path, string $mode, int $options): bool
    {
        if (strcasecmp($path, 'php://input') === 0) {
            // Read once, and kept: frameworks open it several times.
            self::$body ??= (string) stream_get_contents(BodyStream::open(self::$call));
            $this->inner = self::own(fn () => fopen('php://memory', 'w+b'));
            fwrite($this->inner, self::$body);
            rewind($this->inner);
            return true;
        }
        $inner = self::own(fn () => @fopen($path, $mode));
        if ($inner === false) {
            return false;
        }
        $this->inner = $inner;
        return true;
    }

    private static function own(callable $act): mixed
    {
        stream_wrapper_restore('php');
        try {
            return $act();
        } finally {
            stream_wrapper_unregister('php');
            stream_wrapper_register('php', self::class);
        }
    }

    public function stream_read(int $count): string|false
    {
        return fread($this->inner, $count);
    }

    public function stream_write(string $data): int|false
    {
        return fwrite($this->inner, $data);
    }

    public function stream_eof(): bool
    {
        return feof($this->inner);
    }

    public function stream_flush(): bool
    {
        return fflush($this->inner);
    }

    public function stream_seek(int $offset, int $whence): bool
    {
        return fseek($this->inner, $offset, $whence) === 0;
    }

    public function stream_tell(): int|false
    {
        return ftell($this->inner);
    }

    public function stream_truncate(int $size): bool
    {
        return ftruncate($this->inner, $size);
    }

    /** @return array<string|int, mixed>|false */
    public function stream_stat(): array|false
    {
        return fstat($this->inner);
    }

    public function stream_set_option(): bool
    {
        return false;
    }

    /** @return resource */
    public function stream_cast()
    {
        return $this->inner;
    }

    public function stream_close(): void
    {
        fclose($this->inner);
    }
}
