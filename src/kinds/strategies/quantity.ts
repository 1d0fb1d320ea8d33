/** Kubernetes quantities (`100m`, `64Mi`, `1.5`) as numbers. Source: apimachinery `api/resource`. */

const SUFFIXES: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The number a quantity stands for, in its base unit (cores, bytes); NaN when it is none. */
export function quantityValue(quantity: string | number): number {
  if (typeof quantity === 'number') return quantity;
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]|)$/.exec(quantity);
  if (match === null) return Number.NaN;
  const [, digits = '', suffix = ''] = match;
  const factor = SUFFIXES[suffix];
  return factor === undefined ? Number(digits + suffix) : Number(digits) * factor;
}
