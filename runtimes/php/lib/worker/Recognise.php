<?php

namespace Petrel\Runtime;

/** Which file is loaded, what it is, and which of what it defines is the handler. The rules are those of README.md. */
final class Recognise
{
    private const FILES = ['index.php', 'main.php', 'handler.php', 'function.php', 'app.php', 'public/index.php', 'func.php'];
    private const FUNCTIONS = ['handle', 'handler', 'main'];
    private const PSR_HANDLER = 'Psr\Http\Server\RequestHandlerInterface';
    private const PSR_REQUESTS = ['Psr\Http\Message\ServerRequestInterface', 'Psr\Http\Message\RequestInterface'];
    private const DECLARATIONS = [
        T_FUNCTION, T_CLASS, T_ABSTRACT, T_FINAL, T_INTERFACE, T_TRAIT, T_USE, T_NAMESPACE, T_DECLARE, T_CONST, T_ATTRIBUTE, T_ENUM, T_RETURN,
    ];
    private const SPACE = [T_WHITESPACE, T_COMMENT, T_DOC_COMMENT];

    /** @return array{functions: list<string>, classes: list<string>, constants: array<string, mixed>} */
    public static function snapshot(): array
    {
        return [
            'functions' => get_defined_functions()['user'],
            'classes' => get_declared_classes(),
            'constants' => get_defined_constants(true)['user'] ?? [],
        ];
    }

    /** The absolute path of the file to load. */
    public static function entry(string $root, ?string $entry): string
    {
        $present = array_values(array_diff(scandir($root) ?: [], ['.', '..']));
        $shown = $present === [] ? 'the package is empty' : 'the package has: ' . implode(', ', array_slice($present, 0, 20));
        if ($entry !== null) {
            $parts = [];
            foreach (explode('/', $entry) as $part) {
                match ($part) {
                    '', '.' => null,
                    '..' => $parts === [] ? throw new LoadFailure('EntryNotFound', "the entry $entry is outside the package") : array_pop($parts),
                    default => $parts[] = $part,
                };
            }
            $path = $root . '/' . implode('/', $parts);
            foreach ([$path, "$path.php", "$path/index.php"] as $candidate) {
                if (is_file($candidate)) {
                    return $candidate;
                }
            }
            throw new LoadFailure('EntryNotFound', "there is no file $entry in the package; $shown", $entry);
        }
        $single = array_values(array_filter($present, fn ($name) => str_ends_with($name, '.php')));
        foreach ([...self::FILES, ...(count($single) === 1 ? $single : [])] as $name) {
            if (is_file("$root/$name")) {
                return "$root/$name";
            }
        }
        throw new LoadFailure('EntryNotFound', 'no file to load: there is no ' . implode(', ', self::FILES) . "; $shown");
    }

    /** Whether a file is a script, whose output is the answer, and not one that defines or returns a handler. Throws ParseError. */
    public static function isScript(string $source): bool
    {
        $tokens = array_values(array_filter(\PhpToken::tokenize($source, TOKEN_PARSE), fn ($token) => !$token->is(self::SPACE)));
        // Symfony's runtime component includes the file a second time, itself, for what it returns.
        if (str_contains($source, 'autoload_runtime.php')) {
            return true;
        }
        $depth = 0;
        $starts = true;
        $namespace = false;
        $effects = false;
        foreach ($tokens as $i => $token) {
            $next = $tokens[$i + 1] ?? null;
            if ($depth === 0 && $token->is(T_RETURN) && $next?->text !== ';') {
                return false;
            }
            if ($depth === 0 && $token->is(T_FUNCTION) && in_array(strtolower((string) $next?->text), ['handle', 'handler'], true)) {
                return false;
            }
            if ($token->is([T_OPEN_TAG, T_CLOSE_TAG])) {
                $starts = true;
                continue;
            }
            if ($starts && $depth === 0 && !in_array($token->text, ['}', ';'], true)) {
                $assigns = $token->is(T_VARIABLE) && $next?->text === '=';
                $blank = $token->is(T_INLINE_HTML) && trim($token->text) === '';
                $effects = $effects || !$assigns && !$blank && !$token->is(self::DECLARATIONS);
                $namespace = $token->is(T_NAMESPACE);
            }
            $starts = false;
            if ($token->text === '{' && $namespace && $depth === 0) {
                $starts = true;
                $namespace = false;
                continue; // what is in it is the top level of the file
            }
            if (in_array($token->text, ['{', '(', '[', '#[', '${'], true) || $token->is(T_CURLY_OPEN)) {
                $depth++;
            } elseif (in_array($token->text, ['}', ')', ']'], true)) {
                $depth = max(0, $depth - 1);
                $starts = $token->text !== ')' && $depth === 0;
            } elseif ($token->text === ';') {
                $starts = true;
            }
        }
        return $effects;
    }

