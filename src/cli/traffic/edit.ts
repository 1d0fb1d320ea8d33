/** Edits of a Service's traffic, as pure functions: who gets how many percent, and which revision a tag names. */
import { PetrelError } from '../../base/errors.ts';
import type { Revision, TrafficTarget } from '../../kinds/serving.ts';
import {
  type Choice,
  divided,
  percents,
  sameChoice,
  spelledOut,
  takesLatest,
} from '../../serving/canary/targets.ts';
import { generationOf } from '../../serving/names.ts';
import { readyCondition } from '../conditions.ts';
import { closest } from '../suggest.ts';

/** What a word on the command line can mean, and what has the traffic now. */
export interface TrafficFacts {
  /** Name of the Service. */
  service: string;
  revisions: readonly Revision[];
  /** The newest revision that became ready; absent before the first has. */
  latestReady: string | undefined;
  /** `spec.traffic`; empty stands for everything to the latest. */
  traffic: readonly TrafficTarget[];
}

export interface Share {
  who: Choice;
  /** 0–100; absent: everything that the others leave. */
  percent?: number;
}

const LATEST_WORDS = new Set(['latest', '@latest', 'LATEST']);

/** The traffic as it is, with the default spelled out. */
export function currentTraffic({ traffic }: TrafficFacts): TrafficTarget[] {
  return spelledOut(traffic);
}

/** Name of the revision that a target leads to now. */
export function revisionOf(target: TrafficTarget | Choice, facts: TrafficFacts): string | undefined {
  return 'revisionName' in target && target.revisionName ? target.revisionName : facts.latestReady;
}

/**
 * What a word means: `latest`, the name of a revision, the end of one (`00002`, `2`), or a tag. Throws `NotFound`, and `NotReady` for a revision
 * that cannot take requests.
 */
export function choiceOf(word: string, facts: TrafficFacts): Choice {
  if (LATEST_WORDS.has(word)) return { latestRevision: true };
  const names = facts.revisions.map(({ metadata }) => metadata.name);
  const named = [word, `${facts.service}-${word}`, `${facts.service}-${word.padStart(5, '0')}`].find((name) =>
    names.includes(name),
  );
  const tagged = facts.traffic.find(({ tag }) => tag === word);
  const revisionName = named ?? (tagged && revisionOf(tagged, facts));
  if (revisionName === undefined) {
    const tags = facts.traffic.flatMap(({ tag }) => (tag ? [tag] : []));
    const near = closest(word, [...names, ...tags, 'latest']);
    throw new PetrelError('NotFound', `${facts.service} has no revision or tag "${word}"`, {
      why: names.length > 0 ? `it has ${[...names, ...tags].join(', ')}` : 'it has no revision yet',
      fix: near ? `did you mean ${near}?` : `petrel revisions ${facts.service} lists them`,
    });
  }
  const revision = facts.revisions.find(({ metadata }) => metadata.name === revisionName);
  const ready = revision && readyCondition(revision);
  if (ready?.status !== 'True') {
    throw new PetrelError('NotReady', `${revisionName} cannot take requests`, {
      why: [ready?.reason, ready?.message].filter(Boolean).join(': ').trimEnd() || 'it is not ready yet',
      fix: `choose another one: petrel revisions ${facts.service}`,
    });
  }
  return { revisionName };
}

/** Reads `a=90,b=10`, several times or one, and `a` alone for everything. Throws `InvalidArgument`, and as `choiceOf` does. */
export function sharesOf(texts: readonly string[], facts: TrafficFacts): Share[] {
  const shares = texts
    .flatMap((text) => text.split(','))
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part): Share => {
      const equals = part.indexOf('=');
      if (equals === -1) return { who: choiceOf(part, facts) };
      const number = part.slice(equals + 1).replace(/%$/, '');
      if (!/^\d{1,3}$/.test(number) || Number(number) > 100) {
        throw invalid(
          `"${part}" has no percentage from 0 to 100`,
          `write --to <revision>=<percent>, for example --to ${part.slice(0, equals)}=10`,
        );
      }
      return { who: choiceOf(part.slice(0, equals), facts), percent: Number(number) };
    });
  if (shares.length === 0) {
    throw invalid('--to names no revision', 'write --to <revision>=<percent>,… or --to latest');
  }
  return shares;
}

/**
 * Gives the shares; what they leave of 100 % goes to one share without a number, else stays with those that have it now, in proportion. Tags stay
 * where they are. Throws `InvalidArgument` when it does not add up.
 */
export function withShares(shares: readonly Share[], facts: TrafficFacts): TrafficTarget[] {
  return divided(facts.traffic, completed(shares, facts));
}

