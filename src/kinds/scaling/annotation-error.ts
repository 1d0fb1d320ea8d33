/** An annotation about scaling that cannot be understood. */
export class AnnotationError extends Error {
  /** Key of the annotation, with the item in it that is meant: `autoscaling.petrel.dev/schedule[0]`. */
  readonly at: string;
  readonly why: string;
  /** A value that would be right. */
  readonly example: string;

  constructor(at: string, why: string, example: string) {
    super(`${at}: ${why}`);
    this.at = at;
    this.why = why;
    this.example = example;
  }
}
