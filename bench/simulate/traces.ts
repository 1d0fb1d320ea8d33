/**
 * Synthetic traces with the shapes of the Azure Functions trace (Shahrad et al., ATC 2020): popularity by Zipf, so that about half
 * of the services are asked at most once an hour while a few make up most requests; services that are called by a timer,
 * services that are polled, services of people with day and night, and services that work off bursts of events.
 */
import { createRandom, type Random } from './random.ts';

export const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

export interface TraceOptions {
  services: number;
  days: number;
  seed: number;
}

export type Shape = 'timer' | 'polled' | 'diurnal' | 'bursty';

/** The requests of one service, in order. Times in milliseconds from the start. */
export interface ServiceTrace {
  shape: Shape;
  arrivals: Float64Array;
  /** How long each request takes once it runs. */
  durations: Float64Array;
  /** How long an instance takes to start. */
  startMs: number;
}

/** Of all services. 29 % of the Azure applications have a timer; a tenth to a fifth of the others come as regularly. */
const SHARES: [Shape, number][] = [
  ['timer', 0.3],
  ['polled', 0.1],
  ['diurnal', 0.4],
  ['bursty', 0.2],
];
/** Requests a day of the service of rank r: FIRST / r^EXPONENT, at most MOST. */
const FIRST = 4_000_000;
const EXPONENT = 1.4;
const MOST = 100_000;
/** Mean durations by service: log-normal, seconds, as fitted to the Azure trace; cut off. */
const DURATION = { mu: -0.38, sigma: 2.36, mostSeconds: 60 };
/** Start of an instance: log-normal by service, milliseconds. */
const START = { median: 400, sigma: 0.5 };
const TIMER_MINUTES = [1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440];
/** Events of one burst, and the mean gap between them. */
const BURST = { mean: 20, gapMs: 2000 };
/** Depth of the night: the rate is this part around its mean. */
const SWING = 0.8;

/** Makes the trace of the service of that rank, from 1. The same options and rank give the same trace. */
export function serviceTrace(options: TraceOptions, rank: number): ServiceTrace {
  const random = createRandom(options.seed, rank);
  const perDay = Math.min(MOST, FIRST / rank ** EXPONENT);
  const shape = shapeOf(random.next());
  const end = options.days * DAY_MS;
  const arrivals = Float64Array.from(ARRIVALS[shape](random, DAY_MS / perDay, end)).sort();
  const mean =
    Math.min(Math.exp(DURATION.mu + DURATION.sigma * random.normal()), DURATION.mostSeconds) * 1000;
  const durations = Float64Array.from(arrivals, () => mean * Math.exp(0.3 * random.normal() - 0.045));
  return { shape, arrivals, durations, startMs: START.median * Math.exp(START.sigma * random.normal()) };
}

function shapeOf(draw: number): Shape {
  let sum = 0;
  for (const [shape, share] of SHARES) {
    sum += share;
    if (draw < sum) return shape;
  }
  return 'bursty';
}

/** Arrival times with that mean gap. */
const ARRIVALS: Record<Shape, (random: Random, gapMs: number, end: number) => number[]> = {
  /** A round period, to the second. */
  timer(random, gapMs, end) {
    const minutes = gapMs / MINUTE_MS;
    const period =
      TIMER_MINUTES.reduce((best, one) =>
        Math.abs(Math.log(one / minutes)) < Math.abs(Math.log(best / minutes)) ? one : best,
      ) * MINUTE_MS;
    const times: number[] = [];
    for (let at = random.next() * period; at < end; at += period) times.push(at + random.next() * 1000);
    return times;
  },
  /** Each time some while after the last one, give or take a tenth. */
  polled(random, gapMs, end) {
    const times: number[] = [];
    for (let at = random.next() * gapMs; at < end; at += gapMs * Math.max(0.1, 1 + 0.1 * random.normal()))
      times.push(at);
    return times;
  },
  /** Independent requests at a rate that follows the sun of their users. */
  diurnal(random, gapMs, end) {
    const phase = random.next() * 2 * Math.PI;
    const times: number[] = [];
    const most = gapMs / (1 + SWING);
    for (let at = most * random.exponential(); at < end; at += most * random.exponential()) {
      const rate = (1 + SWING * Math.sin((2 * Math.PI * at) / DAY_MS + phase)) / (1 + SWING);
      if (random.next() < rate) times.push(at);
    }
    return times;
  },
  /** Bursts of geometric length at random times. */
  bursty(random, gapMs, end) {
    const times: number[] = [];
    const between = gapMs * BURST.mean;
    for (let burst = between * random.exponential(); burst < end; burst += between * random.exponential()) {
      let at = burst;
      do {
        times.push(at);
        at += BURST.gapMs * random.exponential();
      } while (random.next() > 1 / BURST.mean && at < end);
    }
    return times;
  },
};
