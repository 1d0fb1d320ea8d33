<?php

declare(strict_types=1);

use Petrel\Request;

function handle(Request $request): array
{
    return ['message' => 'Hello, ' . ($request->query['name'] ?? 'world') . '!'];
}
