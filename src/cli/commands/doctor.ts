import { diagnose } from '../../platform/doctor.ts';
import type { CommandContext } from '../command.ts';
import { findPlatform } from '../session.ts';

/** Checks machine and home. Exit code 1 when something is broken that Petrel needs. */
export async function run({ home, out }: CommandContext): Promise<number> {
  const running = await findPlatform(home).catch(() => undefined);
  const findings = await diagnose(home, running);
  await out.data(findings, () => {
    for (const { state, subject, detail, fix } of findings) {
      out.line(`${state.padEnd(6)}  ${subject.padEnd(18)}  ${detail}`);
      if (fix) out.line(`${' '.repeat(8)}fix: ${fix}`);
    }
  });
  return findings.some(({ state }) => state === 'broken') ? 1 : 0;
}
