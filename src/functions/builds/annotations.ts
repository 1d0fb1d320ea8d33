/** Annotations of a Function about its build; commands set them. */

/** Anything; another value builds it again although nothing else has changed. */
export const REBUILD_ANNOTATION = 'petrel.dev/rebuild';
/** `inputs` of a build that is not to go on. */
export const CANCEL_ANNOTATION = 'petrel.dev/cancel-build';
/** Reference of the image that its own is built on. */
export const BASE_ANNOTATION = 'petrel.dev/image-base';
