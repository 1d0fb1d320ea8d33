/** A program: anything that listens on $PORT. */
import { createServer } from 'node:http';

createServer((req, res) => res.end(`Hello from a program, ${req.url}\n`)).listen(process.env.PORT);
