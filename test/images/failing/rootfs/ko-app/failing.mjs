// Starts, and ends with code 5 after FAIL_AFTER ms (10,000 where nothing is said), without ever having listened.
console.log('Started...');
setTimeout(
  () => {
    console.log('Crashed...');
    process.exit(5);
  },
  Number(process.env.FAIL_AFTER ?? 10_000),
);
