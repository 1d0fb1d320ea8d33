/** Says before each line of output whose it is: the functions of one process write to one log. Evaluated before the function's own modules. */
for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace']) {
  const write = console[method].bind(console);
  console[method] = (...values) => write('[$NAME]', ...values);
}
