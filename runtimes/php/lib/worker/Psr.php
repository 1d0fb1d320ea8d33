<?php

namespace Petrel\Runtime;

use Psr\Http\Message\ResponseInterface;

/** PSR-7 messages by whichever implementation the package brings. */
final class Psr
{
    /** Factories of PSR-17: one class for all, or one for requests, streams, files in turn. */
    private const FACTORIES = [
        ['Nyholm\Psr7\Factory\Psr17Factory'],
        ['GuzzleHttp\Psr7\HttpFactory'],
        ['HttpSoft\Message\ServerRequestFactory', 'HttpSoft\Message\StreamFactory', 'HttpSoft\Message\UploadedFileFactory'],
        ['Laminas\Diactoros\ServerRequestFactory', 'Laminas\Diactoros\StreamFactory', 'Laminas\Diactoros\UploadedFileFactory'],
        ['Slim\Psr7\Factory\ServerRequestFactory', 'Slim\Psr7\Factory\StreamFactory', 'Slim\Psr7\Factory\UploadedFileFactory'],
    ];
    private object $requests;
    private object $streams;
    private object $files;

    public function __construct()
    {
        foreach (self::FACTORIES as $classes) {
            if (class_exists($classes[0])) {
                $this->requests = new $classes[0]();
                $this->streams = isset($classes[1]) ? new $classes[1]() : $this->requests;
                $this->files = isset($classes[2]) ? new $classes[2]() : $this->requests;
                return;
            }
        }
        throw new LoadFailure(
            'LoadError',
            'the handler takes PSR-7 requests, but the package has no implementation of them: composer require nyholm/psr7',
        );
    }

    public function request(Call $call): object
    {
        $host = $call->header('host') ?? 'localhost';
        $server = Script::serverOf($call) + $_SERVER;
        $request = $this->requests->createServerRequest($call->method, "{$call->scheme()}://$host$call->target", $server);
        $seen = [];
        foreach ($call->headers as [$name, $value]) {
            $request = isset($seen[$name]) ? $request->withAddedHeader($name, $value) : $request->withHeader($name, $value);
            $seen[$name] = true;
        }
        parse_str(explode('?', $call->target, 2)[1] ?? '', $query);
        $request = $request->withQueryParams($query)->withCookieParams(Forms::cookies($call->header('cookie') ?? ''));
        $type = $call->header('content-type') ?? '';
        if (!preg_match('~^(application/x-www-form-urlencoded|multipart/form-data)\b~i', $type)) {
            return $request->withBody($this->streams->createStreamFromResource(BodyStream::open($call)));
        }
        $body = stream_get_contents(BodyStream::open($call));
        [$fields, $files] = Forms::parse($type, $body);
        $uploads = [];
        foreach ($files as $file) {
            $stream = $this->streams->createStreamFromFile($file['path']);
            unlink($file['path']); // open, and gone with the request
            $uploads[$file['field']] = $this->files->createUploadedFile($stream, $file['size'], UPLOAD_ERR_OK, $file['name'], $file['type']);
        }
        return $request->withBody($this->streams->createStream($body))->withParsedBody($fields)->withUploadedFiles($uploads);
    }

    public static function respond(Call $call, ResponseInterface $response): void
    {
        $pairs = [];
        foreach ($response->getHeaders() as $name => $values) {
            foreach ($values as $value) {
                $pairs[] = [$name, $value];
            }
        }
        $body = $response->getBody();
        $status = Answer::status($response->getStatusCode());
        if ($body->isSeekable()) {
            $body->rewind();
        }
        if ($body->getSize() !== null && $body->getSize() <= MAX_DATA) {
            $call->last();
            $call->respond($status, Answer::block($pairs), $body->getContents());
            return;
        }
        $call->start($status, Answer::block($pairs));
        while (!$body->eof()) {
            $call->write($body->read(MAX_DATA));
        }
        $call->finish();
        $body->close();
    }
}