    /**
     * The handler: what the file returned, or what it defines; null when there is none.
     * @return array{string, callable}|null shape, callable
     */
    public static function handler(mixed $returned, array $before, ?string $name): ?array
    {
        $functions = array_values(array_diff(get_defined_functions()['user'], $before['functions']));
        $classes = array_values(array_diff(get_declared_classes(), $before['classes']));
        if ($name !== null) {
            return self::named($name, $functions, $classes);
        }
        $found = self::shaped($returned);
        foreach (self::FUNCTIONS as $wanted) {
            $found ??= self::shaped(self::ending($functions, $wanted));
        }
        if ($found === null && count($functions) === 1) {
            $found = self::shaped($functions[0]);
        }
        $handlers = array_filter($classes, fn ($class) => self::isHandler($class));
        if ($found === null && count($handlers) === 1) {
            $found = self::shaped(new (reset($handlers))());
        }
        return $found;
    }

    /** @return array{string, callable}|null */
    private static function named(string $name, array $functions, array $classes): ?array
    {
        [$class, $method] = preg_split('/@|::/', $name, 2) + [1 => null];
        if ($method === null) {
            $function = self::ending($functions, $name);
            if ($function !== null) {
                return self::shaped($function);
            }
        }
        $class = class_exists($class) ? $class : self::ending($classes, $class);
        if ($class === null) {
            return null;
        }
        if ($method === null) {
            return self::shaped(new $class());
        }
        if (!method_exists($class, $method)) {
            return null;
        }
        return self::shaped((new \ReflectionMethod($class, $method))->isStatic() ? [$class, $method] : [new $class(), $method]);
    }

    /** The full name among `$names` that is, or in its namespace is called, `$name`. */
    private static function ending(array $names, string $name): ?string
    {
        foreach ($names as $full) {
            if (strcasecmp($full, $name) === 0 || str_ends_with(strtolower($full), '\\' . strtolower($name))) {
                return $full;
            }
        }
        return null;
    }

    private static function isHandler(string $class): bool
    {
        $reflection = new \ReflectionClass($class);
        $able = method_exists($class, '__invoke') || method_exists($class, 'handle');
        return $able && $reflection->isInstantiable() && ($reflection->getConstructor()?->getNumberOfRequiredParameters() ?? 0) === 0;
    }

    /** @return array{string, callable}|null */
    private static function shaped(mixed $value): ?array
    {
        if (is_object($value) && is_a($value, self::PSR_HANDLER)) {
            return ['psr15', [$value, 'handle']];
        }
        if (is_object($value) && !is_callable($value) && method_exists($value, 'handle')) {
            $value = [$value, 'handle'];
        }
        if (!is_callable($value)) {
            return null;
        }
        $type = ((new \ReflectionFunction(\Closure::fromCallable($value)))->getParameters()[0] ?? null)?->getType();
        $psr = $type instanceof \ReflectionNamedType && in_array($type->getName(), self::PSR_REQUESTS, true);
        return [$psr ? 'psr15' : 'request', $value];
    }

    /** What the file defined, with what it is, for a message. */
    public static function listing(mixed $returned, array $before): string
    {
        $now = self::snapshot();
        $names = [];
        foreach (array_diff($now['functions'], $before['functions']) as $name) {
            $names[] = (new \ReflectionFunction($name))->getName() . ' (function)';
        }
        foreach (array_diff_key($now['constants'], $before['constants']) as $name => $value) {
            $names[] = $name . ' (' . get_debug_type($value) . ')';
        }
        foreach (array_diff($now['classes'], $before['classes']) as $name) {
            $names[] = "$name (class)";
        }
        if ($returned !== 1) {
            $names[] = 'it returns ' . get_debug_type($returned);
        }
        return $names === [] ? 'nothing' : implode(', ', array_slice($names, 0, 30));
    }

    public static function notFound(string $file, ?string $handler, mixed $returned, array $before): LoadFailure
    {
        $has = 'it has: ' . self::listing($returned, $before);
        $message = $handler !== null
            ? "$file has no function or class named $handler; $has"
            : "$file has no handler; $has. Looked for, in this order: a callable or RequestHandlerInterface that it returns, the functions "
                . implode(', ', self::FUNCTIONS) . ', a single function, a single class with handle or __invoke';
        return new LoadFailure('HandlerNotFound', $message, $file);
    }
}
