<?php

namespace Petrel\Runtime;

/** The request body as a stream of PHP's: `petrel-body://`. Bytes as they come, nothing held that is not asked for. */
final class BodyStream
{
    /** @var resource|null Given by PHP. */
    public $context;
    private static ?Call $opening = null;
    private Call $call;
    private string $rest = '';
    private bool $ended = false;

    /** @return resource */
    public static function open(Call $call)
    {
        if (!in_array('petrel-body', stream_get_wrappers(), true)) {
            stream_wrapper_register('petrel-body', self::class);
        }
        self::$opening = $call;
        $stream = fopen('petrel-body://request', 'rb');
        @fseek($stream, 0, SEEK_END); // fails, and only that tells PHP, and who asks it, that this stream cannot seek
        return $stream;
    }

    public function stream_open(): bool
    {
        $this->call = self::$opening;
        return true;
    }

    public function stream_read(int $count): string
    {
        if ($this->rest === '' && !$this->ended) {
            $this->rest = $this->call->read() ?? '';
            $this->ended = $this->rest === '';
        }
        $chunk = substr($this->rest, 0, $count);
        $this->rest = substr($this->rest, strlen($chunk));
        return $chunk;
    }

    public function stream_eof(): bool
    {
        return $this->ended && $this->rest === '';
    }

    /** @return array<string, int> */
    public function stream_stat(): array
    {
        return ['mode' => 0010444];
    }
}