function completed(shares: readonly Share[], facts: TrafficFacts): { who: Choice; percent: number }[] {
  const key = ({ who }: { who: Choice }) => ('revisionName' in who ? who.revisionName : '');
  const twice = shares.find((share, at) => shares.findIndex((other) => key(other) === key(share)) < at);
  if (twice) throw invalid(`${key(twice) || 'latest'} is named twice`, 'name each revision once');
  const open = shares.filter(({ percent }) => percent === undefined);
  const given = shares.reduce((sum, { percent = 0 }) => sum + percent, 0);
  const left = 100 - given;
  if (given > 100 || (open.length > 0 && left === 0) || open.length > 1) {
    throw invalid(
      open.length > 1 ? 'more than one revision is to get the rest' : `the traffic adds up to ${given} %`,
      'give percentages whose sum is at most 100; one revision without a number gets the rest',
    );
  }
  if (open.length === 1) return shares.map(({ who, percent = left }) => ({ who, percent }));
  const exact = shares.map(({ who, percent = 0 }) => ({ who, percent }));
  if (left === 0) return exact;
  const named = new Set(shares.map(({ who }) => revisionOf(who, facts)));
  const others = currentTraffic(facts).filter(
    (target) => (target.percent ?? 0) > 0 && !named.has(revisionOf(target, facts)),
  );
  if (others.length === 0) {
    throw invalid(
      `the traffic adds up to ${given} %, and nobody else has any now`,
      `say who gets the other ${left} %: --to <revision>=${left}`,
    );
  }
  return [...exact, ...inProportion(others, left)];
}

/** `total` percent shared among targets by what they have; the largest remainders get what rounding leaves. */
function inProportion(targets: readonly TrafficTarget[], total: number): { who: Choice; percent: number }[] {
  const sum = targets.reduce((all, { percent = 0 }) => all + percent, 0);
  const parts = targets.map(({ percent = 0, revisionName }) => {
    const exact = (percent * total) / sum;
    const who: Choice = revisionName ? { revisionName } : { latestRevision: true };
    return { who, percent: Math.floor(exact), rest: exact - Math.floor(exact) };
  });
  let missing = total - parts.reduce((all, { percent }) => all + percent, 0);
  for (const part of [...parts].sort((a, b) => b.rest - a.rest)) {
    if (missing <= 0) break;
    part.percent++;
    missing--;
  }
  return parts.map(({ who, percent }) => ({ who, percent }));
}

/** Puts the tag on a revision, taking it from where it was. */
export function withTag(tag: string, who: Choice, facts: TrafficFacts): TrafficTarget[] {
  const targets = withoutTag(tag, facts);
  const bare = targets.find((target) => !target.tag && sameChoice(target, who));
  if (bare) return targets.map((target) => (target === bare ? { ...target, tag } : target));
  return [...targets, { ...who, tag, percent: 0 }];
}

/** Takes the tag away; what it named keeps its percentage. */
export function withoutTag(tag: string, facts: TrafficFacts): TrafficTarget[] {
  return currentTraffic(facts).flatMap((target) => {
    if (target.tag !== tag) return [target];
    const { tag: _tag, ...rest } = target;
    return (rest.percent ?? 0) > 0 ? [rest] : [];
  });
}

/** Names in place of `latest` wherever it has traffic, so that a new revision takes none. Before the first revision nothing changes. */
export function pinned(facts: TrafficFacts): TrafficTarget[] {
  const { latestReady } = facts;
  return currentTraffic(facts).map((target) => {
    if (target.revisionName || (target.percent ?? 0) === 0 || latestReady === undefined) return target;
    const { latestRevision: _latest, ...rest } = target;
    return { ...rest, revisionName: latestReady };
  });
}

/** Whether a new revision would get traffic by itself. */
export function followsLatest(facts: TrafficFacts): boolean {
  return takesLatest(facts.traffic);
}

/** Percent of the traffic that each revision gets now, by name. */
export function percentOf(facts: TrafficFacts): Map<string, number> {
  return percents(facts.traffic, facts.latestReady);
}

/**
 * Where a rollback goes: to the newest ready revision older than the one that has most of the traffic. Throws `NotFound` when there is none.
 */
export function previousOf(facts: TrafficFacts): string {
  const [serving] = [...percentOf(facts)].sort(([, a], [, b]) => b - a)[0] ?? [];
  const now = facts.revisions.find(({ metadata }) => metadata.name === serving);
  const older = facts.revisions
    .filter((revision) => readyCondition(revision)?.status === 'True')
    .filter((revision) => now === undefined || generationOf(revision) < generationOf(now))
    .sort((a, b) => generationOf(b) - generationOf(a));
  const found = older[0]?.metadata.name;
  if (found !== undefined) return found;
  throw new PetrelError('NotFound', `${facts.service} has no earlier revision to go back to`, {
    why: serving ? `${serving} is the oldest one that is ready` : 'no revision of it is ready',
    fix: `petrel revisions ${facts.service} shows what there is; --to names one`,
  });
}

function invalid(what: string, fix: string): PetrelError {
  return new PetrelError('InvalidArgument', what, { fix });
}
