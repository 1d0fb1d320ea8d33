/** Durations as ISO 8601 writes them: `PT0.2S`, `P1DT12H`. Source: rickb777/date `period`, which Knative's delivery specs are read with. */

const FORM =
  /^([+-])?P(?=.)(?:(\d+(?:[.,]\d+)?)Y)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)W)?(?:(\d+(?:[.,]\d+)?)D)?(?:T(?=.)(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?$/;
const DAY = 86_400_000;
/** Years and months are averages. */
const UNITS = [365.2425 * DAY, 30.436875 * DAY, 7 * DAY, DAY, 3_600_000, 60_000, 1000];

/** Milliseconds; undefined for what is no duration. */
export function parseIsoDuration(text: string): number | undefined {
  const match = FORM.exec(text);
  if (match === null) return text === '0' ? 0 : undefined;
  const [, sign, ...parts] = match;
  const sum = parts.reduce((total, part, i) => {
    return part === undefined ? total : total + Number(part.replace(',', '.')) * (UNITS[i] ?? 0);
  }, 0);
  const milliseconds = Math.round(sum * 1e6) / 1e6;
  return sign === '-' ? -milliseconds : milliseconds;
}
