/** Kubernetes quantities as numbers. Grammar: apimachinery `resource.Quantity`. */

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

/** The amount in its base unit: cores, bytes. NaN for what is no quantity. */
export function parseQuantity(text: string | number): number {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([a-zA-Z]*))$/.exec(String(text));
  if (!match) return Number.NaN;
  const factor = match[2] === undefined ? SUFFIXES[match[3] ?? ''] : 10 ** Number(match[2]);
  return factor === undefined ? Number.NaN : Number(match[1]) * factor;
}

/** Thousandths of a core; rounds up, as the scheduler does. */
export const parseCpuMillis = (text: string | number): number =>
  Math.ceil(Number((parseQuantity(text) * 1000).toFixed(6)));

/** The amount in units of `divisor` (default 1), rounded up, as `resourceFieldRef` prints it. */
export function formatDivided(amount: number, divisor?: string): string {
  const unit = divisor === undefined || divisor === '0' ? 1 : parseQuantity(divisor);
  return String(Math.ceil(Number((amount / unit).toFixed(6))));
}

const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/** A whole amount in its canonical form: the largest unit that leaves no fraction. `binary`: in units of 1024, from 1024 on. */
export function formatQuantity(amount: number, binary = false): string {
  const [units, step] = binary && Math.abs(amount) >= 1024 ? [BINARY, 1024] : [DECIMAL, 1000];
  let [rest, unit] = [amount, 0];
  while (rest !== 0 && rest % step === 0 && unit < units.length - 1) [rest, unit] = [rest / step, unit + 1];
  return `${rest}${units[unit]}`;
}

/** Thousandths in their canonical form: `1500m`, `2`. */
export const formatMillis = (millis: number): string =>
  millis % 1000 === 0 ? formatQuantity(millis / 1000) : `${millis}m`;
