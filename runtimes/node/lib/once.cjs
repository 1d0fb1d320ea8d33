// @ts-check
'use strict';

/**
 * A value that is made when it is first asked for. For modules: `require` looks for a file each time, which costs a cold start more than
 * what it gives. @template T @param {() => T} make @returns {() => T}
 */
function once(make) {
  /** @type {{value: T} | undefined} */
  let made;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

module.exports = { once };
