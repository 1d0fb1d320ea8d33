/** runtimes/PROTOCOL.md, held against every runtime: real processes, real sockets, one table of behaviours. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { describeEnds } from './behaviours/ends.ts';
import { describeLoading } from './behaviours/loading.ts';
import { describePrograms } from './behaviours/programs.ts';
import { describeProtocol } from './behaviours/protocol.ts';
import { describeRequests } from './behaviours/requests.ts';
import { createSuite } from './behaviours/suite.ts';
import { forgetBuilds } from './instance.ts';
import type { Language } from './language.ts';

const BEHAVIOURS = [describeRequests, describeProtocol, describeLoading, describePrograms, describeEnds];

/** Declares the suite for one language. */
export function contract(language: Language): void {
  const suite = createSuite(language);
  after(() => {
    forgetBuilds();
    if (suite.skip !== false) return;
    for (const name of Object.keys(language.lacks))
      assert.ok(suite.asked.has(name), `there is no test "${name}" to lack`);
  });
  for (const behaviours of BEHAVIOURS) behaviours(suite);
}
