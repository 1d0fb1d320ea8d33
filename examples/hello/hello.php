<?php

function handle(Petrel\Request $request): string
{
    return 'Hello, ' . ($request->query['name'] ?? 'world') . "!\n";
}
