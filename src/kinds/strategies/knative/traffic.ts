/** Traffic of Services and Routes. Source: knative.dev/serving `pkg/apis/serving/v1/{route_validation,route_defaults}.go`. */
import { dns1035Label, qualifiedName } from '../../name.ts';
import type { UntypedObject } from '../../object.ts';
import { defaults, indexed, items, type Untyped } from '../untyped.ts';
import {
  badKey,
  badValue,
  disallowed,
  type KnativeProblem,
  noneOf,
  outOfBounds,
  problem,
  severalOf,
} from './errors.ts';

const PATH = 'spec.traffic';

/** Defaults of `spec.traffic`; only a Service's traffic has a place to go by itself. */
export function defaultTraffic(object: UntypedObject, ofService: boolean): void {
  object.spec ??= {};
  if (ofService && items(object.spec.traffic).length === 0)
    object.spec.traffic = [{ latestRevision: true, percent: 100 }];
  for (const target of items(object.spec.traffic)) {
    defaults(target, { latestRevision: !target.revisionName, percent: 0 });
  }
}

/** Problems of `spec.traffic`. */
export function validateTraffic(object: UntypedObject, ofService: boolean): KnativeProblem[] {
  const traffic = object.spec?.traffic;
  const problems: KnativeProblem[] = [];
  const tags = new Map<string, string>();
  for (const [i, [at, target]] of indexed(traffic, PATH).entries()) {
    problems.push(...validateTarget(target, at, ofService));
    if (!target.tag) continue;
    const messages = dns1035Label(target.tag);
    if (messages.length > 0)
      problems.push(badValue(`not a DNS 1035 label: [${messages.join(' ')}]`, `${PATH}.tag[${i}]`));
    const other = tags.get(target.tag);
    if (other === undefined) tags.set(target.tag, `${at}.tag`);
    else {
      const message = `Multiple definitions for ${JSON.stringify(target.tag)}`;
      problems.push({ message, paths: [`${at}.tag`, other] });
    }
  }
  const sum = items(traffic).reduce((total, { percent }) => total + (percent ?? 0), 0);
  if (sum !== 100) problems.push(problem(`Traffic targets sum to ${sum}, want 100`, PATH));
  return problems;
}

function validateTarget(target: Untyped, at: string, ofService: boolean): KnativeProblem[] {
  const problems: KnativeProblem[] = [];
  const { revisionName = '', latestRevision, percent } = target;
  if (typeof latestRevision === 'boolean' && latestRevision === (revisionName !== '')) {
    problems.push(
      problem(
        `may not set revisionName ${JSON.stringify(revisionName)} when latestRevision is ${latestRevision}`,
        `${at}.latestRevision`,
      ),
    );
  }
  problems.push(...validateDestination(target, at, ofService));
  if (typeof percent === 'number' && (percent < 0 || percent > 100)) {
    problems.push(outOfBounds(percent, 0, 100, `${at}.percent`));
  }
  if (target.url) problems.push(disallowed(`${at}.url`));
  return problems;
}

function validateDestination(target: Untyped, at: string, ofService: boolean): KnativeProblem[] {
  const { revisionName = '', configurationName = '' } = target;
  const both = [`${at}.revisionName`, `${at}.configurationName`];
  if (ofService && configurationName) return [disallowed(`${at}.configurationName`)];
  if (revisionName && configurationName) return [severalOf(...both)];
  if (!revisionName && !configurationName) return ofService ? [] : [noneOf(...both)];
  const field = revisionName ? 'revisionName' : 'configurationName';
  const messages = qualifiedName(target[field]);
  return messages.length === 0 ? [] : [badKey(target[field], `${at}.${field}`, ...messages)];
}
