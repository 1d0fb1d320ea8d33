/**
 * `node:http` without the cost of importing it: an `import` of that module reads every export to build its namespace, among
 * them the WebSocket client, which loads all of undici (about 25 ms and 5 MB in every process). Types come from `node:http` as usual.
 */
import type * as Http from 'node:http';

const http: typeof Http = process.getBuiltinModule('node:http');

export const { createServer, request, get, Agent } = http;
