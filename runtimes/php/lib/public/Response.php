<?php

namespace Petrel;

/** An answer in parts. `body`: text, null, a generator, an open stream, a function that gets `$write`, or anything with a JSON form. */
final class Response
{
    public readonly int $status;

    /** @param array<string, string|list<string>> $headers */
    public function __construct(public readonly mixed $body = null, ?int $status = null, public readonly array $headers = [])
    {
        $this->status = $status ?? ($body === null ? 204 : 200);
    }
}
