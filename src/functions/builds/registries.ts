/** Which variables of the platform's environment builds get: where packages come from, and how that is reached. */

/** Names, upper-case. Source: the manuals of the tools. */
const PASSED_ON =
  /^((HTTPS?|ALL|NO|FTP)_PROXY|GO(PROXY|PRIVATE|NOPROXY|NOSUMDB|SUMDB|INSECURE|FLAGS|TOOLCHAIN)|(PIP|UV|POETRY)_.+|NPM_CONFIG_.+|YARN_.+|CARGO_(REGISTRIES|REGISTRY|HTTP|NET|SOURCE)_.+|RUSTUP_.+|MAVEN_.+|GRADLE_.+|JAVA_HOME|BUNDLE_.+|GEM_.*SOURCE.*|RUBYGEMS_HOST|COMPOSER_.+|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE)$/;
/** What only makes sense for the platform's own user: his configuration files and caches. */
const NOT =
  /^(NPM_CONFIG_(CACHE|PREFIX|USERCONFIG|GLOBALCONFIG|TMP|INIT_MODULE|LOCAL_PREFIX|NODE_GYP|USER_AGENT|NOPROXY)|PIP_(CACHE_DIR|TARGET|PREFIX|ROOT|USER|CONFIG_FILE|REQUIRE_VIRTUALENV))$/;

/** The part of an environment that is passed on. */
export function passedOn(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => {
      const name = entry[0].toUpperCase();
      return entry[1] !== undefined && PASSED_ON.test(name) && !NOT.test(name);
    }),
  );
}
