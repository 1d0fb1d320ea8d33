/** Servers for functions that answer what fails in the gateway's form. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../base/log.ts';
import type { Handler } from '../base/unix-server.ts';

/** `handle` with an answer for whatever it rejects with; what makes that answer is loaded with the first failure. */
export function answering(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  log: Logger,
): Handler {
  return (request, response) => {
    handle(request, response).catch(async (error) => {
      const { answerFailure } = await import('./invocations/answers.ts');
      answerFailure(request, response, error, log);
    });
  };
}
