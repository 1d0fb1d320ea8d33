<?php

namespace Petrel\Runtime;

/** Bodies of forms, as PHP's own web interfaces take them apart. */
final class Forms
{
    /** @return array<string, string> */
    public static function cookies(string $header): array
    {
        $cookies = [];
        foreach (explode(';', $header) as $pair) {
            [$name, $value] = explode('=', trim($pair), 2) + [1 => ''];
            if ($name !== '') {
                $cookies += [$name => urldecode($value)];
            }
        }
        return $cookies;
    }

    /**
     * Fields, as $_POST has them, and files: their names, types, paths of temporary files, in the order in which they came.
     * @return array{array<string, mixed>, list<array{field: string, name: string, type: string, path: string, size: int}>}
     */
    public static function parse(string $type, string $body): array
    {
        if (!preg_match('~^multipart/form-data\s*;.*boundary="?([^";]+)~i', $type, $found)) {
            parse_str($body, $fields);
            return [$fields, []];
        }
        $query = [];
        $files = [];
        foreach (array_slice(explode("\r\n--$found[1]", "\r\n$body"), 1, -1) as $part) {
            [$head, $content] = explode("\r\n\r\n", $part, 2) + [1 => ''];
            if (!preg_match('/^content-disposition:.*\bname="([^"]*)"/im', $head, $name)) {
                continue;
            }
            if (!preg_match('/^content-disposition:.*\bfilename="([^"]*)"/im', $head, $file)) {
                $query[] = urlencode($name[1]) . '=' . urlencode($content);
                continue;
            }
            $path = tempnam(ini_get('upload_tmp_dir') ?: sys_get_temp_dir(), 'php');
            file_put_contents($path, $content);
            $kind = preg_match('/^content-type:\s*(\S+)/im', $head, $kind) ? $kind[1] : '';
            $files[] = ['field' => $name[1], 'name' => basename($file[1]), 'type' => $kind, 'path' => $path, 'size' => strlen($content)];
        }
        parse_str(implode('&', $query), $fields);
        return [$fields, $files];
    }
}
