/** Random numbers that are the same on every machine: a seed and a name give a stream of their own. */

export interface Random {
  /** 0 ≤ x < 1. */
  next(): number;
  /** With mean 1. */
  exponential(): number;
  /** With mean 0 and deviation 1. */
  normal(): number;
  /** 0 ≤ n < below. */
  integer(below: number): number;
}

export function createRandom(seed: number, name: number): Random {
  // SFC32 (Doty-Humphrey, PractRand), seeded by two numbers and run in.
  let [a, b, c, d] = [seed | 0, name | 0, 0x9e3779b9 | 0, 1];
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
  for (let index = 0; index < 15; index++) next();
  return {
    next,
    exponential: () => -Math.log(1 - next()),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    integer: (below) => Math.floor(next() * below),
  };
}
