/** Writing an object that others write, too. */
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeError } from '../kube/client.ts';

const ATTEMPTS = 8;
/** First wait, ms; doubled each time. What was faster may not be on disk yet: until then every attempt meets it again. */
const WAIT_MS = 20;

/**
 * Does `work`, which reads an object and writes it, again when somebody else's write came in between (409). Throws what the last attempt
 * threw.
 */
export async function untilWritten<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 409 || attempt === ATTEMPTS - 1) throw error;
    }
    await sleep(WAIT_MS * 2 ** attempt);
  }
}
