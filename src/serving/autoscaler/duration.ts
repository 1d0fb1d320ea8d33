/** Durations as Go writes them. */
export { parseGoDuration } from '../../kinds/go-duration.ts';
